//! macOS has no pidfd: a kqueue tells of the end, and the start time is read again right before a signal.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use super::{Features, PidfdError};
use crate::domain::{Exit, Pid, ProcId, Signal};
use crate::sys::proc;

fn last_error() -> PidfdError {
    PidfdError::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

pub(super) fn open(pid: Pid) -> Result<OwnedFd, PidfdError> {
    // SAFETY: takes nothing, gives a new descriptor or -1.
    let raw = unsafe { libc::kqueue() };
    if raw < 0 {
        return Err(last_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    let ident = libc::uintptr_t::try_from(pid.get()).map_err(|_| PidfdError::Gone)?;
    let change = libc::kevent {
        ident,
        filter: libc::EVFILT_PROC,
        flags: libc::EV_ADD,
        fflags: libc::NOTE_EXIT,
        data: 0,
        udata: std::ptr::null_mut(),
    };
    // SAFETY: one change is read, no event is written.
    let added = unsafe {
        libc::kevent(fd.as_raw_fd(), &raw const change, 1, std::ptr::null_mut(), 0, std::ptr::null())
    };
    if added < 0 { Err(last_error()) } else { Ok(fd) }
}

pub(super) fn send(_fd: &OwnedFd, id: ProcId, signal: Signal) -> Result<(), PidfdError> {
    // The best that is possible here: the number could be given away between these two lines, and only there.
    if !proc::is_alive(id) {
        return Err(PidfdError::Gone);
    }
    // SAFETY: two numbers; the process number is above 1.
    if unsafe { libc::kill(id.pid.get(), signal.number()) } == 0 { Ok(()) } else { Err(last_error()) }
}

pub(super) fn exit(_fd: &OwnedFd) -> Result<Option<Exit>, PidfdError> {
    // NOTE_EXITSTATUS is for one's own children only.
    Err(PidfdError::Unsupported)
}

pub(super) fn probe() -> Features {
    Features::default()
}

pub(super) fn send_group(_fd: &OwnedFd, _signal: Signal) -> Result<(), PidfdError> {
    Err(PidfdError::Unsupported)
}
