//! Where a probe connects to, without a resolver where none is needed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};

use crate::sys::socket;

/// Where the ports of outgoing connections begin on Linux (`ip_local_port_range`) by default; on macOS higher.
const OUTGOING: u16 = 32_768;

/// A host and a port.
#[derive(Debug)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    /// Known without a resolver.
    addresses: Vec<SocketAddr>,
    local: bool,
}

impl Endpoint {
    /// `localhost` is both loopback addresses; IPv6 addresses may stand in brackets.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let lower = bare.trim_end_matches('.').to_ascii_lowercase();
        let addresses: Vec<IpAddr> = if lower == "localhost" || lower.ends_with(".localhost") {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else {
            bare.parse().into_iter().collect()
        };
        let local = addresses.iter().any(|address| {
            let address = address.to_canonical();
            // The kernel connects to the unspecified address as to loopback.
            address.is_loopback() || address.is_unspecified()
        });
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        Self { host: bare.to_owned(), port, addresses, local }
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub(super) fn text(&self) -> String {
        format!("{}:{}", self.host_text(), self.port)
    }

    /// The value of the `Host` header: without the port of the scheme.
    pub(super) fn host_header(&self) -> String {
        if self.port == 80 { self.host_text() } else { self.text() }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is this machine's own loopback, where a listener has an owner that can be seen.
    pub(super) fn is_local(&self) -> bool {
        self.local
    }

    /// Makes a new connection to the first address that takes one.
    pub(super) async fn connect(&mut self) -> io::Result<TcpStream> {
        if self.addresses.is_empty() {
            let found: Vec<SocketAddr> = lookup_host((self.host.as_str(), self.port)).await?.collect();
            return connect(&found).await.map(|(_, stream)| stream);
        }
        let (place, stream) = connect(&self.addresses).await?;
        // The next time, the one that answered is tried first.
        self.addresses.swap(0, place);
        Ok(stream)
    }

    /// Whether a connection is taken, by the first address that takes one.
    pub(super) async fn answers(&mut self) -> io::Result<()> {
        let mut first = None;
        // On loopback that is known when the call returns: nothing is registered, and nothing woken up for it.
        for place in 0..if self.local { self.addresses.len() } else { 0 } {
            let address = self.addresses[place];
            match socket::connect_at_once(address) {
                Some(Ok(stream)) if met_itself(stream.local_addr(), address) => {
                    first.get_or_insert_with(|| io::ErrorKind::ConnectionRefused.into());
                }
                Some(Ok(_)) => {
                    self.addresses.swap(0, place);
                    return Ok(());
                }
                Some(Err(error)) => {
                    first.get_or_insert(error);
                }
                None => return self.connect().await.map(drop),
            }
        }
        match first {
            Some(error) => Err(error),
            None => self.connect().await.map(drop),
        }
    }

    fn host_text(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

async fn connect(addresses: &[SocketAddr]) -> io::Result<(usize, TcpStream)> {
    let mut first = None;
    for (place, address) in addresses.iter().enumerate() {
        match TcpStream::connect(address).await {
            Ok(stream) if met_itself(stream.local_addr(), *address) => {
                first.get_or_insert_with(|| io::ErrorKind::ConnectionRefused.into());
            }
            Ok(stream) => return Ok((place, stream)),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    Err(first.unwrap_or_else(|| io::Error::other("the name has no address")))
}

/// A connection to a free port in the range of outgoing ones can meet itself: nobody listens there.
fn met_itself(own: io::Result<SocketAddr>, address: SocketAddr) -> bool {
    address.port() >= OUTGOING && own.is_ok_and(|own| own.port() == address.port())
}

/// An error as a fragment for people: no number, no capital.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut chars = text.chars();
            chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_localhost_need_no_resolver() {
        let known = |host: &str| {
            let endpoint = Endpoint::new(host, 3000);
            (endpoint.addresses.len(), endpoint.is_local(), endpoint.text())
        };
        assert_eq!(known("localhost"), (2, true, "localhost:3000".into()));
        assert_eq!(known("API.localhost."), (2, true, "API.localhost.:3000".into()));
        assert_eq!(known("127.0.0.2"), (1, true, "127.0.0.2:3000".into()));
        assert_eq!(known("0.0.0.0"), (1, true, "0.0.0.0:3000".into()));
        assert_eq!(known("::1"), (1, true, "[::1]:3000".into()));
        assert_eq!(known("[::1]"), (1, true, "[::1]:3000".into()));
        assert_eq!(known("::ffff:127.0.0.1"), (1, true, "[::ffff:127.0.0.1]:3000".into()));
        assert_eq!(known("192.0.2.1"), (1, false, "192.0.2.1:3000".into()));
        assert_eq!(known("example.com"), (0, false, "example.com:3000".into()));
        assert_eq!(Endpoint::new("::1", 80).host_header(), "[::1]");
    }

    #[test]
    fn reasons_are_fragments() {
        assert_eq!(reason(&io::Error::from_raw_os_error(libc::ECONNREFUSED)), "connection refused");
        assert_eq!(reason(&io::Error::from_raw_os_error(libc::ENETUNREACH)), "network is unreachable");
    }
}
