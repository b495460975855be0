//! A cgroup of one test's own, and the judge's look at the tree.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::world::{is_root, runs, skip, until};

/// Where the cgroup2 tree is mounted; the judge's own look.
fn tree() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    line.split(' ').nth(1).map(PathBuf::from)
}

/// A cgroup of one test, taken away with it.
pub(crate) struct Slice(PathBuf);

impl Slice {
    /// None where there is no tree, or, said loudly, where none can be made.
    pub(crate) fn new(name: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            skip("only root can make and hand out cgroups here");
            return None;
        }
        let dir = tree()?.join(format!(
            "ds-test-{name}-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        if fs::create_dir(&dir).is_err() {
            skip("no cgroup v2 can be made here");
            return None;
        }
        Some(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// As systemd hands a subtree to a user: the directory and the files by which processes are moved.
    pub(crate) fn delegate(&self, uid: u32) {
        for name in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            chown(self.0.join(name), Some(uid), Some(uid)).expect("root may");
        }
    }

    fn procs(&self) -> Vec<i32> {
        below(&self.0).iter().flat_map(|dir| numbers(dir)).collect()
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        until("the cgroup of a test is empty", || self.procs().iter().all(|pid| !runs(*pid)));
        for dir in below(&self.0).iter().rev() {
            let _ = fs::remove_dir(dir);
        }
    }
}

/// A directory and all below it, parents first.
pub(crate) fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        found.extend(below(&path));
    }
    found
}

fn numbers(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The cgroup2 of a process, as a directory.
pub(crate) fn cgroup_of(pid: i32) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).expect("cgroup2");
    tree().expect("it was found before").join(path)
}
