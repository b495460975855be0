//! pidfds of Linux (5.3 and later; groups 6.9).

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::process::{PidfdFlags, pidfd_open};

use super::PidfdError;
use crate::domain::{Pid, ProcId, Signal};

/// `PIDFD_SIGNAL_PROCESS_GROUP` of linux/pidfd.h.
const TO_GROUP: libc::c_uint = 1 << 2;

pub(super) fn open(pid: Pid) -> Result<OwnedFd, PidfdError> {
    let pid = rustix::process::Pid::from_raw(pid.get()).ok_or(PidfdError::Gone)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|error| PidfdError::from(error.raw_os_error()))
}

pub(super) fn send(fd: &OwnedFd, _id: ProcId, signal: Signal) -> Result<(), PidfdError> {
    send_with(fd, signal, 0)
}

pub(super) fn send_group(fd: &OwnedFd, signal: Signal) -> Result<(), PidfdError> {
    match send_with(fd, signal, TO_GROUP) {
        // An older kernel refuses the flag.
        Err(PidfdError::Other(libc::EINVAL)) => Err(PidfdError::Unsupported),
        sent => sent,
    }
}

fn send_with(fd: &OwnedFd, signal: Signal, flags: libc::c_uint) -> Result<(), PidfdError> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: an open descriptor, a number, no siginfo and a known flag: the kernel reads no memory of ours.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal.number(), info, flags) };
    if sent == 0 {
        return Ok(());
    }
    Err(PidfdError::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)))
}
