//! A cache server for the benchmark alone, without the local stack's proxy, and the server's own benchmark tool.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::error::{Error, Result, file, wrong};

/// The longest time of a start: a node that starts as a master accepts no writes for two seconds.
const START: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Commands that the benchmark tool sends before it reads an answer, and its connections.
const PIPELINE: &str = "64";
const CONNECTIONS: &str = "50";

/// Returns the server and its benchmark tool: Valkey's, or Redis's.
fn programs() -> Result<(PathBuf, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| {
        let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
        places.find(|program| program.is_file())
    };
    ["valkey", "redis"]
        .into_iter()
        .find_map(|name| {
            Some((
                find(&format!("{name}-server"))?,
                find(&format!("{name}-benchmark"))?,
            ))
        })
        .ok_or_else(|| {
            wrong("there is no redis-server with redis-benchmark, nor valkey's, in PATH")
        })
}

/// A running server: one node in cluster mode without persistence.
#[derive(Debug)]
pub(crate) struct Server {
    benchmark: PathBuf,
    port: u16,
    // Ends with it.
    _child: Child,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Result<Self> {
        let (server, benchmark) = programs()?;
        let folder = TempDir::new().map_err(file("make", &std::env::temp_dir()))?;
        let port = free_port()?;
        let child = Command::new(&server)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args([
                "--cluster-enabled",
                "yes",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .arg("--dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(file("start", &server))?;
        let started = Self {
            benchmark,
            port,
            _child: child,
            _folder: folder,
        };
        started.take_all_slots().await?;
        Ok(started)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn connection(&self) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        // Longer than the default, which would cut a measurement short.
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(START));
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok(connection.await?)
    }

    async fn take_all_slots(&self) -> Result<()> {
        let started = Instant::now();
        let mut connection = loop {
            match self.connection().await {
                Ok(connection) => break connection,
                Err(error) if started.elapsed() > START => return Err(error),
                Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        };
        redis::cmd("CLUSTER")
            .arg("ADDSLOTSRANGE")
            .arg(0)
            .arg(16_383)
            .query_async::<()>(&mut connection)
            .await?;
        loop {
            let info: String = redis::cmd("CLUSTER")
                .arg("INFO")
                .query_async(&mut connection)
                .await?;
            if info.contains("cluster_state:ok") {
                return Ok(());
            }
            if started.elapsed() > START {
                return Err(wrong("the cache's server doesn't start"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the pushes a second to random keys that the server's own benchmark tool reaches, with 64 commands in flight on
    /// each of its 50 connections.
    pub(crate) async fn raw_pushes(&self, pushes: u64, keys: u32) -> Result<f64> {
        let (port, pushes, keys) = (self.port.to_string(), pushes.to_string(), keys.to_string());
        let run = Command::new(&self.benchmark)
            .args([
                "-p",
                &port,
                "-P",
                PIPELINE,
                "-c",
                CONNECTIONS,
                "-n",
                &pushes,
                "-r",
                &keys,
            ])
            .args(["--csv", "lpush", "raw:__rand_int__", "12345678"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = run.await.map_err(file("run", &self.benchmark))?;
        let text = String::from_utf8_lossy(&output.stdout);
        // "what","a second", and latencies.
        let last = text
            .lines()
            .rfind(|line| line.starts_with('"'))
            .unwrap_or_default();
        let rate = last.split(',').nth(1).map(|field| field.trim_matches('"'));
        rate.and_then(|rate| rate.parse().ok())
            .ok_or_else(|| wrong(format!("{}: {text}", self.benchmark.display())))
    }
}

/// Returns a free port whose cluster bus port, 10,000 above, is free too.
fn free_port() -> Result<u16> {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..200)
        .map(|_| rand::random_range(23_000_u16..32_000))
        .find(|port| is_free(*port) && is_free(port.saturating_add(10_000)))
        .ok_or_else(|| Error::Wrong("there is no free port".to_owned()))
}
