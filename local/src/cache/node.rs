//! The cache's server: the system's Valkey or Redis as a child process. The server is a cluster of one node, so that a
//! command across slots fails as on AWS. It keeps nothing on disk, because the cache is disposable.
//!
//! The node announces the proxy's address as its own, so that functions connect to the proxy. With [`Calls::Direct`],
//! the node announces its real address, and functions use the proxy only to learn that address.
//!
//! A cluster node that starts as a master refuses writes for two seconds. This node starts as the replica of an absent
//! master, takes over from that master and forgets it, which takes a few milliseconds.
//!
//! [`Calls::Direct`]: crate::Calls::Direct

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};

use crate::children::{Guard, Guarded, signal};
use crate::error::{Error, Result};
use crate::logs::Logs;

/// The ids of this node and of the absent master that it takes over from.
const NODE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ABSENT_MASTER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// The maximum time that a start may take.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The offset of the cluster bus's port from the node's, the same in every version.
const BUS_OFFSET: u16 = 10_000;

/// The lifetime from which a server counts as stable. A stable server that ends unexpectedly is restarted at once. For
/// an unstable one, the pause before each further restart doubles, from `MIN_PAUSE` up to `MAX_PAUSE`.
const STABLE_AFTER: Duration = Duration::from_secs(10);
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The cache's name in the logs.
pub(crate) const NAME: &str = "cache";

/// The running cache. A server that ends unexpectedly is restarted on the same port.
#[derive(Debug)]
pub(crate) struct Cache {
    program: PathBuf,
    folder: PathBuf,
    /// The proxy's port, if the node announces it in place of its own.
    proxy_port: Option<u16>,
    memory_mb: u32,
    guard: Arc<Guard>,
    logs: Arc<Logs>,
    /// The id of the task that supervises the server; 0 while the cache is stopped.
    supervisor: AtomicU64,
    node: Mutex<Option<Node>>,
}

/// A handle to the running server.
#[derive(Debug)]
struct Node {
    pid: u32,
    port: u16,
    kill: Arc<Notify>,
    gone: watch::Receiver<bool>,
}

/// The server, owned by the task that supervises it.
struct Server {
    child: Child,
    pid: u32,
    port: u16,
    started: Instant,
    kill: Arc<Notify>,
    gone: watch::Sender<bool>,
    _guarded: Guarded,
}

impl Server {
    fn node(&self) -> Node {
        Node {
            pid: self.pid,
            port: self.port,
            kill: Arc::clone(&self.kill),
            gone: self.gone.subscribe(),
        }
    }

    /// Waits for the server to end. Returns its exit status, or `None` if the stack killed the server.
    async fn wait(&mut self) -> Option<String> {
        let ended = tokio::select! {
            ended = self.child.wait() => Some(ended.map_or_else(|error| error.to_string(), |status| status.to_string())),
            () = self.kill.notified() => {
                // The server may have ended in the meantime.
                let _ = self.child.start_kill();
                let _ = self.child.wait().await;
                None
            }
        };
        self.gone.send_replace(true);
        ended
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::part("cache", error)
}

/// Finds the server's program: Valkey, or Redis if Valkey is missing.
fn find_server() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["valkey-server", "redis-server"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
        .ok_or(Error::NoCacheServer)
}

impl Cache {
    /// Starts the node with its files in `folder`. The node announces the proxy's port, if there is one. Beyond
    /// `memory_mb`, it evicts the least recently used of the keys that have a TTL.
    pub(crate) async fn start(
        folder: &Path,
        proxy_port: Option<u16>,
        memory_mb: u32,
        guard: Arc<Guard>,
        logs: Arc<Logs>,
    ) -> Result<Arc<Self>> {
        std::fs::create_dir_all(folder).map_err(Error::io("can't make the cache's folder"))?;
        let cache = Arc::new(Self {
            program: find_server()?,
            folder: folder.to_owned(),
            proxy_port,
            memory_mb,
            guard,
            logs,
            supervisor: AtomicU64::new(0),
            node: Mutex::new(None),
        });
        cache.start_node().await?;
        Ok(cache)
    }

