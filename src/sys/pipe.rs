//! The pipe that a service writes its output into.
//!
//! Its read end is held by the keeper, on a high descriptor by the service itself, and in reserve by the supervisor: what
//! was written stays in the pipe when the keeper is killed, and the writer is not ended by SIGPIPE. Whoever goes on
//! reading knows the pipe by its [`PipeId`].

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

/// The descriptor of the read end in a service's processes, below that of the mark. A low limit moves it.
#[cfg(target_os = "linux")]
const SPARE: u64 = 998;

/// Whether services hold the read end of their own output here, so that it can be found again without a keeper.
pub const OUTLIVES_ITS_READER: bool = cfg!(target_os = "linux");

/// Which pipe: the same for all who hold it, as long as one does. The numbers of a pipe that is gone come back one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipeId {
    device: u64,
    inode: u64,
}

/// Which pipe this is.
pub fn identify(pipe: BorrowedFd<'_>) -> io::Result<PipeId> {
    use rustix::fs::FileType;

    let stat = rustix::fs::fstat(pipe)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    #[allow(clippy::useless_conversion, clippy::cast_sign_loss, reason = "its width differs between systems")]
    let device = stat.st_dev as u64;
    Ok(PipeId { device, inode: stat.st_ino })
}

/// Moves a read end to where it can stay in a service: on a descriptor that few programs look at.
#[cfg(target_os = "linux")]
#[must_use]
pub fn out_of_the_way(pipe: OwnedFd) -> OwnedFd {
    let number = super::proc::descriptor_limit().saturating_sub(2).min(SPARE);
    let number = i32::try_from(number).unwrap_or(0);
    rustix::io::fcntl_dupfd_cloexec(&pipe, number).unwrap_or(pipe)
}

/// Services hold no read end here: nobody could find it again.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn out_of_the_way(pipe: OwnedFd) -> OwnedFd {
    pipe
}

/// A read end of this pipe of one's own, by way of a process that holds it in any form. Never waits.
#[cfg(target_os = "linux")]
#[must_use]
pub fn held_by(pid: i32, pipe: PipeId) -> Option<OwnedFd> {
    let inodes = format!("pipe:[{}]", pipe.inode);
    let usual = super::proc::descriptor_limit().saturating_sub(2).min(SPARE);
    let dir = format!("/proc/{pid}/fd");
    // Where it is in most cases, without a list of all that the process holds.
    let usual = reopen(&format!("{dir}/{usual}"), pipe);
    usual.or_else(|| {
        let entries = std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
        let mut held = entries.filter(|path| std::fs::read_link(path).is_ok_and(|to| *to == *inodes));
        held.find_map(|path| reopen(path.to_str()?, pipe))
    })
}

/// No process shows its descriptors here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn held_by(_pid: i32, _pipe: PipeId) -> Option<OwnedFd> {
    None
}

/// Opens the read end behind a link of `/proc`, if it leads to this very pipe.
#[cfg(target_os = "linux")]
fn reopen(link: &str, pipe: PipeId) -> Option<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::{AsFd as _, AsRawFd as _};

    // Held first and opened then: to open whatever else might stand there by now could do harm.
    let held = open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    if identify(held.as_fd()).ok()? != pipe {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open(format!("/proc/self/fd/{}", held.as_raw_fd()), flags, Mode::empty()).ok()
}

/// Copies what is next in a pipe into the buffer and takes nothing away from it. Never waits: `WouldBlock` where nothing
/// is there, 0 where nobody can write any more, `Unsupported` where the system cannot.
#[cfg(target_os = "linux")]
pub fn look(pipe: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    use rustix::pipe::{SpliceFlags, tee};
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    let (mut out, into) = io::pipe().map_err(|_| io::ErrorKind::Unsupported)?;
    let count = match tee(pipe, into.as_fd(), buffer.len(), SpliceFlags::NONBLOCK) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            return Err(io::ErrorKind::Unsupported.into());
        }
        other => other?,
    };
    let seen = buffer.get_mut(..count).unwrap_or_default();
    out.read_exact(seen)?;
    Ok(count)
}

/// This system has no tee.
#[cfg(not(target_os = "linux"))]
pub fn look(_pipe: BorrowedFd<'_>, _buffer: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

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
