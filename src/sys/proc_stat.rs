//! One line of the process table, as data; reading `/proc/PID/stat` is pure and never panics.

use std::fmt::Write as _;

use crate::domain::{Pid, ProcId, acts};

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
    /// Being taken away by the kernel.
    Dead,
    /// Anything else.
    Other,
}

/// One line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Number, as read: it may be 1.
    pub pid: i32,
    /// Short name, as its program set it (at most 15 bytes on Linux), control characters escaped.
    pub comm: String,
    /// State of its first thread.
    pub state: RunState,
    /// Parent; 0 where it has none that can be seen.
    pub ppid: i32,
    /// Process group.
    pub pgid: i32,
    /// Session; 0 where it was opened outside our view (a container's host).
    pub sid: i32,
    /// A thread of the kernel itself.
    pub kernel: bool,
    /// A copy of its parent still: it was forked and has not become a program yet. Not told everywhere.
    pub copy: bool,
    /// Time on a core, user and system, in clock ticks.
    pub cpu_ticks: u64,
    /// Time on a core of all children that it has waited for, and of theirs, in clock ticks; 0 where that is not told.
    pub reaped_ticks: u64,
    /// Threads, a dead first one included.
    pub threads: u32,
    /// Start, in the unit of [`ProcId::start`].
    pub start: u64,
    /// Resident memory in bytes.
    pub rss: u64,
}

/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// `PF_FORKNOEXEC` of the same.
const COPY: u64 = 0x0000_0040;

impl Stat {
    /// Its identity; none for process 1, which is never ours.
    #[must_use]
    pub fn id(&self) -> Option<ProcId> {
        Pid::new(self.pid).map(|pid| ProcId { pid, start: self.start })
    }

    /// Whether nothing of it runs any more: a zombie whose threads are all gone counts as gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self.state {
            // Z tells of the first thread only: while others live, the program runs on.
            RunState::Zombie => self.threads <= 1,
            RunState::Dead => true,
            RunState::Running
            | RunState::Sleeping
            | RunState::Uninterruptible
            | RunState::Stopped
            | RunState::Traced
            | RunState::Other => false,
        }
    }
}

/// Reads a line of `/proc/PID/stat` (see `proc_pid_stat(5)`); `page` is the size of a memory page in bytes.
#[must_use]
pub fn parse_stat(line: &[u8], page: u64) -> Option<Stat> {
    // The name may hold anything, `) R 1 1` included: it ends at the *last* bracket.
    let open = line.iter().position(|b| *b == b'(')?;
    let close = line.iter().rposition(|b| *b == b')')?;
    let comm = line.get(open + 1..close)?;
    let pid = std::str::from_utf8(line.get(..open)?).ok()?.trim().parse().ok()?;
    let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "R" => RunState::Running,
        "S" | "I" => RunState::Sleeping,
        "D" => RunState::Uninterruptible,
        "T" => RunState::Stopped,
        "t" => RunState::Traced,
        "Z" => RunState::Zombie,
        "X" | "x" => RunState::Dead,
        _ => RunState::Other,
    };
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // Each `nth` skips what lies between: terminal fields, fault counters, children's times, priorities, timer.
    let flags: u64 = fields.nth(2)?.parse().ok()?;
    let user: u64 = fields.nth(4)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let reaped_user: i64 = fields.next()?.parse().ok()?;
    let reaped_system: i64 = fields.next()?.parse().ok()?;
    let threads = fields.nth(2)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    let pages: i64 = fields.nth(1)?.parse().ok()?;
    Some(Stat {
        pid,
        comm: visible(&String::from_utf8_lossy(comm)),
        state,
        ppid: parent,
        pgid: group,
        sid: session,
        kernel: flags & KERNEL_THREAD != 0,
        copy: flags & COPY != 0,
        cpu_ticks: user.saturating_add(system),
        reaped_ticks: u64::try_from(reaped_user.saturating_add(reaped_system)).unwrap_or(0),
        threads,
        start,
        rss: u64::try_from(pages).unwrap_or(0).saturating_mul(page),
    })
}

/// A text that is safe on a terminal: what acts there ([`acts`]) is escaped.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            let written = write!(out, "{}", c.escape_default());
            debug_assert!(written.is_ok());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAIL: &str =
        "1 2 3 34816 -1 4194304 100 0 0 0 7 5 3 1 20 0 4 0 98765 1000000 250 18446744073709551615";

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        for name in ["sh", "a) R 9 9 9", "((", "tmux: server", ")", ""] {
            let stat = parse_stat(format!("42 ({name}) S {TAIL}").as_bytes(), 4096).expect("reads");
            assert_eq!((stat.pid, stat.comm.as_str(), stat.state), (42, name, RunState::Sleeping));
            assert_eq!((stat.ppid, stat.pgid, stat.sid), (1, 2, 3));
            assert_eq!((stat.cpu_ticks, stat.threads, stat.start, stat.rss), (12, 4, 98765, 250 * 4096));
            assert_eq!(stat.reaped_ticks, 4);
            assert!(!stat.kernel);
        }
    }

    #[test]
    fn a_zombie_is_gone_only_without_threads() {
        let read = |state: &str, threads: u32| {
            let tail = TAIL.replacen("20 0 4", &format!("20 0 {threads}"), 1);
            parse_stat(format!("42 (x) {state} {tail}").as_bytes(), 4096).expect("reads").is_gone()
        };
        assert!(read("Z", 1) && read("X", 1) && read("Z", 0));
        assert!(!read("Z", 2) && !read("S", 1) && !read("D", 1) && !read("T", 1));
    }

    #[test]
    fn process_1_has_no_identity() {
        let stat = parse_stat(format!("1 (init) S {TAIL}").as_bytes(), 4096).expect("reads");
        assert_eq!(stat.id(), None);
    }

    #[test]
    fn what_acts_on_a_terminal_is_shown_instead() {
        assert_eq!(visible("a\u{1b}[2J\u{202e}b\n"), "a\\u{1b}[2J\\u{202e}b\\n");
        assert_eq!(visible("grüße ✓"), "grüße ✓");
    }

    proptest! {

        #![proptest_config(crate::chance::config())]

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_stat(&bytes, 4096);
        }

        #[test]
        fn any_cut_of_a_real_line_is_read_without_panic(cut in 0_usize..120, name in "\\PC{0,15}") {
            let line = format!("42 ({name}) S {TAIL}");
            let bytes = line.as_bytes();
            let _ = parse_stat(&bytes[..cut.min(bytes.len())], 4096);
        }

        #[test]
        fn any_name_is_kept_apart(name in proptest::collection::vec(any::<u8>(), 0..16)) {
            let mut line = b"42 (".to_vec();
            line.extend_from_slice(&name);
            line.extend_from_slice(format!(") T {TAIL}").as_bytes());
            let stat = parse_stat(&line, 1).expect("reads");
            prop_assert_eq!((stat.pid, stat.state, stat.start), (42, RunState::Stopped, 98765));
        }
    }
}
