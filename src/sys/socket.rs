//! Unix sockets: paths of any length, and who is at the other end.

use std::io;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

/// Listens at a path of any length; only this user can connect. A stale socket there is replaced.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    todo!("{}", path.display())
}

/// Connects to a path of any length.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    todo!("{}", path.display())
}

/// The user at the other end.
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    todo!("{stream:?}")
}

/// A datagram socket at a path, or (`@name`) in the abstract namespace.
pub fn datagram(path: &Path) -> io::Result<UnixDatagram> {
    todo!("{}", path.display())
}
