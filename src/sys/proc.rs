//! The process table: what the kernel tells about any process, read and never guessed.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::domain::ProcId;

/// What a process does at the moment it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Runs or wants to.
    Running,
    /// Waits, and a signal would wake it.
    Sleeping,
    /// Waits in the kernel, deaf even to SIGKILL until it returns (state D).
    Uninterruptible,
    /// Stopped by a signal.
    Stopped,
    /// Stopped by its debugger.
    Traced,
    /// Its first thread has ended; the others may live.
    Zombie,
    /// Being taken away, or unknown to us.
    Other,
}

/// One line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Number, as read: it may be 1.
    pub pid: i32,
    /// Short name, as its program set it (at most 15 bytes on Linux).
    pub comm: String,
    /// State of its first thread.
    pub state: RunState,
    /// Parent; 0 where it has none that can be seen.
    pub ppid: i32,
    /// Process group.
    pub pgid: i32,
    /// Session.
    pub sid: i32,
    /// A thread of the kernel itself.
    pub kernel: bool,
    /// Time on a core, user and system, in clock ticks ([`clock_ticks`] per second).
    pub cpu_ticks: u64,
    /// Threads, a dead first one included.
    pub threads: u32,
    /// Start, in the unit of [`ProcId::start`].
    pub start: u64,
    /// Resident memory in bytes.
    pub rss: u64,
}

impl Stat {
    /// Its identity; none for process 1, which is never ours.
    #[must_use]
    pub fn id(&self) -> Option<ProcId> {
        todo!()
    }

    /// Whether nothing of it runs any more: a zombie whose threads are all gone counts as gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        todo!()
    }
}

/// Looks one process up; none where it is gone.
#[must_use]
pub fn stat(_pid: i32) -> Option<Stat> {
    todo!()
}
/// Whether exactly this process still runs (a zombie whose threads are all gone does not).
#[must_use]
pub fn is_alive(_id: ProcId) -> bool {
    todo!()
}
/// The numbers of all processes that can be seen.
#[must_use]
pub fn pids() -> Vec<i32> {
    todo!()
}
/// The children of a process, over all its threads; none where the kernel does not list them.
#[must_use]
pub fn children(_pid: i32) -> Option<Vec<i32>> {
    todo!()
}
/// Its command line for people: words as given, control characters escaped; `[comm]` where it has none.
#[must_use]
pub fn command(_stat: &Stat) -> String {
    todo!()
}
/// Its arguments, byte for byte; empty where it has none or they may not be read.
#[must_use]
pub fn argv(_pid: i32) -> Vec<OsString> {
    todo!()
}
/// Its working directory.
#[must_use]
pub fn cwd(_pid: i32) -> Option<PathBuf> {
    todo!()
}
/// Its program.
#[must_use]
pub fn exe(_pid: i32) -> Option<PathBuf> {
    todo!()
}
/// Its effective user.
#[must_use]
pub fn uid(_pid: i32) -> Option<u32> {
    todo!()
}
/// Its environment as it was given to it; none where it may not be read.
#[must_use]
pub fn environ(_pid: i32) -> Option<Vec<u8>> {
    todo!()
}
/// Names of the memfds that it holds.
#[must_use]
pub fn memfds(_pid: i32) -> Vec<String> {
    todo!()
}
/// This boot of the machine: in another boot no [`ProcId`] means anything.
#[must_use]
pub fn boot_id() -> String {
    todo!()
}
/// Clock ticks per second.
#[must_use]
pub fn clock_ticks() -> u64 {
    todo!()
}
/// This process.
#[must_use]
pub fn own_id() -> ProcId {
    todo!()
}
/// Parent, grandparent and so on of a process, as far as they can be seen, process 1 left out.
#[must_use]
pub fn ancestors(_pid: i32) -> Vec<ProcId> {
    todo!()
}
