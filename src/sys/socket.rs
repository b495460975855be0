//! Unix sockets: paths of any length, and who is at the other end.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

/// What the kernel takes as a path (one byte less than `sun_path`, on the system where that is shortest).
const LONGEST_PATH: usize = 103;

#[cfg(target_os = "linux")]
#[expect(clippy::cast_possible_truncation, reason = "a few bytes")]
const UCRED_SIZE: libc::socklen_t = size_of::<libc::ucred>() as libc::socklen_t;

/// Listens at a path of any length; only this user can connect. A stale socket there is replaced.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    bind(path, |path| UnixListener::bind(path))
}

/// Connects to a path of any length.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    at_any_length(path, |path| UnixStream::connect(path))
}

/// A TCP connection that was taken or refused when the call returned, as on loopback; none where it would have to be
/// waited for.
#[cfg(target_os = "linux")]
#[must_use]
pub fn connect_at_once(address: SocketAddr) -> Option<io::Result<TcpStream>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = match socket_with(family, SocketType::STREAM, flags, None) {
        Ok(socket) => socket,
        Err(error) => return Some(Err(error.into())),
    };
    let taken = match rustix::net::connect(&socket, &address) {
        // The answer has come meanwhile, or not.
        Err(rustix::io::Errno::INPROGRESS) => {
            let mut asked = [PollFd::new(&socket, PollFlags::OUT)];
            if !matches!(poll(&mut asked, Some(&Timespec::default())), Ok(1..)) {
                return None;
            }
            sockopt::socket_error(&socket).and_then(|told| told)
        }
        taken => taken,
    };
    Some(taken.map(|()| TcpStream::from(socket)).map_err(io::Error::from))
}

/// Here it is always waited for.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn connect_at_once(_address: SocketAddr) -> Option<io::Result<TcpStream>> {
    None
}

/// A datagram socket at a path of any length; only this user can write to it. Each datagram comes with its sender's user.
pub fn datagram(path: &Path) -> io::Result<UnixDatagram> {
    let socket = bind(path, |path| UnixDatagram::bind(path))?;
    with_credentials(socket)
}

/// As [`datagram`], in Linux's abstract namespace, where names belong to no directory and any user can write.
#[cfg(target_os = "linux")]
pub fn abstract_datagram(name: &str) -> io::Result<UnixDatagram> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    with_credentials(UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?)
}

/// This system has no such names.
#[cfg(not(target_os = "linux"))]
pub fn abstract_datagram(_name: &str) -> io::Result<UnixDatagram> {
    Err(io::ErrorKind::Unsupported.into())
}

fn bind<S>(path: &Path, make: impl Fn(&Path) -> io::Result<S>) -> io::Result<S> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A mode set afterwards would leave a moment in which others can connect.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let socket = at_any_length(path, make);
    rustix::process::umask(before);
    socket
}

/// A path that is too long for a socket address is reached through its directory's descriptor.
fn at_any_length<S>(path: &Path, make: impl Fn(&Path) -> io::Result<S>) -> io::Result<S> {
    if path.as_os_str().len() <= LONGEST_PATH {
        return make(path);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = std::fs::File::open(parent)?;
    make(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))
}

/// The user at the other end.
#[cfg(target_os = "linux")]
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    peer(stream).map(|peer| peer.uid)
}

/// The number of the process at the other end: for a client, of the one that listens. 0 where it has none in this
/// PID namespace.
#[cfg(target_os = "linux")]
pub fn peer_pid(stream: &UnixStream) -> io::Result<i32> {
    peer(stream).map(|peer| peer.pid)
}

#[cfg(target_os = "linux")]
fn peer(stream: &UnixStream) -> io::Result<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = UCRED_SIZE;
    // SAFETY: the buffer is a local of exactly `size` bytes.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    if result == 0 { Ok(peer) } else { Err(io::Error::last_os_error()) }
}

