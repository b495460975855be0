//! This program itself: how it starts itself anew, and its random numbers.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::domain::{Exit, Pid, ProcId};
use crate::sys::exit::exit_of_raw;
use crate::sys::proc;

/// This program, to be started once more under the name `devstack`.
///
/// On Linux by `/proc/self/exe`: it stays the same program even when its file was replaced by an upgrade meanwhile.
#[must_use]
pub fn itself() -> Command {
    let mut command = Command::new(own_program());
    command.arg0("devstack");
    command
}

/// This program's file, as a process of this program names it.
#[must_use]
pub fn own_program() -> PathBuf {
    #[cfg(target_os = "linux")]
    return PathBuf::from("/proc/self/exe");
    #[cfg(not(target_os = "linux"))]
    return std::env::current_exe().unwrap_or_else(|_| "devstack".into());
}

/// Random bytes of the kernel.
#[cfg(target_os = "linux")]
pub fn random_bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0_u8; 16];
    // SAFETY: at most `len` bytes are written into a local of that length.
    let length = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // So few come at once or not at all.
    if usize::try_from(length) == Ok(bytes.len()) { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

/// Random bytes of the kernel.
#[cfg(not(target_os = "linux"))]
pub fn random_bytes() -> io::Result<[u8; 16]> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Leaves the terminal and the process group of whoever started this process.
pub fn leave_terminal() {
    // It fails only for the leader of a process group, which a process that was just started is not.
    let _ = rustix::process::setsid();
}

/// Takes the exit of this process where it has ended as a child of this process (orphans of a dead keeper land on the
/// subreaper above it); whatever else it is, it is left alone.
#[must_use]
pub fn reap(process: ProcId) -> Option<Exit> {
    // Another child may have the number by now. One that has ended keeps its number until it is reaped here.
    let ended =
        proc::stat(process.pid.get()).is_some_and(|stat| stat.start == process.start && stat.is_gone());
    if !ended {
        return None;
    }
    let mut status = 0;
    // SAFETY: the status is a local that outlives the call; a number that is not a child's is answered with ECHILD.
    let taken = unsafe { libc::waitpid(process.pid.get(), &raw mut status, libc::WNOHANG) };
    (taken > 0).then(|| exit_of_raw(status))
}

/// Waits for the end of a child that is ending, at most so long, and takes its exit. Whether it has ended.
///
/// Never without a limit: a child may be stopped on its last instruction, and the exit of one that a debugger holds is
/// given to the debugger first.
#[must_use]
pub fn wait(child: Pid, patience: Duration) -> bool {
    super::pidfd::await_child(child, patience);
    take_exit(child)
}

/// Takes the exit of a child, if it has ended; whether it has (or never was a child).
#[must_use]
pub fn take_exit(child: Pid) -> bool {
    // SAFETY: no status is asked for; a number that is not a child's is answered with ECHILD.
    unsafe { libc::waitpid(child.get(), std::ptr::null_mut(), libc::WNOHANG) != 0 }
}
