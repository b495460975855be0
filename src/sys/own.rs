//! This program itself: how it starts itself anew, and its random numbers.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use crate::domain::Pid;

/// This program, to be started once more under the name `devstack`.
///
/// On Linux by `/proc/self/exe`: it stays the same program even when its file was replaced by an upgrade meanwhile.
#[must_use]
pub fn itself() -> Command {
    #[cfg(target_os = "linux")]
    let path = std::path::PathBuf::from("/proc/self/exe");
    #[cfg(not(target_os = "linux"))]
    let path = std::env::current_exe().unwrap_or_else(|_| "devstack".into());
    let mut command = Command::new(path);
    command.arg0("devstack");
    command
}

/// Random bytes of the kernel.
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

/// Takes the exit of these processes where they have become children of this process (orphans of a dead keeper land
/// on the subreaper above it); the others are left alone.
pub fn reap(processes: impl IntoIterator<Item = Pid>) {
    for process in processes {
        // SAFETY: no status is asked for; a number that is not a child's is answered with ECHILD.
        unsafe { libc::waitpid(process.get(), std::ptr::null_mut(), libc::WNOHANG) };
    }
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
