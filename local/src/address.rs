//! The addresses by which functions and clients call the load balancer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The load balancer's URLs, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The address of this machine that functions and this program use.
    pub(crate) own: String,
    /// The address that clients use, wherever they are. Tokens and the URLs of pictures and uploads contain it.
    pub(crate) public: String,
}

impl Addresses {
    /// Returns placeholders for a stack that doesn't run.
    pub(crate) fn placeholders() -> Self {
        let url = "http://127.0.0.1".to_owned();
        Self {
            own: url.clone(),
            public: url,
        }
    }

    /// Derives the addresses of a listener on `bound` that was started for `host`. `public` overrides the clients'
    /// address.
    pub(crate) fn new(host: &str, bound: SocketAddr, public: Option<&str>) -> Self {
        let (ip, port) = (bound.ip(), bound.port());
        let own = match ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let url = |ip| format!("http://{}", SocketAddr::new(ip, port));
        let public = match public {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if ip.is_unspecified() => url(network_address(ip).unwrap_or(own)),
            None if host.parse::<IpAddr>().is_ok() => url(ip),
            None => format!("http://{host}:{port}"),
        };
        Self {
            own: url(own),
            public,
        }
    }
}

/// Returns this machine's address in its network: the source address of packets to the outside. Sends no packets.
fn network_address(unspecified: IpAddr) -> Option<IpAddr> {
    // Addresses reserved for documentation, which are routed like any outside address.
    let outside: IpAddr = match unspecified {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((unspecified, 0)).ok()?;
    socket.connect((outside, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn public_address_has_the_given_host_and_own_address_an_ip() {
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
    fn unspecified_address_is_never_public() {
        let found = Addresses::new("0.0.0.0", "0.0.0.0:8080".parse().unwrap(), None);
        assert!(!found.public.contains("0.0.0.0"), "{}", found.public);
    }
}
