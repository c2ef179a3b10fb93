//! Finds the function's process at the other end of a local connection, using Linux's /proc.

use std::fs::File;
use std::io::{BufRead as _, BufReader};

use crate::lambda::Lambda;

/// The variable in a process's environment that holds its instance's name; see `lambda::process`.
const INSTANCE_VARIABLE: &str = "AWS_SDK_UA_APP_ID=";

/// Returns the instance, such as `feed.3`, that holds the socket from one local port to another. The name is empty if
/// the process isn't a function's. Returns `None` if no process is found.
pub(super) fn instance_at(lambda: &Lambda, from: u16, to: u16) -> Option<String> {
    let socket = format!("socket:[{}]", socket_inode(from, to)?);
    let mut known = lambda.processes().into_iter();
    if let Some((_, instance)) = known.find(|(pid, _)| holds(*pid, &socket)) {
        return Some(instance);
    }
    // The process may have just started, or may be another program, such as the operators' tool.
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let mut all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holder = all.find(|pid| holds(*pid, &socket))?;
    instance_name(&std::fs::read(format!("/proc/{holder}/environ")).ok()?)
}

fn holds(pid: u32, socket: &str) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    open.flatten().any(|entry| {
        std::fs::read_link(entry.path()).is_ok_and(|link| link.to_str() == Some(socket))
    })
}

/// Returns the instance's name from a process's environment, which is empty if the process isn't a function's. Returns
/// `None` if the process has no environment yet.
fn instance_name(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let name = variables.find_map(|variable| variable.strip_prefix(INSTANCE_VARIABLE.as_bytes()));
    let name = name.map(|name| String::from_utf8_lossy(name).into_owned());
    (!environment.is_empty()).then(|| name.unwrap_or_default())
}

/// Returns the inode of the socket that connects one local port to another, from `/proc/net/tcp`.
///
/// Both ports matter: the kernel may use one local port for several connections with different destinations.
fn socket_inode(from: u16, to: u16) -> Option<String> {
    // Not read whole: the kernel makes the table as it is read, and after many connections it is long.
    let table = BufReader::new(File::open("/proc/net/tcp").ok()?);
    let [from, to] = [from, to].map(|port| format!("0100007F:{port:04X}"));
    table.lines().map_while(Result::ok).find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let inode = (columns.next()? == from && columns.next()? == to)
            .then(|| columns.nth(6))
            .flatten()?;
        // A closed connection lingers without an inode.
        (inode != "0").then(|| inode.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use tokio::net::{TcpListener, TcpSocket};

    use super::socket_inode;

    #[tokio::test]
    async fn connections_sharing_a_port_are_distinguished() {
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
}
