//! The supervisor's side of the nursery: keepers are forked from one that is loaded already, where many are born at once.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use crate::domain::{Pid, ProcId, Signal};
use crate::keeper;
use crate::sys::{self, kill_point, nursery::send_descriptor};

/// A birth takes less than a millisecond. Whoever needs longer was stopped, and must not hold the supervisor.
const PATIENCE: Duration = Duration::from_secs(2);

/// A nursery that runs. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Nursery {
    socket: Option<UnixStream>,
    id: ProcId,
}

impl Nursery {
    /// Starts one.
    pub(super) fn open() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let pid = spawn(theirs.into(), true)?;
        let id = sys::proc::identify(pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { socket: Some(ours), id })
    }

    /// The process itself: one of devstack's own.
    pub(super) fn id(&self) -> ProcId {
        self.id
    }

    /// Bears a keeper with this standard input: a child of this process.
    pub(super) fn bear(&mut self, stdin: &OwnedFd) -> io::Result<Pid> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        send_descriptor(socket, stdin)?;
        let mut answer = [0; 4];
        socket.read_exact(&mut answer)?;
        let answer = i32::from_ne_bytes(answer);
        Pid::new(answer).ok_or_else(|| io::Error::from_raw_os_error(answer.saturating_neg()))
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        // The end of the connection ends it, unless it was stopped. It holds nothing.
        self.socket = None;
        sys::reaper::signal_unreaped(self.id.pid, Signal::KILL);
        let _ = sys::wait(self.id.pid, PATIENCE);
    }
}

/// Loads the program anew as a keeper (or as the nursery), with this standard input.
pub(super) fn spawn(stdin: OwnedFd, nursery: bool) -> io::Result<Pid> {
    let mut command = sys::itself();
    command.arg("__keeper").env_clear();
    if nursery {
        command.env(keeper::NURSERY, "1");
    }
    if let Some(wanted) = std::env::var_os(kill_point::VARIABLE).filter(|_| cfg!(debug_assertions)) {
        command.env(kill_point::VARIABLE, wanted);
    }
    let child = command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::new);
    pid.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
