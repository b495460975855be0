//! A handle on exactly one process: the only way anything is signalled.

#[cfg(target_os = "linux")]
#[path = "pidfd_linux.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
#[path = "pidfd_macos.rs"]
mod os;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::domain::{Exit, Pid, ProcId, Signal};
use crate::sys::proc;

/// Why a process cannot be held or signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PidfdError {
    /// It has ended; its number may belong to another by now.
    #[error("gone")]
    Gone,
    /// The kernel does not let this user.
    #[error("not permitted")]
    NotPermitted,
    /// The kernel does not have the call.
    #[error("not supported by this system")]
    Unsupported,
    /// No descriptor or memory is left, or anything else: the error number.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Other(i32),
}

impl From<i32> for PidfdError {
    fn from(errno: i32) -> Self {
        match errno {
            libc::ESRCH => Self::Gone,
            libc::EPERM | libc::EACCES => Self::NotPermitted,
            libc::ENOSYS | libc::ENOTSUP => Self::Unsupported,
            other => Self::Other(other),
        }
    }
}

/// What the kernel can do with handles on processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// There are handles that cannot be mistaken (pidfd, Linux 5.3).
    pub open: bool,
    /// A whole group can be signalled by the handle of its leader (Linux 6.9).
    pub group: bool,
    /// How a process ended is told, whoever's child it was (Linux 6.15).
    pub exit: bool,
}

/// What this kernel can do with handles on processes: asked once, with a child that ends at once.
#[must_use]
pub fn features() -> Features {
    static FOUND: OnceLock<Features> = OnceLock::new();
    *FOUND.get_or_init(os::probe)
}

/// A process that cannot be mistaken for another. The descriptor is readable once the process has ended.
#[derive(Debug)]
pub struct Pidfd {
    id: ProcId,
    fd: OwnedFd,
}

impl Pidfd {
    /// Takes hold of exactly this process.
    pub fn open(id: ProcId) -> Result<Self, PidfdError> {
        let fd = os::open(id.pid)?;
        // The number may have been given away before we took hold: only now does a look at the start time count.
        if proc::is_alive(id) { Ok(Self { id, fd }) } else { Err(PidfdError::Gone) }
    }

    /// Which process it is.
    #[must_use]
    pub fn id(&self) -> ProcId {
        self.id
    }

    /// Sends it a signal.
    pub fn send(&self, signal: Signal) -> Result<(), PidfdError> {
        os::send(&self.fd, self.id, signal)
    }

    /// Sends a signal to the process group whose number is this process's (Linux 6.9; else `Unsupported`).
    pub fn send_group(&self, signal: Signal) -> Result<(), PidfdError> {
        os::send_group(&self.fd, signal)
    }

    /// How it ended, whoever's child it was: also where nobody recorded it (Linux 6.15).
    ///
    /// None while it lives, and until its parent has reaped it. `Unsupported` where the kernel does not tell: an older
    /// one refuses only once the process is gone, so this is asked again at the end and not believed before.
    pub fn exit(&self) -> Result<Option<Exit>, PidfdError> {
        os::exit(&self.fd)
    }

    /// Whether it has ended, all its threads included.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

/// Waits until one of these processes has ended, at most so long.
pub fn wait_any(processes: &[Pidfd], patience: Duration) {
    let mut fds: Vec<_> = processes.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
    // A wait that was interrupted is a look too early, which does no harm.
    let _ = poll(&mut fds, Timespec::try_from(patience).ok().as_ref());
}

/// Waits for the end of a child that was not reaped yet (so its number is its own), at most so long.
pub(super) fn await_child(child: Pid, patience: Duration) {
    let Ok(fd) = os::open(child) else { return };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let patience = Timespec::try_from(patience).ok();
    // Its end or the end of our patience: the caller looks again.
    let _ = poll(&mut fds, patience.as_ref());
}

impl From<Pidfd> for OwnedFd {
    fn from(process: Pidfd) -> Self {
        process.fd
    }
}

impl AsRawFd for Pidfd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::domain::Pid;

    fn spawn() -> (std::process::Child, ProcId) {
        let child = Command::new("sleep").arg("61.7").spawn().expect("sleep exists");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::new).expect("a pid");
        let id = proc::identify(pid).expect("it runs");
        (child, id)
    }

    #[test]
    fn exactly_this_process_is_signalled_and_its_end_seen() {
        let (mut child, id) = spawn();
        let other = ProcId { start: id.start + 1, ..id };
        assert_eq!(Pidfd::open(other).expect_err("another start is another process"), PidfdError::Gone);
        let handle = Pidfd::open(id).expect("it runs");
        assert!(!handle.has_ended());
        handle.send(Signal::KILL).expect("it is ours");
        let mut fds = [PollFd::new(&handle, PollFlags::IN)];
        poll(&mut fds, None).expect("its end can be awaited");
        assert!(handle.has_ended());
        // Not reaped yet: a zombie without threads counts as gone.
        assert_eq!(Pidfd::open(id).expect_err("it has ended"), PidfdError::Gone);
        child.wait().expect("it can be reaped");
        assert_eq!(handle.send(Signal::TERM), Err(PidfdError::Gone));
    }

    /// The kernel keeps how a process ended for those who held it: here for a process that is reaped by another hand.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_end_of_a_process_is_told_after_it_was_reaped() {
        for (script, wanted) in
            [("read x; exit 7", Exit::Code(7)), ("read x; kill -9 $$", Exit::Signal(Signal::KILL))]
        {
            let mut child =
                Command::new("/bin/sh").args(["-c", script]).stdin(std::process::Stdio::piped()).spawn();
            let child = child.as_mut().expect("sh exists");
            let pid = i32::try_from(child.id()).ok().and_then(Pid::new).expect("a pid");
            let handle = Pidfd::open(proc::identify(pid).expect("it runs")).expect("it runs");
            assert!(matches!(handle.exit(), Ok(None) | Err(PidfdError::Unsupported)), "{:?}", handle.exit());
            drop(child.stdin.take());
            poll(&mut [PollFd::new(&handle, PollFlags::IN)], None).expect("its end can be awaited");
            // Nobody has reaped it: the kernel does not say yet, and we do not guess.
            assert!(matches!(handle.exit(), Ok(None) | Err(PidfdError::Unsupported)), "{:?}", handle.exit());
            child.wait().expect("it can be reaped");
            match handle.exit() {
                Err(PidfdError::Unsupported) => assert!(!features().exit, "it was promised"),
                told => assert_eq!(told, Ok(Some(wanted))),
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_leads_no_group_gets_no_group_signal() {
        let (mut child, id) = spawn();
        let handle = Pidfd::open(id).expect("it runs");
        // It shares the group of this test: the kernel must not take the number for a group, and we live on.
        assert!(handle.send_group(Signal::TERM).is_err());
        handle.send(Signal::KILL).expect("it is ours");
        child.wait().expect("it can be reaped");
    }
}
