//! One leaf for one life, and what is left of leaves.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::sys::{proc, users};

/// So many cgroups below a leaf are looked into; a service may make some of its own.
const MOST_BELOW: usize = 10_000;

/// One leaf of ours: known by path *and* inode, because a path can be made again by others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    path: PathBuf,
    inode: u64,
}

impl Leaf {
    /// Makes a leaf in a stack's directory, which is made first where it is missing.
    pub fn create(stack: &Path, name: &str) -> io::Result<Self> {
        let path = stack.join(name);
        let mut made = fs::create_dir(&path);
        if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            fs::create_dir_all(stack)?;
            made = fs::create_dir(&path);
        }
        match made {
            // Of a stack whose state was lost. Only an empty one goes: who lives in another is not ours to join.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                clear(&path)?;
                fs::create_dir(&path)?;
            }
            made => made?,
        }
        Self::at(&path)
    }

    /// The leaf that is there now.
    pub fn at(path: &Path) -> io::Result<Self> {
        let inode = fs::metadata(path)?.ino();
        Ok(Self { path: path.to_owned(), inode })
    }

    /// A leaf recorded earlier, if it is still the same.
    #[must_use]
    pub fn reopen(path: &Path, inode: u64) -> Option<Self> {
        let leaf = Self { path: path.to_owned(), inode };
        leaf.dir().is_ok().then_some(leaf)
    }

    /// Where it is; a process is born in it through a descriptor of this directory (`CLONE_INTO_CGROUP`).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its inode, for the ledger.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The directory itself, if it is still ours.
    fn dir(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let dir = rustix::fs::open(&self.path, flags, Mode::empty())?;
        let same = rustix::fs::fstat(&dir)?.st_ino == self.inode;
        if same { Ok(dir) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<fs::File> {
        Ok(rustix::fs::openat(self.dir()?, name, flags | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let file = self.file(name, OFlags::WRONLY)?;
        rustix::io::write(&file, text.as_bytes())?;
        Ok(())
    }

    /// The numbers of its processes, those of cgroups below it included.
    #[must_use]
    pub fn procs(&self) -> Vec<i32> {
        if self.dir().is_err() {
            return Vec::new();
        }
        tree(&self.path).iter().flat_map(|dir| processes(dir)).collect()
    }

    /// Whether a process lives in it; none where it is no longer there.
    #[must_use]
    pub fn populated(&self) -> Option<bool> {
        self.event("populated ")
    }

    fn event(&self, name: &str) -> Option<bool> {
        // Two short lines, told whole in one call.
        let mut text = [0_u8; 256];
        let length = rustix::io::read(self.file("cgroup.events", OFlags::RDONLY).ok()?, &mut text).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value != "0")
    }

    /// SIGKILL for all of it at once, with no fork and whatever is born meanwhile. Refused before Linux 5.14, and where
    /// a service has made the leaf a threaded cgroup.
    pub fn kill(&self) -> io::Result<()> {
        self.write("cgroup.kill", "1")
    }

    /// Freezes all of it (Linux 5.2) and waits until nothing in it runs any more, at most so long: a fork that was
    /// under way is finished first, and its child is frozen too.
    pub fn freeze(&self, patience: Duration) -> io::Result<()> {
        self.write("cgroup.freeze", "1")?;
        let events = self.events()?;
        let end = Instant::now() + patience;
        while self.event("frozen ") == Some(false) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(left) = Timespec::try_from(left) else { break };
            let mut fds = [PollFd::new(&events, PollFlags::PRI)];
            // One that sleeps in the kernel may never stop: then we go on without.
            if !matches!(poll(&mut fds, Some(&left)), Ok(1..)) {
                break;
            }
        }
        Ok(())
    }

    /// Lets all of it run again, where somebody froze it.
    pub fn thaw(&self) -> io::Result<()> {
        let file = self.file("cgroup.freeze", OFlags::RDONLY)?;
        if io::read_to_string(file)?.trim() == "0" { Ok(()) } else { self.write("cgroup.freeze", "0") }
    }

    /// Takes the empty leaf away, with the empty cgroups that a service made below it, and the stack's directory with
    /// the last leaf; fine where it is gone already.
    pub fn remove(&self) -> io::Result<()> {
        match self.dir() {
            Ok(_) => clear(&self.path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // The kernel refuses while it holds another leaf.
        let _ = self.path.parent().filter(|stack| is_stack(stack)).map(fs::remove_dir);
        Ok(())
    }

    /// `cgroup.events`, whose descriptor is ready for `EPOLLPRI` when the leaf empties or fills.
    pub fn events(&self) -> io::Result<OwnedFd> {
        self.file("cgroup.events", OFlags::RDONLY).map(OwnedFd::from)
    }
}

/// A leaf, or a stack's directory, that holds nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remnant(PathBuf);

impl Remnant {
    /// Those at our own place that were made by this user longer ago than `age`.
    ///
    /// The age leaves those alone that a stack is making right now.
    #[must_use]
    pub fn find(place: &Path, age: Duration) -> Vec<Self> {
        let old = |path: &Path| {
            let meta = fs::metadata(path).ok()?;
            let own = meta.uid() == users::own_uid();
            Some(own && meta.modified().ok()?.elapsed().ok()? > age)
        };
        let empty = |path: &Path| {
            match fs::read_to_string(path.join("cgroup.events")) {
                Ok(text) => text.contains("populated 0"),
                // A tree of one controller tells no such thing.
                Err(_) => tree(path).iter().all(|dir| processes(dir).is_empty()),
            }
        };
        let entries = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
        let found = entries.filter(|path| is_stack(path) && path.is_dir());
        found.filter(|path| old(path) == Some(true) && empty(path)).map(Self).collect()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes it away; the kernel refuses if somebody lives in it by now.
    pub fn remove(&self) -> io::Result<()> {
        clear(&self.0)
    }
}

/// The name of a stack's directory among cgroups.
#[must_use]
pub fn stack_name(hash: &str) -> String {
    format!("{STACK}{hash}")
}

const STACK: &str = "devstack-";

fn is_stack(dir: &Path) -> bool {
    dir.file_name().and_then(std::ffi::OsStr::to_str).is_some_and(|name| name.starts_with(STACK))
}

/// A directory and those below it, parents first.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut next = 0;
    while next < found.len() && found.len() < MOST_BELOW {
        // The links of a cgroup's directory count those below it: two are its name and itself.
        if fs::metadata(&found[next]).is_ok_and(|meta| meta.nlink() != 2) {
            let entries = fs::read_dir(&found[next]).into_iter().flatten().flatten();
            let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            found.extend(dirs.map(|entry| entry.path()));
        }
        next += 1;
    }
    found
}

/// The numbers of the processes in one cgroup.
fn processes(dir: &Path) -> Vec<i32> {
    let numbers = |text: String| {
        // A process outside our PID namespace is shown as 0.
        text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0).collect::<Vec<_>>()
    };
    match fs::read_to_string(dir.join("cgroup.procs")) {
        Ok(text) => numbers(text),
        // A threaded cgroup lists threads only; two of them may belong to one process, which does no harm.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            let text = fs::read_to_string(dir.join("cgroup.threads")).unwrap_or_default();
            numbers(text).into_iter().filter_map(proc::process_of).collect()
        }
        Err(_) => Vec::new(),
    }
}

/// Takes away a directory and those below it, as far as nobody lives in them (the kernel refuses the others).
pub fn clear(dir: &Path) -> io::Result<()> {
    // Mostly nobody has made one below it.
    if fs::remove_dir(dir).is_ok() {
        return Ok(());
    }
    let removed = |dir: &PathBuf| match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let results: Vec<io::Result<()>> = tree(dir).iter().rev().map(removed).collect();
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::cgroup::place;

    #[test]
    fn a_leaf_that_was_made_again_by_another_is_not_ours() {
        let Ok(place) = place() else {
            return; // No cgroup v2 to write here: the other layers hold.
        };
        let stack = place.join(stack_name(&format!("test-{}", std::process::id())));
        let first = Leaf::create(&stack, "a.1").expect("it may be written");
        // Of a stack whose state was lost: an empty one is made anew.
        let leaf = Leaf::create(&stack, "a.1").expect("it was empty");
        assert_eq!(first.populated(), None);
        assert_eq!(leaf.populated(), Some(false));
        assert!(leaf.procs().is_empty());
        assert_eq!(Leaf::reopen(leaf.path(), leaf.inode()), Some(leaf.clone()));
        assert_eq!(Leaf::reopen(leaf.path(), leaf.inode() + 1), None);
        fs::create_dir(leaf.path().join("inner")).expect("a service may nest");
        leaf.remove().expect("it is empty");
        leaf.remove().expect("a second time is fine");
        assert_eq!(leaf.populated(), None);
        assert!(!stack.exists(), "the last leaf takes the stack's directory with it");
    }
}