    fn node(&self) -> std::sync::MutexGuard<'_, Option<Node>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the node's own port, if the node is running.
    pub(crate) fn port(&self) -> Option<u16> {
        self.node().as_ref().map(|node| node.port)
    }

    /// Starts an empty node, unless one is running.
    pub(crate) async fn start_node(self: &Arc<Self>) -> Result<()> {
        static NEXT_SUPERVISOR: AtomicU64 = AtomicU64::new(1);
        let supervisor = NEXT_SUPERVISOR.fetch_add(1, Ordering::Relaxed);
        let registered =
            self.supervisor
                .compare_exchange(0, supervisor, Ordering::SeqCst, Ordering::SeqCst);
        if registered.is_err() {
            return Ok(());
        }
        let server = self.start_server(None).await.inspect_err(|_| {
            self.supervisor.store(0, Ordering::SeqCst);
        })?;
        *self.node() = Some(server.node());
        tokio::spawn(Arc::clone(self).supervise(server, supervisor));
        Ok(())
    }

    /// Logs a warning about the cache.
    pub(super) fn warn(&self, message: &str) {
        self.logs.warn(NAME, message);
    }

    /// Restarts the server whenever it ends unexpectedly.
    async fn supervise(self: Arc<Self>, mut server: Server, supervisor: u64) {
        let is_wanted = || self.supervisor.load(Ordering::SeqCst) == supervisor;
        let mut pause = Duration::ZERO;
        while let Some(status) = server.wait().await {
            *self.node() = None;
            let (pid, port) = (server.pid, server.port);
            self.warn(&format!(
                "the server (process {pid}) ended unexpectedly ({status}); restarting it empty, it refills as it is used"
            ));
            if server.started.elapsed() >= STABLE_AFTER {
                pause = Duration::ZERO;
            }
            server = loop {
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).clamp(MIN_PAUSE, MAX_PAUSE);
                if !is_wanted() {
                    return;
                }
                match self.start_server(Some(port)).await {
                    Ok(server) => break server,
                    Err(error) => self.warn(&error.to_string()),
                }
            };
            // Dropping the server kills it.
            if !is_wanted() {
                return;
            }
            *self.node() = Some(server.node());
        }
    }

