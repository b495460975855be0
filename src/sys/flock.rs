//! Who holds a lock on a file: the kernel's word, not a number that somebody wrote into it.

use std::path::Path;

/// Whether a process holds a `flock` on this file, as the kernel shows it of its descriptors; false where that cannot be
/// seen (another user's process, another system).
#[cfg(target_os = "linux")]
#[must_use]
pub fn holds_lock(pid: i32, file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let Ok(wanted) = std::fs::metadata(file) else { return false };
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let same = std::fs::metadata(descriptor.path())
            .is_ok_and(|it| it.ino() == wanted.ino() && it.dev() == wanted.dev());
        same && shows_lock(pid, &descriptor.file_name().to_string_lossy())
    })
}

#[cfg(target_os = "linux")]
fn shows_lock(pid: i32, descriptor: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).is_ok_and(|text| is_locked(&text))
}

/// This system does not show it.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn holds_lock(_pid: i32, _file: &Path) -> bool {
    false
}

/// Whether a process holds a `flock` on a file that was at this path and has been removed.
#[cfg(target_os = "linux")]
#[must_use]
pub fn holds_removed_lock(pid: i32, path: &Path) -> bool {
    let mut wanted = path.as_os_str().to_owned();
    wanted.push(" (deleted)");
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let same = std::fs::read_link(descriptor.path()).is_ok_and(|it| it.as_os_str() == wanted);
        same && shows_lock(pid, &descriptor.file_name().to_string_lossy())
    })
}

/// This system does not show it.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn holds_removed_lock(_pid: i32, _path: &Path) -> bool {
    false
}

/// A line like `lock: 1: FLOCK  ADVISORY  WRITE 17 00:1f:42 0 EOF`.
#[cfg(target_os = "linux")]
fn is_locked(info: &str) -> bool {
    info.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_a_held_lock_counts_not_an_open_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let file = std::fs::File::create(&path).expect("made");
        let own = i32::try_from(std::process::id()).expect("a number");
        assert!(!holds_lock(own, &path), "open is not locked");
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("free");
        assert!(holds_lock(own, &path));
        assert!(!holds_lock(1, &path) && !holds_removed_lock(own, &path));
        std::fs::remove_file(&path).expect("ours");
        std::fs::write(&path, "").expect("written");
        assert!(!holds_lock(own, &path), "another file by the same name");
        assert!(holds_removed_lock(own, &path) && !holds_removed_lock(own, &path.with_extension("other")));
    }
}
