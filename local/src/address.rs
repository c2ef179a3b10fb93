//! Where the load balancer listens, and by which address clients and functions call it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The load balancer's addresses, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// By which functions and this program call it: an address of this machine.
    pub(crate) own: String,
    /// By which clients call it, wherever they are: what tokens, pictures and uploads name.
    pub(crate) public: String,
}

impl Addresses {
    /// Of a stack that isn't started.
    pub(crate) fn nowhere() -> Self {
        let url = "http://127.0.0.1".to_owned();
        Self {
            own: url.clone(),
            public: url,
        }
    }

    /// Of what listens on `bound` since it was told `host`; `public` is what clients use, if that is another.
    pub(crate) fn new(host: &str, bound: SocketAddr, public: Option<&str>) -> Self {
        let (ip, port) = (bound.ip(), bound.port());
        let here = match ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let url = |ip| format!("http://{}", SocketAddr::new(ip, port));
        let public = match public {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if ip.is_unspecified() => url(in_network(ip).unwrap_or(here)),
            None if host.parse::<IpAddr>().is_ok() => url(ip),
            None => format!("http://{host}:{port}"),
        };
        Self {
            own: url(here),
            public,
        }
    }
}

/// This machine's address in its network: the one it would send from. Nothing is sent.
fn in_network(unspecified: IpAddr) -> Option<IpAddr> {
    // Addresses kept for documentation: a route to them is a route to the network.
    let elsewhere: IpAddr = match unspecified {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((unspecified, 0)).ok()?;
    socket.connect((elsewhere, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn clients_use_the_name_that_was_given_and_functions_this_machines_address() {
        for (host, bound, public, expected) in [
            (
                "127.0.0.1",
                "127.0.0.1:8080",
                None,
                ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ),
            (
                "localhost",
                "127.0.0.1:8080",
                None,
                ("http://127.0.0.1:8080", "http://localhost:8080"),
            ),
            (
                "cats.local",
                "192.0.2.7:80",
                None,
                ("http://192.0.2.7:80", "http://cats.local:80"),
            ),
            (
                "::1",
                "[::1]:8080",
                None,
                ("http://[::1]:8080", "http://[::1]:8080"),
            ),
            (
                "0.0.0.0",
                "0.0.0.0:8080",
                Some("https://cats.example/"),
                ("http://127.0.0.1:8080", "https://cats.example"),
            ),
        ] {
            let found = Addresses::new(host, bound.parse().unwrap(), public);
            assert_eq!(
                (found.own.as_str(), found.public.as_str()),
                expected,
                "{host}"
            );
        }
    }

    #[test]
    fn whatever_listens_everywhere_is_called_by_an_address() {
        let found = Addresses::new("0.0.0.0", "0.0.0.0:8080".parse().unwrap(), None);
        assert!(!found.public.contains("0.0.0.0"), "{}", found.public);
    }
}