    /// Starts a server, on this port if it is given and free, otherwise on any free port.
    async fn start_server(&self, port: Option<u16>) -> Result<Server> {
        let mut last = failed("it didn't start");
        if let Some(port) = port.filter(|port| is_free(*port)) {
            match self.try_start_server(port).await {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        // Another process may take the port before the server does.
        for _ in 0..5 {
            let Some(port) = free_port() else {
                return Err(failed("there is no free port"));
            };
            match self.try_start_server(port).await {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn try_start_server(&self, port: u16) -> Result<Server> {
        let bus = port.saturating_add(BUS_OFFSET);
        let nodes = format!(
            "{NODE} 127.0.0.1:{port}@{bus} myself,slave {ABSENT_MASTER} 0 0 1 connected\n\
             {ABSENT_MASTER} 127.0.0.1:1@2 master - 0 0 1 connected 0-16383\n\
             vars currentEpoch 1 lastVoteEpoch 0\n"
        );
        tokio::fs::write(self.folder.join("nodes.conf"), nodes)
            .await
            .map_err(Error::io("can't write nodes.conf"))?;
        let log = std::fs::File::create(self.folder.join("log"))
            .map_err(Error::io("can't write the cache's log"))?;
        let (port_text, announced) = (
            port.to_string(),
            self.proxy_port.unwrap_or(port).to_string(),
        );
        let child = Command::new(&self.program)
            .args([
                "--port",
                &port_text,
                "--bind",
                "127.0.0.1",
                "--protected-mode",
                "no",
            ])
            .args([
                "--cluster-enabled",
                "yes",
                "--cluster-config-file",
                "nodes.conf",
            ])
            .args([
                "--cluster-announce-ip",
                "127.0.0.1",
                "--cluster-announce-port",
                &announced,
            ])
            .args([
                "--save",
                "",
                "--appendonly",
                "no",
                "--maxmemory",
                &format!("{}mb", self.memory_mb),
                "--maxmemory-policy",
                "volatile-lru",
            ])
            .arg("--dir")
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(
                log.try_clone()
                    .map_err(Error::io("can't write the cache's log"))?,
            )
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("can't start {}", self.program.display())))?;
        let pid = child.id().unwrap_or_default();
        let mut server = Server {
            child,
            pid,
            port,
            started: Instant::now(),
            kill: Arc::new(Notify::new()),
            gone: watch::Sender::new(false),
            _guarded: self.guard.watch(pid),
        };
        self.take_over(&mut server).await?;
        Ok(server)
    }

    /// Waits for the server to accept connections and makes it the master.
    async fn take_over(&self, server: &mut Server) -> Result<()> {
        let started = Instant::now();
        let mut connection = loop {
            if let Ok(connection) = TcpStream::connect(("127.0.0.1", server.port)).await {
                break connection;
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(failed(format!(
                    "it ended with {status}: {}",
                    log.lines().last().unwrap_or_default()
                )));
            }
            if started.elapsed() > START_TIMEOUT {
                return Err(failed("it took too long to start"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        for (command, expected) in [
            ("CLUSTER FAILOVER TAKEOVER".to_owned(), "+OK"),
            (format!("CLUSTER FORGET {ABSENT_MASTER}"), "+OK"),
            ("CLUSTER INFO".to_owned(), "cluster_state:ok"),
        ] {
            loop {
                let answer = send(&mut connection, &command).await?;
                if answer.contains(expected) {
                    break;
                }
                // The node may still be loading, or looking for the absent master.
                if started.elapsed() > START_TIMEOUT {
                    return Err(failed(format!("{command}: {}", answer.trim())));
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(())
    }

    /// Kills the node, which loses its data and stays down until [`Self::start_node`].
    pub(crate) async fn kill(&self) {
        self.supervisor.store(0, Ordering::SeqCst);
        let node = self.node().take();
        if let Some(mut node) = node {
            node.kill.notify_one();
            // Fails only if the supervising task is gone, and with it the server.
            let _ = node.gone.wait_for(|gone| *gone).await;
        }
    }

    /// Kills the node without waiting for it to end.
    pub(crate) fn kill_now(&self) {
        self.supervisor.store(0, Ordering::SeqCst);
        if let Some(node) = self.node().take() {
            signal(node.pid, Signal::KILL);
        }
    }

    /// Kills the server without telling the supervisor, as a crash would.
    pub(crate) fn crash(&self) {
        if let Some(node) = self.node().as_ref() {
            signal(node.pid, Signal::KILL);
        }
    }

    /// Empties the node.
    pub(crate) async fn flush(&self) -> Result<()> {
        let port = self.port().ok_or_else(|| failed("it isn't running"))?;
        let mut connection = TcpStream::connect(("127.0.0.1", port))
            .await
            .map_err(Error::io("can't reach the cache"))?;
        let answer = send(&mut connection, "FLUSHALL SYNC").await?;
        if answer.starts_with("+OK") {
            Ok(())
        } else {
            Err(failed(answer))
        }
    }

    /// Suspends the node: connections stay open, but nothing is answered.
    pub(crate) fn pause(&self) {
        if let Some(node) = self.node().as_ref() {
            signal(node.pid, Signal::STOP);
        }
    }

    /// Resumes a suspended node.
    pub(crate) fn resume(&self) {
        if let Some(node) = self.node().as_ref() {
            signal(node.pid, Signal::CONT);
        }
    }
}

fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Finds a free port whose cluster bus port is free too, outside the range from which systems assign ports.
fn free_port() -> Option<u16> {
    (0..200)
        .map(|_| rand::random_range(11_000_u16..22_000))
        .find(|port| is_free(*port) && is_free(port.saturating_add(BUS_OFFSET)))
}

/// Sends an inline command and reads the reply with a single read, which suffices for the commands used here.
async fn send(connection: &mut TcpStream, command: &str) -> Result<String> {
    let failed = || Error::io(format!("the cache didn't answer {command}"));
    connection
        .write_all(format!("{command}\r\n").as_bytes())
        .await
        .map_err(failed())?;
    let mut buffer = vec![0; 4096];
    let length = connection.read(&mut buffer).await.map_err(failed())?;
    Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
}
