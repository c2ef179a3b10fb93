//! Forwards the functions' connections to the cache, records their round trips and injects faults.
//!
//! Everything that a client sends before it receives an answer is one round trip: a pipeline of twenty commands
//! counts once, under the name of its first command. The caller is identified by the process at the other end of the
//! connection. This works only on Linux; elsewhere callers of the cache have no name.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client_process::instance_at;
use super::node::Cache;
use crate::faults::{Call, FaultAction, Faults, Outage, Service};
use crate::lambda::Lambda;

/// The size of the buffers between client and cache.
const BUFFER: usize = 64 * 1024;

/// The commands that set up a connection, which don't count as calls by the function.
const SET_UP: [&str; 6] = ["AUTH", "CLIENT", "CLUSTER", "HELLO", "PING", "READONLY"];

/// The number of attempts to find a new connection's process, and the pause between them. /proc may omit a process's
/// files, or its environment, while they change.
const LOOKUPS: usize = 100;
const LOOKUP_PAUSE: Duration = Duration::from_millis(2);

/// The proxy in front of the cache.
#[derive(Debug)]
pub(crate) struct CacheProxy {
    pub(crate) cache: Arc<Cache>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) lambda: Arc<Lambda>,
    /// Set once a warning says that callers can't be identified.
    pub(crate) warned: Once,
}

/// The end of a connection.
struct ConnectionEnded;

impl CacheProxy {
    /// Forwards connections until the runtime ends.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((client, peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let proxy = Arc::clone(&self);
            tokio::spawn(async move {
                let mut outage = proxy.faults.outage(Service::Cache).subscribe();
                let is_closed = |outage: &Option<Outage>| {
                    matches!(outage, Some(Outage::Closed | Outage::Unavailable))
                };
                tokio::select! {
                    _ = proxy.connection(client, peer) => {}
                    _ = outage.wait_for(is_closed) => {}
                }
            });
        }
    }

    async fn connection(
        &self,
        mut client: TcpStream,
        peer: SocketAddr,
    ) -> Result<(), ConnectionEnded> {
        let port = self.cache.port().ok_or(ConnectionEnded)?;
        let mut server = TcpStream::connect(("127.0.0.1", port))
            .await
            .map_err(|_| ConnectionEnded)?;
        // A failure only costs latency.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let caller = match client.local_addr() {
            Ok(proxy) => self.caller(peer, proxy).await,
            Err(_) => String::new(),
        };
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let (mut up, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
        let (mut awaiting_answer, mut fault_after) = (false, None);
        let mut outage = self.faults.outage(Service::Cache).subscribe();
        loop {
            tokio::select! {
                read = from_client.read(&mut up) => {
                    let sent = up.get(..length(&read)?).ok_or(ConnectionEnded)?;
                    // A hanging cache accepts commands and never answers.
                    let answers = |outage: &Option<Outage>| *outage != Some(Outage::Hang);
                    outage.wait_for(answers).await.map_err(|_| ConnectionEnded)?;
                    let operation = first_command(sent);
                    // Set-up commands don't set `awaiting_answer`: a call may follow before they are answered.
                    if !awaiting_answer && !SET_UP.contains(&operation.as_str()) {
                        awaiting_answer = true;
                        let function = caller.rsplit_once('.').map_or("", |(function, _)| function).to_owned();
                        let faults = self.faults.record_call(Call { function, service: Service::Cache, operation });
                        fault_after = faults.after;
                        if let Some(action) = faults.before {
                            self.act(action, &caller).await?;
                        }
                    }
                    to_server.write_all(sent).await.map_err(|_| ConnectionEnded)?;
                }
                read = from_server.read(&mut down) => {
                    let answered = down.get(..length(&read)?).ok_or(ConnectionEnded)?;
                    awaiting_answer = false;
                    if let Some(action) = fault_after.take() {
                        self.act(action, &caller).await?;
                    }
                    to_client.write_all(answered).await.map_err(|_| ConnectionEnded)?;
                }
            }
        }
    }

    async fn act(&self, action: FaultAction, caller: &str) -> Result<(), ConnectionEnded> {
        match action {
            FaultAction::KillCaller => {
                self.lambda.kill_instance(caller);
                Err(ConnectionEnded)
            }
            FaultAction::Status(_) | FaultAction::Conflict | FaultAction::Disconnect => {
                Err(ConnectionEnded)
            }
            FaultAction::Hang => std::future::pending().await,
            FaultAction::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    /// Returns the instance that connected to the proxy, such as `feed.3`, or an empty name if the client isn't a function.
    async fn caller(&self, peer: SocketAddr, proxy: SocketAddr) -> String {
        for _ in 0..LOOKUPS {
            let lambda = Arc::clone(&self.lambda);
            let lookup = tokio::task::spawn_blocking(move || {
                instance_at(&lambda, peer.port(), proxy.port())
            });
            match lookup.await {
                Ok(Ok(Some(instance))) => return instance,
                Ok(Err(error)) => {
                    self.warned.call_once(|| {
                        let message = format!("the cache's callers can't be identified: {error}");
                        self.cache.warn(&message);
                    });
                    return String::new();
                }
                Ok(Ok(None)) | Err(_) => tokio::time::sleep(LOOKUP_PAUSE).await,
            }
        }
        String::new()
    }
}

fn length(read: &std::io::Result<usize>) -> Result<usize, ConnectionEnded> {
    match read {
        Ok(length) if *length > 0 => Ok(*length),
        _ => Err(ConnectionEnded),
    }
}

/// Returns the name of the first command in what a client sent, in capitals. Reads RESP (`*2\r\n$3\r\nGET\r\n…`) and
/// inline commands.
fn first_command(sent: &[u8]) -> String {
    let mut lines = sent.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let name = if first.starts_with(b"*") {
        lines.nth(1).unwrap_or_default()
    } else {
        first
    };
    let name = name
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(name).to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::first_command;

    #[test]
    fn round_trip_is_named_after_its_first_command() {
        assert_eq!(
            first_command(b"*2\r\n$3\r\nget\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n"),
            "GET"
        );
        assert_eq!(first_command(b"PING hello\r\n"), "PING");
        assert_eq!(first_command(b""), "");
    }
}
