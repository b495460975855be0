//! Waiting for a descriptor within the supervisor's loop.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor whose readiness can be awaited: a pidfd is readable once its process has ended.
#[derive(Debug)]
pub struct Ready(AsyncFd<OwnedFd>);

impl Ready {
    /// Takes the descriptor in.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open and stays the same descriptor for as long as it lives, and it lives in here.
        let inner = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        inner.map(Self).map_err(io::Error::from)
    }

    /// Waits until it is readable.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }
}
