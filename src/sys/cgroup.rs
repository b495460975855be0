//! cgroup v2, where this user may write: one leaf holds one life, and the kernel ends it as a whole.
//!
//! Only kill and freeze are used, which need no controller: a machine that mounts the tree beside the old ones
//! (`/sys/fs/cgroup/unified`) will do. Processes are born in a leaf; none is ever moved.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, Mode, OFlags};

/// How deep below a leaf processes are looked for; a service may make cgroups of its own.
const DEPTH: usize = 8;

/// The cgroup2 directory below which this process may make leaves, where there is one.
#[must_use]
pub fn writable_parent() -> Option<PathBuf> {
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let own = fs::read("/proc/self/cgroup").ok()?;
    let dir = own_dir(&mounts, &own)?;
    // Birth in a leaf also asks for the right to write the `cgroup.procs` of what leaf and parent have in common.
    let may =
        |path: &Path| rustix::fs::accessat(rustix::fs::CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    (may(&dir) && may(&dir.join("cgroup.procs"))).then_some(dir)
}

/// Where our own cgroup is in the file system: `/proc/self/mountinfo` and `/proc/self/cgroup` read together.
fn own_dir(mounts: &[u8], own: &[u8]) -> Option<PathBuf> {
    let own = own.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    let own = Path::new(std::ffi::OsStr::from_bytes(own));
    mounts.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.split(|b| *b == b' ');
        let (root, point) = (unescape(fields.nth(3)?), unescape(fields.next()?));
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        // A mount may show only a part of the tree, and that part may not hold us.
        let below = own.strip_prefix(Path::new(&root)).ok()?;
        let climbs = below.components().any(|part| part == Component::ParentDir);
        (kind == b"cgroup2" && !climbs).then(|| Path::new(&point).join(below))
    })
}

/// mountinfo writes blanks and backslashes as `\040` and the like.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal =
            tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(byte);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    OsString::from_vec(out)
}

/// One leaf of ours: known by path *and* inode, because a path can be made again by others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    path: PathBuf,
    inode: u64,
}

impl Leaf {
    /// Makes a leaf below `parent`. Fails where the kernel could not kill it as a whole (before Linux 5.14).
    pub fn create(parent: &Path, name: &str) -> io::Result<Self> {
        let path = parent.join(name);
        fs::create_dir(&path)?;
        let inode = fs::metadata(&path)?.ino();
        let leaf = Self { path, inode };
        if !leaf.path.join("cgroup.kill").exists() {
            leaf.remove()?;
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        Ok(leaf)
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
        let mut found = Vec::new();
        if self.dir().is_ok() {
            collect(&self.path, DEPTH, &mut found);
        }
        found
    }

    /// Whether a process lives in it; none where it is no longer there.
    #[must_use]
    pub fn populated(&self) -> Option<bool> {
        let file = self.file("cgroup.events", OFlags::RDONLY).ok()?;
        let text = io::read_to_string(file).ok()?;
        text.lines().find_map(|line| line.strip_prefix("populated ")).map(|value| value != "0")
    }

    /// SIGKILL for all of it at once (Linux 5.14), with no fork and whatever is born meanwhile.
    pub fn kill(&self) -> io::Result<()> {
        self.write("cgroup.kill", "1")
    }

    /// Freezes or thaws all of it.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Takes the empty leaf away, with the empty cgroups that a service made below it; fine where it is gone already.
    pub fn remove(&self) -> io::Result<()> {
        match self.dir() {
            Ok(_) => prune(&self.path, DEPTH),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// `cgroup.events`, whose descriptor is ready for `EPOLLPRI` when the leaf empties or fills.
    pub fn events(&self) -> io::Result<OwnedFd> {
        self.file("cgroup.events", OFlags::RDONLY).map(OwnedFd::from)
    }
}

fn below(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn collect(dir: &Path, depth: usize, found: &mut Vec<i32>) {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    // A process outside our PID namespace is shown as 0.
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    if depth > 0 {
        below(dir).for_each(|child| collect(&child, depth - 1, found));
    }
}

fn prune(dir: &Path, depth: usize) -> io::Result<()> {
    if depth > 0 {
        for child in below(dir) {
            prune(&child, depth - 1)?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_found_wherever_it_is_mounted() {
        let hybrid = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        let own = b"8:pids:/x\n0::/user.slice/a b\n";
        assert_eq!(own_dir(hybrid, own), Some(PathBuf::from("/sys/fs/cgroup/unified/user.slice/a b")));
        let strange = b"41 31 0:38 /user.slice /mnt/c\\040g rw - cgroup2 none rw\n";
        assert_eq!(own_dir(strange, own), Some(PathBuf::from("/mnt/c g/a b")));
        let elsewhere = b"41 31 0:38 /system.slice /mnt/cg rw - cgroup2 none rw\n";
        assert_eq!(own_dir(elsewhere, own), None);
        assert_eq!(own_dir(hybrid, b"1:name=systemd:/\n"), None);
        assert_eq!(own_dir(hybrid, b"0::/../outside\n"), None);
        assert_eq!(own_dir(b"", b""), None);
    }

    #[test]
    fn a_leaf_that_was_made_again_by_another_is_not_ours() {
        let Some(parent) = writable_parent() else {
            return; // No cgroup v2 to write here: the other layers hold.
        };
        let name = format!("devstack-test-{}", std::process::id());
        let leaf = Leaf::create(&parent, &name).expect("the parent may be written");
        assert_eq!(leaf.populated(), Some(false));
        assert!(leaf.procs().is_empty());
        assert_eq!(Leaf::reopen(leaf.path(), leaf.inode()), Some(leaf.clone()));
        assert_eq!(Leaf::reopen(leaf.path(), leaf.inode() + 1), None);
        fs::create_dir(leaf.path().join("inner")).expect("a service may nest");
        leaf.remove().expect("it is empty");
        leaf.remove().expect("a second time is fine");
        assert_eq!(leaf.populated(), None);
    }
}
