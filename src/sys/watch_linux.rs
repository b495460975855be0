//! Watching files on Linux: inotify.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::{Stirred, WatchId};

/// A set of watched files and directories; its descriptor is readable when something stirred.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    /// Watches this very file, whatever its name becomes: told when it is written to or truncated.
    pub fn file(&self, file: &File) -> io::Result<WatchId> {
        // The name may mean another file by now; the descriptor cannot.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(WatchId(inotify::add_watch(&self.0, path, WatchFlags::MODIFY)?))
    }

    /// Watches a directory: told when a name appears in it.
    pub fn dir(&self, dir: &Path) -> io::Result<WatchId> {
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        Ok(WatchId(inotify::add_watch(&self.0, dir, flags)?))
    }

    /// Watches it no longer.
    pub fn forget(&self, id: WatchId) {
        // It fails only where the kernel has already removed it with the file.
        let _ = inotify::remove_watch(&self.0, id.0);
    }

    /// Takes all that stirred since the last call; never waits.
    pub fn drain(&self, mut tell: impl FnMut(Stirred)) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                tell(Stirred { id: None, name: None });
            } else if !event.events().contains(ReadFlags::IGNORED) {
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                tell(Stirred { id: Some(WatchId(event.wd())), name });
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
