//! Listening sockets by `sock_diag(7)`: the kernel is asked for this one state, and walks only the short list of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use super::Listener;

/// Of `linux/sock_diag.h`; the structures are those of `linux/inet_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// A netlink message header, and `struct inet_diag_req_v2` behind it.
const HEADER: usize = 16;
const REQUEST: usize = 56;
/// `TCP_LISTEN` of the kernel's `tcp_states.h`, as a bit.
const LISTENING: u32 = 1 << 10;
/// Where things are in `struct inet_diag_msg`, from the message's beginning.
const SOURCE_PORT: usize = HEADER + 4;
const SOURCE_ADDRESS: usize = HEADER + 8;
const UID: usize = HEADER + 64;
const INODE: usize = HEADER + 68;

/// None where the kernel does not answer (no such module, not allowed): there is another way.
pub(super) fn listeners() -> Option<Vec<Listener>> {
    let socket = open().ok()?;
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        ask(&socket, u8::try_from(family).ok()?).ok()?;
        read_answers(&socket, &mut found)?;
    }
    Some(found)
}

fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: three numbers in, a new descriptor or -1 out.
    let raw = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn ask(socket: &OwnedFd, family: u8) -> io::Result<()> {
    let mut message = [0_u8; HEADER + REQUEST];
    let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).unwrap_or(0);
    let length = u32::try_from(message.len()).unwrap_or(0);
    let protocol = u8::try_from(libc::IPPROTO_TCP).unwrap_or(0);
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in message.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, &length.to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &flags.to_ne_bytes());
    put(HEADER, &[family, protocol]);
    put(HEADER + 4, &LISTENING.to_ne_bytes());
    let sent = rustix::io::write(socket, &message)?;
    if sent == message.len() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
}

/// Reads messages until the kernel says that there are no more; none where it says no.
fn read_answers(socket: &OwnedFd, found: &mut Vec<Listener>) -> Option<()> {
    let mut buffer = vec![0_u8; 32 * 1024];
    loop {
        let to = buffer.as_mut_ptr().cast::<libc::c_void>();
        // SAFETY: at most `len` bytes are written into a buffer of that length.
        let length = unsafe { libc::recv(socket.as_raw_fd(), to, buffer.len(), 0) };
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        if read_datagram(buffer.get(..length)?, found)? {
            return Some(());
        }
    }
}

/// Reads the messages of one datagram; says whether the last one is among them.
pub(in crate::sys) fn read_datagram(mut rest: &[u8], found: &mut Vec<Listener>) -> Option<bool> {
    while rest.len() >= HEADER {
        let length = usize::try_from(u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?)).ok()?;
        let kind = i32::from(u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?));
        if kind == libc::NLMSG_DONE {
            return Some(true);
        }
        if kind == libc::NLMSG_ERROR || length < HEADER || length > rest.len() {
            return None;
        }
        found.extend(rest.get(..length).and_then(parse_message));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(false)
}

fn parse_message(message: &[u8]) -> Option<Listener> {
    let word = |at: usize| Some(u32::from_ne_bytes(message.get(at..at + 4)?.try_into().ok()?));
    let port = u16::from_be_bytes(message.get(SOURCE_PORT..SOURCE_PORT + 2)?.try_into().ok()?);
    let address = message.get(SOURCE_ADDRESS..SOURCE_ADDRESS + 16)?;
    let address = if i32::from(*message.get(HEADER)?) == libc::AF_INET {
        IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address.get(..4)?).ok()?))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?))
    };
    Some(Listener { port, address, uid: word(UID)?, inode: u64::from(word(INODE)?) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {

        #![proptest_config(crate::chance::config())]

        #[test]
        fn any_datagram_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_datagram(&bytes, &mut Vec::new());
        }

        #[test]
        fn any_length_in_a_header_is_read_without_panic(length in any::<u32>(), kind in 0_u16..30, rest in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(rest);
            let _ = read_datagram(&bytes, &mut Vec::new());
        }
    }
}
