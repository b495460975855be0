//! Tells when a file is written or a name appears in a directory: readiness on one descriptor, no polling.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[cfg(target_os = "linux")]
#[path = "watch_linux.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
#[path = "watch_kqueue.rs"]
mod os;

pub use os::Watch;

/// What is watched: the same file or directory has the same number within one [`Watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(i32);

/// What a [`Watch`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stirred {
    /// What was written to; none where the kernel lost count: anything may have changed.
    pub id: Option<WatchId>,
    /// The name that appeared in a directory, where the system tells it.
    pub name: Option<OsString>,
}

impl Watch {
    /// Waits until something stirred; false when the reader of `out` has gone away.
    pub fn wait(&self, out: BorrowedFd<'_>) -> io::Result<bool> {
        loop {
            // No events are asked of `out`: errors and hang-ups are told all the same.
            let mut fds =
                [PollFd::new(self, PollFlags::IN), PollFd::from_borrowed_fd(out, PollFlags::empty())];
            match poll(&mut fds, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
            return Ok(!fds[1].revents().intersects(gone));
        }
    }
}

/// What owns one descriptor for all its life.
///
/// # Safety
///
/// `as_raw_fd` gives the same open descriptor until the value is dropped.
pub unsafe trait OneFd: AsRawFd {}

// SAFETY: it owns its descriptor and never replaces it.
unsafe impl OneFd for OwnedFd {}
// SAFETY: it shares one that owns its descriptor and never replaces it.
unsafe impl OneFd for std::rc::Rc<super::pidfd::Pidfd> {}
// SAFETY: it owns its descriptor and never replaces it.
unsafe impl OneFd for Watch {}
// SAFETY: it owns its descriptor and never replaces it.
unsafe impl OneFd for super::watch_group::Group {}

/// Waits for this descriptor in the present tokio runtime.
pub fn readable<T: OneFd>(inner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor stays open and the same for as long as the `AsyncFd` owns `inner` (see `OneFd`).
    unsafe { AsyncFd::register_with_interest(inner, Interest::READABLE) }.map_err(io::Error::from)
}

/// From now on Ctrl-C ends this process at once with `code`: for a program that has nothing to tidy up.
pub fn exit_on_interrupt(code: i32) -> io::Result<()> {
    extern "C" fn leave(_: libc::c_int) {
        // SAFETY: `_exit` is async-signal-safe and does not return.
        unsafe { libc::_exit(CODE.load(std::sync::atomic::Ordering::Relaxed)) }
    }
    static CODE: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(130);
    CODE.store(code, std::sync::atomic::Ordering::Relaxed);
    // SAFETY: an all-zero sigaction is valid (no flags, empty mask); the handler has the right signature and makes one
    // async-signal-safe call.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = leave as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigaction(libc::SIGINT, &raw const action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
