//! How a client comes by a supervisor: it takes the one that lives, or starts one and hands it a listening socket.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::store::{Lock, StackDir, private_file};
use crate::sys;

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Its lock or its socket could not be made.
    #[error("its socket cannot be made: {0}")]
    Socket(io::Error),
    /// The kernel refused a new process.
    #[error("it cannot be started: {0}")]
    Spawn(io::Error),
}

/// Makes sure that a supervisor listens on the stack's socket. Two clients at once end up with the same one.
pub fn ensure(dir: &StackDir) -> Result<(), LaunchError> {
    let socket = dir.socket();
    if UnixStream::connect(&socket).is_ok() {
        return Ok(());
    }
    let _starting = Lock::take(&dir.start_lock()).map_err(LaunchError::Socket)?;
    // Another client may have started one while this one waited for the lock.
    if UnixStream::connect(&socket).is_ok() {
        return Ok(());
    }
    // The client makes the socket: it can connect at once, and what it asks waits there until the supervisor accepts.
    let listener = sys::socket::listen(&socket).map_err(LaunchError::Socket)?;
    let log = private_file(OpenOptions::new().append(true).create(true), &dir.supervisor_log())
        .map_err(LaunchError::Socket)?;
    let mut command = sys::itself();
    command.arg("__supervise").arg(&dir.state).arg(&dir.runtime);
    command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(log);
    forget_marks(&mut command);
    command.spawn().map_err(LaunchError::Spawn)?;
    Ok(())
}

/// A client that runs inside a service of some stack must not hand that service's mark on: the supervisor would be
/// taken for a member of it.
fn forget_marks(command: &mut Command) {
    for name in super::birth::MARKS {
        command.env_remove(name);
    }
}
