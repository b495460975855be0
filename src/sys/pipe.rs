//! The pipe that a service writes its output into.

use std::io;
use std::os::fd::BorrowedFd;

/// Bytes that wait in the pipe.
#[must_use]
pub fn waiting(pipe: BorrowedFd<'_>) -> usize {
    rustix::io::ioctl_fionread(pipe).ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

/// Moves up to `most` bytes from a pipe to another one or to a file's present position, without a way through this
/// process's memory. Never waits: `WouldBlock` where nothing can be moved now, 0 where nobody can write any more,
/// `Unsupported` where the file system cannot.
#[cfg(target_os = "linux")]
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
    use rustix::pipe::SpliceFlags;

    match rustix::pipe::splice(from, None, to, None, most, SpliceFlags::NONBLOCK) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        other => Ok(other?),
    }
}

/// This system has no splice.
#[cfg(not(target_os = "linux"))]
pub fn splice(_from: BorrowedFd<'_>, _to: BorrowedFd<'_>, _most: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Asks for a pipe that holds so many bytes, and says whether it does now. It stays as it is where this user's share of
/// pipe memory is used up.
#[must_use]
pub fn grow(pipe: BorrowedFd<'_>, bytes: usize) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::pipe::fcntl_setpipe_size(pipe, bytes).is_ok_and(|now| now >= bytes);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (pipe, bytes);
        false
    }
}
