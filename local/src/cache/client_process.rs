//! Finds the function's process at the other end of a local connection, using Linux's netlink and /proc.

#[cfg(target_os = "linux")]
use {
    netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload},
    netlink_packet_sock_diag::SockDiagMessage,
    netlink_packet_sock_diag::constants::{AF_INET, IPPROTO_TCP},
    netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
    netlink_sys::protocols::NETLINK_SOCK_DIAG,
    netlink_sys::{Socket, SocketAddr},
    std::net::Ipv4Addr,
};

use std::io;

use crate::lambda::Lambda;

/// The variable in a process's environment that holds its instance's name; see `lambda::process`.
const INSTANCE_VARIABLE: &str = "AWS_SDK_UA_APP_ID=";

/// The cookie of a request for a socket whose cookie isn't known.
#[cfg(target_os = "linux")]
const NO_COOKIE: [u8; 8] = [0xFF; 8];

/// Returns the instance, such as `feed.3`, that holds the socket from one local port to another. The name is empty if
/// the process isn't a function's. Returns `None` if no process is found.
///
/// # Errors
/// Fails if the kernel can't be asked for sockets.
pub(super) fn instance_at(lambda: &Lambda, from: u16, to: u16) -> io::Result<Option<String>> {
    let inode = socket_inode(from, to)?;
    Ok(inode.and_then(|inode| holder(lambda, &format!("socket:[{inode}]"))))
}

/// Returns the instance that holds a socket; see [`instance_at`].
fn holder(lambda: &Lambda, socket: &str) -> Option<String> {
    let mut known = lambda.processes().into_iter();
    if let Some((_, instance)) = known.find(|(pid, _)| holds(*pid, socket)) {
        return Some(instance);
    }
    // The process may have just started, or may be another program, such as the operators' tool.
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let mut all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holder = all.find(|pid| holds(*pid, socket))?;
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

/// Returns the inode of the socket that connects one local port to another.
///
/// Asks the kernel for this one socket: generating /proc/net/tcp, which lists all of them, takes milliseconds. Both ports
/// matter: the kernel may use one local port for several connections with different destinations.
#[cfg(target_os = "linux")]
fn socket_inode(from: u16, to: u16) -> io::Result<Option<u32>> {
    let request = InetRequest {
        family: AF_INET,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_address: Ipv4Addr::LOCALHOST.into(),
            source_port: from,
            destination_address: Ipv4Addr::LOCALHOST.into(),
            destination_port: to,
            interface_id: 0,
            cookie: NO_COOKIE,
        },
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
            // A closed connection lingers without an inode.
            Ok(Some(found.header.inode).filter(|inode| *inode != 0))
        }
        NetlinkPayload::Error(error) => match error.to_io() {
            error if error.kind() == io::ErrorKind::NotFound => Ok(None),
            error => Err(error),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn socket_inode(_: u16, _: u16) -> io::Result<Option<u32>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use tokio::net::{TcpListener, TcpSocket};

    use super::socket_inode;

    #[test]
    fn missing_connection_is_not_an_error() {
        assert_eq!(socket_inode(0, 0).unwrap(), None);
    }

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
            let inode = socket_inode(port, to.port()).unwrap().unwrap();
            assert_eq!(held.to_str().unwrap(), format!("socket:[{inode}]"));
        }
    }
}