/// The user at the other end.
#[cfg(not(target_os = "linux"))]
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both numbers are locals.
    let result = unsafe { libc::getpeereid(stream.as_raw_fd(), &raw mut uid, &raw mut gid) };
    if result == 0 { Ok(uid) } else { Err(io::Error::last_os_error()) }
}

/// The number of the process at the other end: for a client, of the one that listens.
#[cfg(not(target_os = "linux"))]
pub fn peer_pid(stream: &UnixStream) -> io::Result<i32> {
    let mut pid: libc::pid_t = 0;
    let mut size = size_of::<libc::pid_t>() as libc::socklen_t;
    // SAFETY: the buffer is a local of exactly `size` bytes.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_LOCAL,
            libc::LOCAL_PEERPID,
            (&raw mut pid).cast(),
            &raw mut size,
        )
    };
    if result == 0 { Ok(pid) } else { Err(io::Error::last_os_error()) }
}

#[cfg(target_os = "linux")]
fn with_credentials(socket: UnixDatagram) -> io::Result<UnixDatagram> {
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(not(target_os = "linux"))]
fn with_credentials(socket: UnixDatagram) -> io::Result<UnixDatagram> {
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes one datagram: its length and, where the kernel tells it, the sender's user. Descriptors that come along are
/// closed by the kernel (which is what `sd_notify`'s barrier waits for).
#[cfg(target_os = "linux")]
pub fn receive(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<(usize, Option<u32>)> {
    // Aligned as a control message must be, with room for the credentials and for nothing else.
    let mut control = [0_u64; 6];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all fields are plain data, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: a pure computation.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(UCRED_SIZE) } as _;
    // SAFETY: the header names locals that outlive the call.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    let mut uid = None;
    // SAFETY: the kernel filled the control buffer; the macro stays within `msg_controllen`.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    // SAFETY: a header that is not null lies within the control buffer.
    let kind = unsafe { first.as_ref() }.map(|header| (header.cmsg_level, header.cmsg_type));
    if kind == Some((libc::SOL_SOCKET, libc::SCM_CREDENTIALS)) {
        // SAFETY: a message of this type holds one `ucred`, perhaps not aligned.
        uid = Some(unsafe { libc::CMSG_DATA(first).cast::<libc::ucred>().read_unaligned() }.uid);
    }
    Ok((count, uid))
}

/// Takes one datagram: its length; the sender is unknown here.
#[cfg(not(target_os = "linux"))]
pub fn receive(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<(usize, Option<u32>)> {
    socket.recv(buffer).map(|count| (count, None))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::sys::users::own_uid;

    #[cfg(target_os = "linux")]
    #[test]
    fn loopback_takes_or_refuses_a_connection_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let taken = connect_at_once(address).expect("at once").expect("it listens");
        assert_eq!(taken.peer_addr().expect("it is connected"), address);
        let nobody = SocketAddr::from(([127, 255, 0, 7], 1));
        let refused = connect_at_once(nobody).expect("at once").expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_long_path_is_no_hindrance() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("x".repeat(200));
        std::fs::create_dir(&deep).expect("a deep one");
        let path = deep.join("keeper.sock");
        let listener = listen(&path).expect("listens");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let _client = connect(&path).expect("connects");
        let (peer, _) = listener.accept().expect("accepts");
        assert_eq!(u32::try_from(peer_pid(&peer).expect("known")), Ok(std::process::id()));
        assert_eq!(peer_uid(&peer).expect("known"), own_uid());
        // A stale socket is replaced.
        drop(listener);
        listen(&path).expect("listens again");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_datagram_comes_with_its_sender() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let socket = datagram(&path).expect("binds");
        let sender = UnixDatagram::unbound().expect("a socket");
        sender.send_to(b"READY=1", &path).expect("sent");
        let mut buffer = [0; 64];
        assert_eq!(receive(&socket, &mut buffer).expect("received"), (7, Some(own_uid())));
        assert_eq!(
            receive(&socket, &mut buffer).expect_err("nothing more").kind(),
            io::ErrorKind::WouldBlock
        );
    }
}
