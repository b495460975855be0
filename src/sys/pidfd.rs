//! A handle on exactly one process: the only way anything is signalled.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::domain::{ProcId, Signal};

/// Why a process cannot be held or signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PidfdError {
    /// It has ended; its number may belong to another by now.
    #[error("gone")]
    Gone,
    /// The kernel does not let this user.
    #[error("not permitted")]
    NotPermitted,
    /// The kernel does not have the call.
    #[error("not supported by this system")]
    Unsupported,
    /// No descriptor or memory is left, or anything else: the error number.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Other(i32),
}

/// A process that cannot be mistaken for another. The descriptor is readable once the process has ended.
#[derive(Debug)]
pub struct Pidfd {
    id: ProcId,
    fd: OwnedFd,
}

impl Pidfd {
    /// Takes hold of exactly this process.
    pub fn open(_id: ProcId) -> Result<Self, PidfdError> {
        todo!()
    }
    /// Which process it is.
    #[must_use]
    pub fn id(&self) -> ProcId {
        self.id
    }
    /// Sends it a signal.
    pub fn send(&self, _signal: Signal) -> Result<(), PidfdError> {
        todo!()
    }
    /// Sends a signal to the process group whose number is this process's (Linux 6.9; else `Unsupported`).
    pub fn send_group(&self, _signal: Signal) -> Result<(), PidfdError> {
        todo!()
    }
    /// Whether it has ended, all its threads included.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        todo!()
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
