//! The process table: what the kernel tells about any process, read and never guessed.

#[cfg(target_os = "linux")]
#[path = "proc_linux.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
#[path = "proc_macos.rs"]
mod os;
#[path = "proc_stat.rs"]
mod stat;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::{Exit, Pid, ProcId};

pub use stat::{RunState, Stat, parse_stat, visible};

/// Longest command line that is shown, in bytes.
const SHOWN_COMMAND: usize = 4096;
/// Longest environment or command line that is read.
const MOST: usize = 4 << 20;

/// Looks one process up; none where it is gone.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    os::stat(pid)
}

/// The identity of the process that has this number now.
#[must_use]
pub fn identify(pid: Pid) -> Option<ProcId> {
    stat(pid.get()).and_then(|stat| stat.id())
}

/// Whether exactly this process still runs (a zombie whose threads are all gone does not).
#[must_use]
pub fn is_alive(id: ProcId) -> bool {
    stat(id.pid.get()).is_some_and(|stat| stat.start == id.start && !stat.is_gone())
}

/// How a process of this user ended that nobody has reaped yet.
#[must_use]
pub fn exit_of_zombie(id: ProcId) -> Option<Exit> {
    // The kernel tells others nothing, by a 0 that means no success.
    if uid(id.pid.get()) != Some(super::users::own_uid()) {
        return None;
    }
    os::exit_of_zombie(id)
}

/// The numbers of all processes that can be seen.
#[must_use]
pub fn pids() -> Vec<i32> {
    os::pids()
}

/// About how many processes there are: cheaply, to weigh one way of looking against another.
#[must_use]
pub fn count() -> usize {
    os::count()
}

/// The process that a thread belongs to.
#[must_use]
pub fn process_of(thread: i32) -> Option<i32> {
    os::process_of(thread)
}

/// The children of a process, over all its threads; none where the kernel does not list them.
///
/// A list read while children come and go may lack one: for a proof, freeze first or look twice.
#[must_use]
pub fn children(of: &Stat) -> Option<Vec<i32>> {
    os::children(of)
}

/// Whether the kernel lists the children of a process, so that a tree can be looked at without the whole table.
#[must_use]
pub fn lists_children() -> bool {
    i32::try_from(std::process::id()).ok().and_then(stat).is_some_and(|me| children(&me).is_some())
}

/// Its command line for people: words as given, control characters escaped; `[comm]` where it has none.
#[must_use]
pub fn command(of: &Stat) -> String {
    shown_command(os::cmdline(of.pid, SHOWN_COMMAND + 1), &of.comm)
}

/// The command line of exactly this process; says so where it has ended.
#[must_use]
pub fn command_of(process: ProcId) -> String {
    let stat = stat(process.pid.get()).filter(|stat| stat.start == process.start);
    stat.map_or_else(|| "a process that has ended".to_owned(), |stat| command(&stat))
}

fn shown_command(mut bytes: Vec<u8>, comm: &str) -> String {
    let cut = bytes.len() > SHOWN_COMMAND;
    bytes.truncate(SHOWN_COMMAND);
    let end = bytes.iter().rposition(|b| *b != 0 && *b != b' ').map_or(0, |last| last + 1);
    bytes.truncate(end);
    if bytes.is_empty() {
        return format!("[{comm}]");
    }
    for byte in &mut bytes {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    let mut text = visible(&String::from_utf8_lossy(&bytes));
    if cut {
        text.push('…');
    }
    text
}

/// Its arguments, byte for byte; empty where it has none or they may not be read.
#[must_use]
pub fn argv(pid: i32) -> Vec<OsString> {
    words(&os::cmdline(pid, MOST))
}

fn words(bytes: &[u8]) -> Vec<OsString> {
    let Some(end) = bytes.iter().rposition(|b| *b != 0) else { return Vec::new() };
    bytes[..=end].split(|b| *b == 0).map(|word| OsString::from_vec(word.to_vec())).collect()
}

/// Its working directory.
#[must_use]
pub fn cwd(pid: i32) -> Option<PathBuf> {
    os::cwd(pid)
}

/// Its program.
#[must_use]
pub fn exe(pid: i32) -> Option<PathBuf> {
    os::exe(pid)
}

/// Its effective user.
#[must_use]
pub fn uid(pid: i32) -> Option<u32> {
    os::uid(pid)
}

/// Its environment as it was given to it, entries separated by NUL; none where it may not be read.
#[must_use]
pub fn environ(pid: i32) -> Option<Vec<u8>> {
    os::environ(pid)
}

/// The cgroups that it is in, a line for each hierarchy; none where there are no cgroups.
#[must_use]
pub fn cgroups(pid: i32) -> Option<String> {
    os::cgroups(pid)
}

/// The value of one variable in an environment as [`environ`] gives it.
#[must_use]
pub fn variable<'a>(environ: &'a [u8], name: &str) -> Option<&'a [u8]> {
    environ.split(|b| *b == 0).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Names of the memfds that it holds, those that begin with `prefix`; none where its descriptors may not be read.
#[must_use]
pub fn memfds(pid: i32, prefix: &str) -> Option<Vec<String>> {
    os::memfds(pid, prefix)
}

/// Name of the memfd that it holds at this descriptor, if it is one and begins with `prefix`: much cheaper than
/// [`memfds`], which lists them all.
#[must_use]
pub fn memfd_at(pid: i32, descriptor: i32, prefix: &str) -> Option<String> {
    os::memfd_at(pid, descriptor, prefix)
}

