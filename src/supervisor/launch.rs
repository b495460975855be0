//! How a client comes by a supervisor: it takes the one that lives, or starts one and hands it a listening socket.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use super::holder::lock_in_time;
use super::recall::{Recalled, is_served, recall};
use crate::store::{StackDir, private_file};
use crate::sys;

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Its lock or its socket could not be made.
    #[error("its socket cannot be made: {0}")]
    Socket(io::Error),
    /// Another command is about to start one and does not get on.
    #[error("another command is starting it")]
    Held,
    /// One lives and cannot be reached.
    #[error("one lives and cannot be reached")]
    Deaf,
    /// The kernel refused a new process.
    #[error("it cannot be started: {error}")]
    Spawn {
        /// The kernel's reason.
        error: io::Error,
        /// The programs with the most processes, where the process table is full.
        crowd: Vec<(String, u32)>,
    },
}

/// Makes sure that a supervisor listens on the stack's socket. Two clients at once end up with the same one.
pub async fn ensure(dir: &StackDir) -> Result<(), LaunchError> {
    let socket = dir.socket();
    if is_served(&socket).await {
        return Ok(());
    }
    let starting = lock_in_time(&dir.start_lock()).await.map_err(LaunchError::Socket)?;
    let _starting = starting.ok_or(LaunchError::Held)?;
    // Another client may have started one while this one waited for the lock. And no second one beside one that lives: its
    // files may have been swept away under it.
    match recall(dir).await {
        Recalled::Reachable => return Ok(()),
        Recalled::Nobody => {}
        Recalled::Deaf => return Err(LaunchError::Deaf),
    }
    // The client makes the socket: it can connect at once, and what it asks waits there until the supervisor accepts.
    let listener = sys::socket::listen(&socket).map_err(LaunchError::Socket)?;
    let log = private_file(OpenOptions::new().append(true).create(true), &dir.supervisor_log())
        .map_err(LaunchError::Socket)?;
    let mut command = sys::itself();
    command.arg("__supervise").arg(&dir.state).arg(&dir.runtime);
    command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(log);
    forget_marks(&mut command);
    match command.spawn() {
        Ok(_) => Ok(()),
        Err(error) => {
            let full = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM));
            let crowd = if full { super::look::crowd() } else { Vec::new() };
            Err(LaunchError::Spawn { error, crowd })
        }
    }
}

/// A client that runs inside a service of some stack must not hand that service's mark on: the supervisor would be
/// taken for a member of it.
pub(super) fn forget_marks(command: &mut Command) {
    for name in crate::cage::MARKS {
        command.env_remove(name);
    }
}
