//! Where this process may make cgroups, and what the kernel lets it do with them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use super::leaf::{Leaf, stack_name};
use crate::sys::spawn;

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2: u64 = 0x6367_7270;

/// Why this process may make no cgroup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// No cgroup v2 tree is mounted, or this system has none.
    #[error("no cgroup v2 is mounted")]
    NotMounted,
    /// One is mounted, but it does not show the cgroup that this process is in.
    #[error("the mounted cgroup v2 does not show the cgroup of this process")]
    NotShown,
    /// The mount is read-only, as in most containers.
    #[error("{0} is mounted read-only")]
    ReadOnly(PathBuf),
    /// The cgroup of this process belongs to somebody else.
    #[error("{0} may not be written by this user")]
    NotPermitted(PathBuf),
}

/// The cgroup2 directory below which this process may make leaves: its own cgroup.
pub fn place() -> Result<PathBuf, NoPlace> {
    let mut why = NoPlace::NotMounted;
    // Several mounts may show the same tree, one read-only and one not.
    for shown in own_cgroups(None) {
        match shown.ok_or(NoPlace::NotShown).and_then(writable) {
            Ok(dir) => return Ok(dir),
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// What the kernel lets us do with a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// End it as a whole (Linux 5.14).
    pub kill: bool,
    /// Freeze it (Linux 5.2).
    pub freeze: bool,
}

/// Tries a leaf out: it is made, a child is born in it and ends at once, and it is taken away again.
pub fn try_out(place: &Path) -> io::Result<Ability> {
    let leaf = Leaf::create(&place.join(stack_name(&format!("doctor-{}", std::process::id()))), "unit.1")?;
    let has = |file| leaf.path().join(file).exists();
    let ability = Ability { kill: has("cgroup.kill"), freeze: has("cgroup.freeze") };
    let born = spawn::try_birth(leaf.path());
    leaf.remove()?;
    born.map(|()| ability)
}

/// Where this process is in the tree of a v1 controller (none: in the v2 tree), for each mount that shows it.
pub(in crate::sys) fn own_cgroups(v1: Option<&str>) -> Vec<Option<PathBuf>> {
    let read = |file| fs::read(file).unwrap_or_default();
    own_dirs(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), v1)
}

/// The controllers of the v2 tree at our own place, and those that have trees of their own (v1).
#[must_use]
pub fn controllers() -> [Vec<String>; 2] {
    let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
    let own = own_cgroups(None).into_iter().flatten().next();
    let v2 = own.and_then(|dir| fs::read_to_string(dir.join("cgroup.controllers")).ok());
    let lines = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let names = lines.lines().filter_map(|line| line.split(':').nth(1));
    let v1 = names.filter(|names| !names.is_empty() && !names.contains('=')).flat_map(|it| it.split(','));
    [v2.as_deref().map(words).unwrap_or_default(), v1.map(str::to_owned).collect()]
}

fn writable(dir: PathBuf) -> Result<PathBuf, NoPlace> {
    // Another mount may hide what the table tells.
    let is_cgroup = rustix::fs::statfs(&dir).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(CGROUP2));
    if !is_cgroup {
        return Err(NoPlace::NotShown);
    }
    // Birth in a leaf also asks for the right to write the `cgroup.procs` of what leaf and parent have in common.
    for path in [dir.clone(), dir.join("cgroup.procs")] {
        match rustix::fs::accessat(rustix::fs::CWD, &path, Access::WRITE_OK, AtFlags::EACCESS) {
            Ok(()) => {}
            Err(Errno::ROFS) => return Err(NoPlace::ReadOnly(dir)),
            Err(_) => return Err(NoPlace::NotPermitted(dir)),
        }
    }
    Ok(dir)
}

