//! pidfds of Linux (5.3 and later; groups 6.9; how a process ended 6.15).

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::process::{PidfdFlags, pidfd_open};

use super::{Features, PidfdError};
use crate::domain::{Exit, Pid, ProcId, Signal};
use crate::sys::exit::exit_of_raw;

/// `PIDFD_SIGNAL_PROCESS_GROUP` of linux/pidfd.h.
const TO_GROUP: libc::c_uint = 1 << 2;

/// `struct pidfd_info` of linux/pidfd.h, in its first form: later kernels add at the end and take the shorter one too.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_status: i32,
}

/// `PIDFD_INFO_EXIT`, asked for and answered in `Info::mask`.
const INFO_EXIT: u64 = 1 << 3;
/// `PIDFD_GET_INFO`.
const GET_INFO: Opcode = opcode::read_write::<Info>(0xff, 11);

pub(super) fn exit(fd: &OwnedFd) -> Result<Option<Exit>, PidfdError> {
    let mut info = Info { mask: INFO_EXIT, ..Info::default() };
    // SAFETY: the request says how long the structure is, and it is a local that outlives the call.
    match unsafe { ioctl(fd, Updater::<GET_INFO, Info>::new(&mut info)) } {
        Ok(()) => Ok((info.mask & INFO_EXIT != 0).then(|| exit_of_raw(info.exit_status))),
        // Before 6.13 there is no such request; before 6.15 a process that was reaped is not known any more.
        Err(Errno::NOTTY | Errno::INVAL | Errno::SRCH) => Err(PidfdError::Unsupported),
        Err(error) => Err(PidfdError::from(error.raw_os_error())),
    }
}

/// What this kernel can do with a pidfd, found out with harmless questions: about ourselves, and a child that ends at once.
pub(super) fn probe() -> Features {
    let Ok(own) = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()) else {
        return Features::default();
    };
    // Signal 0 is none: only the kernel's opinion of the flag is heard. `ESRCH`: it knows it, we lead no group.
    let group = match send_raw(&own, 0, TO_GROUP) {
        Ok(()) | Err(PidfdError::Gone | PidfdError::NotPermitted) => true,
        Err(_) => false,
    };
    Features { open: true, group, exit: tells_exits() }
}

/// Whether the end of a process is told after it was reaped: tried with a child.
fn tells_exits() -> bool {
    // SAFETY: the child does nothing but end, which is allowed after a fork whatever threads there are.
    let raw = unsafe {
        match libc::fork() {
            0 => libc::_exit(7),
            raw => raw,
        }
    };
    let Some(child) = rustix::process::Pid::from_raw(raw).filter(|_| raw > 0) else { return false };
    // It is not reaped: the number is its own.
    let handle = pidfd_open(child, PidfdFlags::empty());
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(raw, std::ptr::null_mut(), 0) } < 0
        && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
    {}
    handle.is_ok_and(|handle| exit(&handle) == Ok(Some(Exit::Code(7))))
}

pub(super) fn open(pid: Pid) -> Result<OwnedFd, PidfdError> {
    let pid = rustix::process::Pid::from_raw(pid.get()).ok_or(PidfdError::Gone)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|error| PidfdError::from(error.raw_os_error()))
}

pub(super) fn send(fd: &OwnedFd, _id: ProcId, signal: Signal) -> Result<(), PidfdError> {
    send_raw(fd, signal.number(), 0)
}

pub(super) fn send_group(fd: &OwnedFd, signal: Signal) -> Result<(), PidfdError> {
    match send_raw(fd, signal.number(), TO_GROUP) {
        // An older kernel refuses the flag.
        Err(PidfdError::Other(libc::EINVAL)) => Err(PidfdError::Unsupported),
        sent => sent,
    }
}

fn send_raw(fd: &OwnedFd, signal: libc::c_int, flags: libc::c_uint) -> Result<(), PidfdError> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: an open descriptor, a number, no siginfo and a known flag: the kernel reads no memory of ours.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, info, flags) };
    if sent == 0 {
        return Ok(());
    }
    Err(PidfdError::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)))
}
