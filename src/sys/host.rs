//! What kind of machine this is, and what it has left: asked by `doctor`, decided by nobody.

use std::fs;
use std::io;
use std::path::Path;

use super::{cgroup, users};

/// How much of something is used, and how much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In use now.
    pub used: u64,
    /// At most.
    pub most: u64,
}

/// What is free on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user may still write.
    pub bytes: u64,
    /// Whether files can still be made (there is an end to their number as well).
    pub files: bool,
}

/// Name and release of the kernel: `Linux 6.12.1`.
#[must_use]
pub fn system() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}

/// The kind of container that this process runs in, where it shows.
#[must_use]
pub fn container() -> Option<String> {
    let told = std::env::var("container").ok().filter(|kind| !kind.is_empty());
    let files = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    told.or_else(|| {
        files.iter().find(|(file, _)| Path::new(file).exists()).map(|(_, kind)| (*kind).to_owned())
    })
}

/// Whether this process sees a part of the machine's processes only: a PID namespace of its own.
#[must_use]
pub fn has_own_process_numbers() -> bool {
    // The first one has a fixed number (`PROC_PID_INIT_INO` of linux/proc_ns.h).
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() != "pid:[4026531836]")
}

/// How many processes and threads there are in the cgroups of this process, where they are limited: the tightest one.
#[must_use]
pub fn cgroup_processes() -> Option<Room> {
    let trees = [cgroup::own_cgroups(None), cgroup::own_cgroups(Some("pids"))].concat();
    let rooms = trees.iter().flatten().flat_map(|own| own.ancestors()).filter_map(|dir| {
        let number = |file| fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok();
        Some(Room { used: number("pids.current")?, most: number("pids.max")? })
    });
    rooms.min_by_key(|room| room.most.saturating_sub(room.used))
}

/// How many processes and threads there are on the machine, and how many numbers there are for them.
#[must_use]
pub fn process_table() -> Option<Room> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let used = load.split(' ').nth(3)?.split('/').nth(1)?.parse().ok()?;
    let number = |file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
    Some(Room { used, most })
}

/// How many processes and threads this user has, where that is limited (`ulimit -u`; never for root).
#[must_use]
pub fn user_processes() -> Option<Room> {
    let most = limit(rustix::process::Resource::Nproc).filter(|_| users::own_uid() != 0)?;
    let own = |pid: &i32| super::proc::uid(*pid) == Some(users::own_uid());
    let stats = super::proc::pids().into_iter().filter(own).filter_map(super::proc::stat);
    Some(Room { used: stats.map(|stat| u64::from(stat.threads)).sum(), most })
}

/// How many files a process may have open (`ulimit -n`); none where there is no limit.
#[must_use]
pub fn open_files() -> Option<u64> {
    limit(rustix::process::Resource::Nofile)
}

fn limit(of: rustix::process::Resource) -> Option<u64> {
    rustix::process::getrlimit(of).current
}

/// Whether one more file can be watched, tried on the root directory; an error says what is used up.
#[cfg(target_os = "linux")]
pub fn watch_one_more() -> io::Result<()> {
    use rustix::fs::inotify;
    let watcher = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watcher, "/", inotify::WatchFlags::DELETE_SELF)?;
    Ok(())
}

/// This system has no such limit.
#[cfg(not(target_os = "linux"))]
pub fn watch_one_more() -> io::Result<()> {
    Ok(())
}

/// What is free where this directory is.
pub fn space(dir: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(dir)?;
    // File systems without a fixed number of files (btrfs) tell 0 of 0.
    let files = found.f_files == 0 || found.f_favail > 0;
    Ok(Space { bytes: found.f_bavail.saturating_mul(found.f_frsize), files })
}

/// Whether this user may write there.
#[must_use]
pub fn may_write(dir: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_told() {
        assert!(system().contains(' '));
        let temp = std::env::temp_dir();
        assert!(may_write(&temp) && !may_write(Path::new("/no such directory")));
        assert!(space(&temp).expect("it is there").bytes > 0);
        if cfg!(target_os = "linux") {
            let table = process_table().expect("the kernel tells");
            assert!(table.used > 1 && table.used <= table.most, "{table:?}");
            assert!(watch_one_more().is_ok());
        }
    }
}
