//! Passes the functions' connections on to the cache, counts their round trips and lets chosen ones
//! go wrong.
//!
//! A round trip is what a client sends before it hears anything: a pipeline of twenty commands is
//! one. It is named after its first command. The caller is known by the process that holds the
//! other end of the connection, which Linux tells; elsewhere callers of the cache have no name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cache::Cache;
use crate::faults::{Call, FaultAction, Faults, Outage, Service};
use crate::lambda::Lambda;

/// How much is passed on at a time.
const BUFFER: usize = 64 * 1024;

/// What a client says to get to know the cache, whenever it connects: none of a function's own calls.
const SET_UP: [&str; 6] = ["AUTH", "CLIENT", "CLUSTER", "HELLO", "PING", "READONLY"];

/// How often a new connection's process is looked for, and how long after the look before: the kernel's tables may
/// skip a line while they change, again and again on a busy machine.
const LOOKS: usize = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// What stands before a process's name in its environment: see where it is started.
const NAMED: &str = "AWS_SDK_UA_APP_ID=";

/// What a connection needs.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) cache: Arc<Cache>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) lambda: Arc<Lambda>,
}

/// Why a connection ends early.
struct Ended;

impl Proxy {
    /// Passes connections on until the runtime ends.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((client, peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let proxy = Arc::clone(&self);
            tokio::spawn(async move {
                let mut outage = proxy.faults.outage(Service::Cache).subscribe();
                let closed = |outage: &Option<Outage>| {
                    matches!(outage, Some(Outage::Closed | Outage::Unavailable))
                };
                tokio::select! {
                    _ = proxy.connection(client, peer) => {}
                    _ = outage.wait_for(closed) => {}
                }
            });
        }
    }

    async fn connection(&self, mut client: TcpStream, peer: SocketAddr) -> Result<(), Ended> {
        let port = self.cache.port().ok_or(Ended)?;
        let mut server = TcpStream::connect(("127.0.0.1", port))
            .await
            .map_err(|_| Ended)?;
        // A lost delay only costs time.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let caller = match client.local_addr() {
            Ok(proxy) => self.caller(peer, proxy).await,
            Err(_) => String::new(),
        };
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let (mut up, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
        let (mut asking, mut after) = (false, None);
        let mut outage = self.faults.outage(Service::Cache).subscribe();
        loop {
            tokio::select! {
                read = from_client.read(&mut up) => {
                    let sent = up.get(..length(&read)?).ok_or(Ended)?;
                    // A hanging cache takes what it is sent.
                    let hang = |outage: &Option<Outage>| *outage != Some(Outage::Hang);
                    outage.wait_for(hang).await.map_err(|_| Ended)?;
                    let operation = first_command(sent);
                    // A call may go out before the answer to what sets the connection up is there.
                    if !asking && !SET_UP.contains(&operation.as_str()) {
                        asking = true;
                        let function = caller.rsplit_once('.').map_or("", |(function, _)| function).to_owned();
                        let verdict = self.faults.called(Call { function, service: Service::Cache, operation });
                        after = verdict.after;
                        if let Some(action) = verdict.before {
                            self.act(action, &caller).await?;
                        }
                    }
                    to_server.write_all(sent).await.map_err(|_| Ended)?;
                }
                read = from_server.read(&mut down) => {
                    let answered = down.get(..length(&read)?).ok_or(Ended)?;
                    asking = false;
                    if let Some(action) = after.take() {
                        self.act(action, &caller).await?;
                    }
                    to_client.write_all(answered).await.map_err(|_| Ended)?;
                }
            }
        }
    }

    async fn act(&self, action: FaultAction, caller: &str) -> Result<(), Ended> {
        match action {
            FaultAction::KillCaller => {
                self.lambda.kill_instance(caller);
                Err(Ended)
            }
            FaultAction::Status(_) | FaultAction::Conflict | FaultAction::Disconnect => Err(Ended),
            FaultAction::Hang => std::future::pending().await,
            FaultAction::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    /// The function's process that connected to the proxy, such as `feed.3`; empty if it isn't one.
    async fn caller(&self, peer: SocketAddr, proxy: SocketAddr) -> String {
        for _ in 0..LOOKS {
            let lambda = Arc::clone(&self.lambda);
            let look = tokio::task::spawn_blocking(move || {
                holder(&lambda, peer.port(), proxy.port())
            });
            if let Ok(Some(name)) = look.await {
                return name;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        String::new()
    }
}

/// The function's process that holds the socket from one local port to another, empty if it is no function's; nothing
/// if none is seen to.
fn holder(lambda: &Lambda, from: u16, to: u16) -> Option<String> {
    let held = format!("socket:[{}]", socket_inode(from, to)?);
    let mut known = lambda.processes().into_iter();
    if let Some((_, name)) = known.find(|(pid, _)| holds(*pid, &held)) {
        return Some(name);
    }
    // One that was started just now, or one from outside, such as an operator's.
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let mut all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holder = all.find(|pid| holds(*pid, &held))?;
    named(&std::fs::read(format!("/proc/{holder}/environ")).ok()?)
}

fn holds(pid: u32, held: &str) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    open.flatten()
        .any(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| link.to_str() == Some(held)))
}

/// What a process goes by that was started with this environment, empty if it is no function's; nothing if it has
/// none yet.
fn named(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let name = variables.find_map(|variable| variable.strip_prefix(NAMED.as_bytes()));
    let name = name.map(|name| String::from_utf8_lossy(name).into_owned());
    (!environment.is_empty()).then(|| name.unwrap_or_default())
}

fn length(read: &std::io::Result<usize>) -> Result<usize, Ended> {
    match read {
        Ok(length) if *length > 0 => Ok(*length),
        _ => Err(Ended),
    }
}

/// The inode of the socket that connects one local port to another, from `/proc/net/tcp`.
///
/// The kernel lends one port to several connections at a time, as long as they lead to different places.
fn socket_inode(from: u16, to: u16) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let [from, to] = [from, to].map(|port| format!("0100007F:{port:04X}"));
    table.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let inode = (columns.next()? == from && columns.next()? == to)
            .then(|| columns.nth(6))
            .flatten()?;
        // A closed connection's port lingers with no inode.
        (inode != "0").then(|| inode.to_owned())
    })
}

/// The first command of what a client sent: `*2\r\n$3\r\nGET\r\n…`.
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
    use std::os::fd::AsRawFd as _;

    use tokio::net::{TcpListener, TcpSocket};

    use super::{first_command, socket_inode};

    #[tokio::test]
    async fn connections_that_share_a_port_are_told_apart() {
        let mut port = 0;
        let mut open = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to = listener.local_addr().unwrap();
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(([127, 0, 0, 1], port).into()).unwrap();
            let client = socket.connect(to).await.unwrap();
            port = client.local_addr().unwrap().port();
            open.push((client, to, listener));
        }
        for (client, to, _) in &open {
            let link = format!("/proc/self/fd/{}", client.as_raw_fd());
            let held = std::fs::read_link(link).unwrap();
            let inode = socket_inode(port, to.port()).unwrap();
            assert_eq!(held.to_str().unwrap(), format!("socket:[{inode}]"));
        }
    }

    #[test]
    fn round_trips_are_named_after_their_first_command() {
        assert_eq!(
            first_command(b"*2\r\n$3\r\nget\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n"),
            "GET"
        );
        assert_eq!(first_command(b"PING hello\r\n"), "PING");
        assert_eq!(first_command(b""), "");
    }
}
