//! Tests of each branch of each script, against the system's Valkey or Redis server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, Script, ToRedisArgs, cmd};
use tempfile::TempDir;

use super::*;

mod admission;
mod leases;
mod lists;

/// A server for one test, which ends with it.
struct Server {
    child: Child,
    connection: MultiplexedConnection,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let named = |name: &'static str| std::env::split_paths(&path).map(move |at| at.join(name));
    let mut programs = named("valkey-server").chain(named("redis-server"));
    programs
        .find(|program| program.is_file())
        .expect("valkey-server or redis-server must be installed: ./dev up says how")
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let mut child = Command::new(program())
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let client = Client::open(format!("redis+unix://{}", socket.display())).unwrap();
        for _ in 0..500 {
            if let Ok(connection) = client.get_multiplexed_async_connection().await {
                return Self {
                    child,
                    connection,
                    _folder: folder,
                };
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let _ = (child.kill(), child.wait());
        panic!("the server did not start");
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[impl ToRedisArgs],
    ) -> T {
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(*key);
        }
        for arg in args {
            invocation.arg(arg);
        }
        let mut connection = self.connection.clone();
        invocation.invoke_async(&mut connection).await.unwrap()
    }

    async fn ask<T: FromRedisValue>(&self, words: &[impl ToRedisArgs]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        let mut connection = self.connection.clone();
        command.query_async(&mut connection).await.unwrap()
    }

    async fn get(&self, key: &str) -> Option<String> {
        self.ask(&["GET", key]).await
    }

    /// Returns the milliseconds until a key expires.
    async fn ttl(&self, key: &str) -> i64 {
        self.ask(&["PTTL", key]).await
    }

    /// Returns the server's time in milliseconds.
    async fn now(&self) -> i64 {
        let (seconds, micros): (i64, i64) = self.ask(&["TIME"]).await;
        seconds * 1000 + micros / 1000
    }

    /// Adds a writer whose deadline is `millis` milliseconds away.
    async fn writer(&self, held: &str, token: &str, millis: i64) {
        let deadline = (self.now().await + millis).to_string();
        self.ask::<()>(&["HSET", held, token, &deadline]).await;
    }

    async fn writers(&self, held: &str) -> Vec<String> {
        let mut tokens: Vec<String> = self.ask(&["HKEYS", held]).await;
        tokens.sort();
        tokens
    }

    async fn push(&self, list: &str, elements: &[Vec<u8>]) {
        for element in elements {
            let mut connection = self.connection.clone();
            let push = cmd("RPUSH").arg(list).arg(element).clone();
            push.query_async::<()>(&mut connection).await.unwrap();
        }
        self.ask::<()>(&["EXPIRE", list, "100"]).await;
    }

    async fn list(&self, list: &str) -> Vec<Vec<u8>> {
        self.ask(&["LRANGE", list, "0", "-1"]).await
    }
}
