//! Process 1 of a PID namespace, as a container's entrypoint is: it reaps what nobody else does, and passes signals on.
//!
//! The kernel ends all of the namespace with it, and takes no signal for it that it has no handler for. Nothing of devstack
//! works under this number, which is never a process of ours: a child does the work.

use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_os = "linux")]
use super::reaper;
#[cfg(target_os = "linux")]
use super::signals::Blocked;
#[cfg(target_os = "linux")]
use crate::domain::{Pid, Signal};

static BELOW: AtomicBool = AtomicBool::new(false);

/// Whether this process works for one of its own program that is process 1.
#[must_use]
pub fn is_below() -> bool {
    BELOW.load(Ordering::Relaxed)
}

/// Where this is process 1: returns in a child, and never in process 1 itself, which ends as that child does.
///
/// To be called before anything else: there is one thread and nothing is open.
#[cfg(target_os = "linux")]
pub fn hand_over() {
    if std::process::id() != 1 {
        return;
    }
    // What is held back is not thrown away, whatever is said of process 1 and signals.
    let blocked = Blocked::all();
    // SAFETY: the process has one thread.
    let child = unsafe { libc::fork() };
    match child {
        0 => {
            BELOW.store(true, Ordering::Relaxed);
            drop(blocked);
        }
        child => match Pid::new(child) {
            Some(child) => stand(child),
            // No process can be made: it says so itself as well as it can.
            None => drop(blocked),
        },
    }
}

/// Waits for signals, one by one, until the child has ended.
#[cfg(target_os = "linux")]
fn stand(child: Pid) -> ! {
    loop {
        // SAFETY: all fields are plain data, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: both are locals; an interrupted wait leaves the structure zero.
        let signal = unsafe {
            let mut every: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut every);
            libc::sigwaitinfo(&raw const every, &raw mut info)
        };
        match signal {
            libc::SIGCHLD => reap(child),
            // A terminal tells its whole group, and the child is of it.
            1.. if info.si_code <= 0 => {
                reaper::signal_unreaped(child, Signal::from_number(signal));
            }
            _ => {}
        }
    }
}

/// Reaps all that have ended; with the child this process ends.
#[cfg(target_os = "linux")]
fn reap(child: Pid) {
    loop {
        let mut status = 0;
        // SAFETY: the status is a local.
        let ended = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if ended <= 0 {
            return;
        }
        if ended == child.get() {
            let by_signal = libc::WIFSIGNALED(status);
            // By a signal process 1 cannot end itself: by the code that a shell gives it.
            let code = if by_signal { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
            // SAFETY: nothing of this process is to be done any more.
            unsafe { libc::_exit(code) };
        }
    }
}

/// There are no PID namespaces here: process 1 is the system's.
#[cfg(not(target_os = "linux"))]
pub fn hand_over() {}
