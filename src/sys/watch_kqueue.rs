//! Watching files on macOS: kqueue. A watch holds a descriptor of what it watches.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::kqueue::{self, Event, EventFilter, EventFlags, VnodeEvents};

use super::{Stirred, WatchId};

/// A set of watched files and directories; its descriptor is readable when something stirred.
#[derive(Debug)]
pub struct Watch {
    queue: OwnedFd,
    held: Mutex<HashMap<i32, OwnedFd>>,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Self> {
        let queue = kqueue::kqueue()?;
        rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self { queue, held: Mutex::default() })
    }

    /// Watches this very file, whatever its name becomes: told when it is written to or truncated.
    pub fn file(&self, file: &File) -> io::Result<WatchId> {
        self.add(file.try_clone()?.into())
    }

    /// Watches a directory: told when a name appears in it.
    pub fn dir(&self, dir: &Path) -> io::Result<WatchId> {
        self.add(File::open(dir)?.into())
    }

    /// Watches it no longer.
    pub fn forget(&self, id: WatchId) {
        // Closing the descriptor removes it from the queue.
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id.0);
    }

    /// Takes all that stirred since the last call; never waits.
    pub fn drain(&self, mut tell: impl FnMut(Stirred)) -> io::Result<()> {
        loop {
            let mut events: Vec<Event> = Vec::with_capacity(32);
            // SAFETY: no changes are given, so no descriptor of a change can be invalid; those registered are held.
            unsafe {
                kqueue::kevent(
                    &self.queue,
                    &[],
                    rustix::buffer::spare_capacity(&mut events),
                    Some(Duration::ZERO),
                )?;
            }
            if events.is_empty() {
                return Ok(());
            }
            for event in &events {
                if let EventFilter::Vnode { vnode, .. } = event.filter() {
                    tell(Stirred { id: Some(WatchId(vnode)), name: None });
                }
            }
        }
    }

    fn add(&self, file: OwnedFd) -> io::Result<WatchId> {
        let raw = file.as_raw_fd();
        let flags = VnodeEvents::WRITE | VnodeEvents::EXTEND | VnodeEvents::ATTRIBUTES;
        let filter = EventFilter::Vnode { vnode: raw, flags };
        let change = Event::new(filter, EventFlags::ADD | EventFlags::CLEAR, std::ptr::null_mut());
        let mut none: Vec<Event> = Vec::with_capacity(1);
        // SAFETY: `raw` is open and is kept in `held` for as long as it is registered.
        unsafe {
            kqueue::kevent(
                &self.queue,
                &[change],
                rustix::buffer::spare_capacity(&mut none),
                Some(Duration::ZERO),
            )?;
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(raw, file);
        Ok(WatchId(raw))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.queue.as_raw_fd()
    }
}