/// How many descriptors a child of this process may have: none of them has a higher number.
#[must_use]
pub fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Which sockets (by inode) it holds.
#[must_use]
pub fn sockets(pid: i32) -> Vec<u64> {
    os::sockets(pid)
}

/// Whether it sees the same file system as we do, so that its paths mean what ours mean: false within a container.
#[must_use]
pub fn shares_files(pid: i32) -> bool {
    os::shares_files(pid)
}

/// Its proportional share of memory (PSS) in bytes, in which a page that several share counts in parts; none where it may
/// not be read. The kernel walks its pages for that: milliseconds where there are many.
#[must_use]
pub fn proportional_memory(pid: i32) -> Option<u64> {
    os::proportional_memory(pid)
}

/// How many descriptors it has below a number, as its limit counts them; none where they may not be read.
#[must_use]
pub fn open_files(pid: i32, below: u64) -> Option<u64> {
    os::open_files(pid, below)
}

/// How long its first thread has waited for a core while it could have run, in nanoseconds; none where the kernel does not
/// tell. (Other threads would be a file each.)
#[must_use]
pub fn waited(pid: i32) -> Option<u64> {
    os::waited(pid)
}

/// Clock ticks per second, the unit of [`Stat::cpu_ticks`].
#[must_use]
pub fn clock_ticks() -> u64 {
    os::clock_ticks()
}

/// How long a process with this start has run.
#[must_use]
pub fn age(start: u64) -> Duration {
    os::age(start)
}

/// This process; none only where the process table cannot be read at all, or this is process 1.
#[must_use]
pub fn own_id() -> Option<ProcId> {
    // Asked for at each look, and it never changes; a fork has another number, and asks anew.
    static KNOWN: Mutex<Option<ProcId>> = Mutex::new(None);
    let pid = i32::try_from(std::process::id()).ok().and_then(Pid::new)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_none_or(|known| known.pid != pid) {
        *known = identify(pid);
    }
    *known
}

/// The direct children of this process, zombies too; empty where the kernel does not list them.
#[must_use]
pub fn own_children() -> Vec<Pid> {
    let me = i32::try_from(std::process::id()).ok().and_then(stat);
    let listed = me.and_then(|me| children(&me)).unwrap_or_default();
    listed.into_iter().filter_map(Pid::new).collect()
}

/// All that descends from this process and runs; empty where the kernel does not list children.
#[must_use]
pub fn own_descendants() -> Vec<ProcId> {
    let mut found = Vec::new();
    let mut open = own_children();
    // A chain that forks while it is walked could keep this busy for ever.
    while let Some(pid) = open.pop().filter(|_| found.len() < 100_000) {
        let Some(stat) = stat(pid.get()).filter(|stat| !stat.is_gone()) else { continue };
        found.extend(stat.id());
        open.extend(children(&stat).unwrap_or_default().into_iter().filter_map(Pid::new));
    }
    found
}

/// Parent, grandparent and so on of a process, as far as they can be seen, process 1 left out.
#[must_use]
pub fn ancestors(pid: i32) -> Vec<ProcId> {
    let mut line = Vec::new();
    let mut next = stat(pid).map_or(0, |stat| stat.ppid);
    // A parent that changes while we climb could make a circle: a real line is never this long.
    while next > 1 && line.len() < 1000 {
        let Some(parent) = stat(next) else { break };
        line.extend(parent.id());
        next = parent.ppid;
    }
    line
}

/// For the fuzzer only.
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
pub(super) mod raw {
    pub(in crate::sys) use super::os::{memfd_name, number_in, socket_inode};

    pub(in crate::sys) fn command(bytes: &[u8], comm: &str) -> String {
        super::shown_command(bytes.to_vec(), comm)
    }

    pub(in crate::sys) fn words(bytes: &[u8]) -> usize {
        super::words(bytes).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::users;

    #[test]
    fn this_process_sees_itself() {
        let me = own_id().expect("the process table can be read");
        assert!(is_alive(me));
        assert!(!is_alive(ProcId { start: me.start + 1, ..me }));
        let stat = stat(me.pid.get()).expect("it runs");
        assert!(stat.threads >= 1 && stat.rss > 0 && !stat.kernel);
        assert_eq!(i64::from(stat.ppid), i64::from(std::os::unix::process::parent_id()));
        assert_eq!(uid(me.pid.get()), Some(users::own_uid()));
        assert!(pids().contains(&me.pid.get()));
        assert!(command(&stat).contains("devstack"));
        assert!(cwd(me.pid.get()).is_some() && exe(me.pid.get()).is_some());
        assert!(age(me.start) < Duration::from_secs(3600));
    }

    #[test]
    fn one_variable_is_found_by_its_whole_name() {
        let environ = b"XDEVSTACK=1\0DEVSTACKX=2\0DEVSTACK=3=4\0EMPTY=\0";
        assert_eq!(variable(environ, "DEVSTACK"), Some(&b"3=4"[..]));
        assert_eq!(variable(environ, "EMPTY"), Some(&b""[..]));
        assert_eq!(variable(environ, "NONE"), None);
    }

    #[test]
    fn ancestors_end_below_process_1() {
        let line = ancestors(i32::try_from(std::process::id()).expect("a pid"));
        assert!(line.iter().all(|id| id.pid.get() > 1));
        assert!(line.len() < 1000);
    }
}