/// Where our own cgroup is in the file system, for each mount of its tree; none for one that does not show it.
/// `/proc/self/mountinfo` and `/proc/self/cgroup` are read together.
pub(in crate::sys) fn own_dirs(mounts: &[u8], own: &[u8], v1: Option<&str>) -> Vec<Option<PathBuf>> {
    let Some(own) = own.split(|b| *b == b'\n').find_map(|line| own_path(line, v1)) else { return Vec::new() };
    let own = Path::new(std::ffi::OsStr::from_bytes(own));
    let dir = |line: &[u8]| {
        let mut fields = line.split(|b| *b == b' ');
        let (root, point) = (unescape(fields.nth(3)?), unescape(fields.next()?));
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, options) = (rest.next()?, rest.nth(1)?);
        let wanted = match v1 {
            Some(controller) => kind == b"cgroup" && lists(options, controller),
            None => kind == b"cgroup2",
        };
        // A mount may show only a part of the tree, and that part may not hold us.
        let below = own.strip_prefix(Path::new(&root)).ok();
        let below = below.filter(|below| !below.components().any(|part| part == Component::ParentDir));
        wanted.then(|| {
            below.map(|below| {
                if below.as_os_str().is_empty() {
                    PathBuf::from(&point)
                } else {
                    Path::new(&point).join(below)
                }
            })
        })
    };
    mounts.split(|b| *b == b'\n').filter_map(dir).collect()
}

/// The path in one line of `/proc/self/cgroup`, if the line is about this tree: `8:pids:/x`, or `0::/x` for v2.
fn own_path<'line>(line: &'line [u8], v1: Option<&str>) -> Option<&'line [u8]> {
    let mut fields = line.splitn(3, |b| *b == b':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let wanted = match v1 {
        Some(controller) => lists(controllers, controller),
        None => number == b"0" && controllers.is_empty(),
    };
    wanted.then_some(path)
}

fn lists(words: &[u8], one: &str) -> bool {
    words.split(|b| *b == b',').any(|word| word == one.as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_found_wherever_it_is_mounted() {
        let shown = |path: &str| vec![Some(PathBuf::from(path))];
        let hybrid = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        let own = b"8:pids:/x\n0::/user.slice/a b\n";
        assert_eq!(own_dirs(hybrid, own, None), shown("/sys/fs/cgroup/unified/user.slice/a b"));
        let strange = b"41 31 0:38 /user.slice /mnt/c\\040g rw - cgroup2 none rw\n";
        assert_eq!(own_dirs(strange, own, None), shown("/mnt/c g/a b"));
        let elsewhere = b"41 31 0:38 /system.slice /mnt/cg rw - cgroup2 none rw\n";
        assert_eq!(own_dirs(elsewhere, own, None), [None]);
        assert_eq!(
            own_dirs(&[&elsewhere[..], hybrid].concat(), own, None).len(),
            2,
            "each mount is looked at"
        );
        assert!(own_dirs(hybrid, b"1:name=systemd:/\n", None).is_empty());
        assert_eq!(own_dirs(hybrid, b"0::/../outside\n", None), [None]);
        // A namespace whose root is not the mount's: seen from within, both climb.
        let outer = b"41 31 0:38 /.. /sys/fs/cgroup rw - cgroup2 none rw\n";
        assert_eq!(own_dirs(outer, b"0::/../beside\n", None), shown("/sys/fs/cgroup/beside"));
        assert_eq!(own_dirs(outer, b"0::/\n", None), [None], "the way down has no name here");
        assert!(own_dirs(b"", b"", None).is_empty());
        assert_eq!(
            own_dirs(hybrid, b"2:cpu,cpuacct:/x\n0::/y\n", Some("cpu")),
            shown("/sys/fs/cgroup/cpu/x")
        );
        assert!(own_dirs(hybrid, own, Some("memory")).is_empty());
    }

    #[test]
    fn a_directory_that_is_no_cgroup_is_no_place() {
        let dir = tempfile::tempdir().expect("a directory").keep();
        assert_eq!(writable(dir.clone()), Err(NoPlace::NotShown));
        fs::remove_dir(dir).expect("it is empty");
    }
}
