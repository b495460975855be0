//! cgroup v2, where this user may write: one leaf holds one life, and the kernel ends it as a whole.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The cgroup2 directory below which this process may make leaves, where there is one.
#[must_use]
pub fn writable_parent() -> Option<PathBuf> {
    todo!()
}

/// One leaf of ours: known by path *and* inode, because a path can be made again by others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    path: PathBuf,
    inode: u64,
}

impl Leaf {
    /// Makes a leaf below `parent`.
    pub fn create(_parent: &Path, _name: &str) -> io::Result<Self> {
        todo!()
    }
    /// A leaf recorded earlier, if it is still the same.
    #[must_use]
    pub fn reopen(_path: &Path, _inode: u64) -> Option<Self> {
        todo!()
    }
    /// Where it is; a process is put in by writing to its `cgroup.procs`, or born in it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Its inode, for the ledger.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }
    /// The numbers of its processes, those of leaves below it included.
    #[must_use]
    pub fn procs(&self) -> Vec<i32> {
        todo!()
    }
    /// Whether a process lives in it; none where it is no longer there.
    #[must_use]
    pub fn populated(&self) -> Option<bool> {
        todo!()
    }
    /// SIGKILL for all of it at once (Linux 5.14).
    pub fn kill(&self) -> io::Result<()> {
        todo!()
    }
    /// Freezes or thaws all of it.
    pub fn freeze(&self, _frozen: bool) -> io::Result<()> {
        todo!()
    }
    /// Takes the empty leaf away; fine where it is gone already.
    pub fn remove(&self) -> io::Result<()> {
        todo!()
    }
    /// `cgroup.events`, whose descriptor is ready for `EPOLLPRI` when the leaf empties or fills.
    pub fn events(&self) -> io::Result<OwnedFd> {
        todo!()
    }
}
