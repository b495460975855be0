//! Who listens on which TCP port of this network namespace.

#[cfg(target_os = "linux")]
#[path = "ports_linux.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
mod os {
    /// Nobody to ask.
    pub(super) fn listeners() -> Option<Vec<super::Listener>> {
        None
    }
}

#[cfg(all(any(test, fuzzing), target_os = "linux"))]
pub(super) use os::read_datagram;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sys::proc;

/// One listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// The address that it listens on.
    pub address: IpAddr,
    /// The user who opened it.
    pub uid: u32,
    /// Its inode, by which its holders are found.
    pub inode: u64,
}

/// All listening TCP sockets, IPv4 and IPv6. Empty where the system does not show them (macOS).
#[must_use]
pub fn listeners() -> Vec<Listener> {
    os::listeners().unwrap_or_else(from_text)
}

/// The slow way: to fill its buffer the kernel walks through all connections as well (7 ms and more).
fn from_text() -> Vec<Listener> {
    text_of("self").unwrap_or_default()
}

/// All listening TCP sockets where this process is: its network may be another than ours. None where it cannot be seen.
#[must_use]
pub fn listeners_within(pid: i32) -> Option<Vec<Listener>> {
    text_of(&pid.to_string())
}

fn text_of(process: &str) -> Option<Vec<Listener>> {
    let (mut found, mut seen) = (Vec::new(), false);
    for table in ["tcp", "tcp6"] {
        // No IPv6, no file: nothing listens there.
        let Ok(file) = File::open(format!("/proc/{process}/net/{table}")) else { continue };
        seen = true;
        // The kernel lists listening sockets first (proc_net_tcp): a machine with many connections is not read whole.
        for line in BufReader::new(file).split(b'\n').map_while(Result::ok).skip(1) {
            match parse_line(&line) {
                Some(Line::Listening(listener)) => found.push(listener),
                Some(Line::Connected) => break,
                None => {}
            }
        }
    }
    seen.then_some(found)
}

/// The first of these processes that holds each of these sockets. What may not be read is passed over.
#[must_use]
pub fn owners(inodes: &BTreeSet<u64>, pids: &[i32]) -> BTreeMap<u64, i32> {
    let mut found = BTreeMap::new();
    for pid in pids {
        if found.len() == inodes.len() {
            break;
        }
        for inode in proc::sockets(*pid).into_iter().filter(|inode| inodes.contains(inode)) {
            found.entry(inode).or_insert(*pid);
        }
    }
    found
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Listening(Listener),
    Connected,
}

/// One line of `/proc/net/tcp` or `tcp6`.
pub(super) fn parse_line(line: &[u8]) -> Option<Line> {
    let text = std::str::from_utf8(line).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    // TCP_LISTEN of the kernel's tcp_states.h.
    if fields.nth(1)? != "0A" {
        return Some(Line::Connected);
    }
    let port = u16::from_str_radix(port, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Line::Listening(Listener { port, address: parse_address(address)?, uid, inode }))
}

/// An address as the kernel prints it: words of 32 bits in the machine's own order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let mut bytes = [0_u8; 16];
            for (to, from) in bytes.iter_mut().zip(words.iter().flatten()) {
                *to = *from;
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = b"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41235 1 0 100 0 0 10 0";
        let expected = Listener { port: 8080, address: Ipv4Addr::LOCALHOST.into(), uid: 1000, inode: 41235 };
        assert_eq!(parse_line(line), Some(Line::Listening(expected)));
        let line = b"   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0 100 0 0 10 0";
        let expected = Listener { port: 80, address: Ipv6Addr::LOCALHOST.into(), uid: 0, inode: 7 };
        assert_eq!(parse_line(line), Some(Line::Listening(expected)));
        let line = b"   1: 0100007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000  1000        0 41236 1 0 100 0 0 10 0";
        assert_eq!(parse_line(line), Some(Line::Connected));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_listener_is_found_with_us_as_its_owner() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = TcpListener::bind(address) else { continue };
            let port = socket.local_addr().expect("it is bound").port();
            let mine = |all: Vec<Listener>| -> Vec<Listener> {
                all.into_iter().filter(|one| one.port == port).collect()
            };
            let found = mine(listeners());
            assert_eq!(found.len(), 1);
            // The quick way and the slow way say the same.
            assert_eq!(os::listeners().map(mine), Some(found.clone()));
            assert_eq!(mine(from_text()), found);
            assert!(found[0].address.is_loopback());
            let me = i32::try_from(std::process::id()).expect("a pid");
            let owners = owners(&BTreeSet::from([found[0].inode]), &[me]);
            assert_eq!(owners.get(&found[0].inode), Some(&me));
        }
    }

    proptest! {

        #![proptest_config(crate::chance::config())]

        #[test]
        fn any_line_is_read_without_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_line(&line);
        }

        #[test]
        fn any_field_is_read_without_panic(fields in proptest::collection::vec("[0-9A-Fx:é]{0,33}", 0..14)) {
            let _ = parse_line(fields.join(" ").as_bytes());
        }
    }
}
