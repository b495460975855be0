//! From a member to a signal: facts, verdict, handle, a last look at the reason; then it is sent.

use std::collections::BTreeSet;

use crate::cage::life::Member;
use crate::cage::marks::Belongs;
use crate::cage::safety::{Facts, Refusal, Verdict, is_shared_daemon, may_signal, program};
use crate::cage::world::World;
use crate::domain::{FoundBy, Mark, ProcId, Signal, Survivor};
use crate::sys::pidfd::{Pidfd, PidfdError};
use crate::sys::proc::{self, RunState};
use crate::sys::users;

/// What the one who signals knows besides the members.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// The stack's secret and the marks of its lives.
    pub(super) marks: BTreeSet<Mark>,
    /// The client that asked, and its ancestors.
    pub(super) spared: BTreeSet<ProcId>,
    /// Keepers are to be ended.
    pub(super) ending_machinery: bool,
}

/// Why a member did not get a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denial {
    /// It must not.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The kernel did not let us.
    #[error("{0}")]
    Kernel(#[from] PidfdError),
}

impl Guard {
    /// Whether this member may be signalled.
    pub(super) fn verdict(&self, world: &mut World, member: &Member) -> Verdict {
        may_signal(&self.facts(world, member))
    }

    fn facts(&self, world: &mut World, member: &Member) -> Facts {
        let pid = member.id.pid.get();
        let words: Vec<String> =
            proc::argv(pid).iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let belongs = world.marks(pid).belongs(|mark| self.marks.contains(mark));
        let line = world.own_line();
        let in_line = |id: ProcId| line.iter().skip(1).any(|stat| stat.id() == Some(id));
        Facts {
            proof: Some(member.found_by),
            init: pid <= 1,
            kernel: member.stat.kernel,
            myself: line.first().and_then(proc::Stat::id) == Some(member.id),
            ancestor: in_line(member.id) || self.spared.contains(&member.id),
            machinery: is_named_machinery(pid, &words),
            ending_machinery: self.ending_machinery,
            other_stack: belongs == Belongs::Another,
            session_of_ancestor: line.iter().any(|stat| stat.sid == member.stat.sid),
            shared_daemon: is_shared_daemon(&member.stat.comm, &words),
        }
    }

    /// Sends a signal to a member, if it may have one. Wakes it after that where it is stopped and `wake` is set.
    pub(super) fn deliver(
        &self,
        world: &mut World,
        member: &Member,
        signal: Signal,
        wake: bool,
    ) -> Result<(), Denial> {
        // The handle first: what is read from now on is read of this process, or the signal reaches nobody.
        let handle = Pidfd::open(member.id)?;
        if let Verdict::No(refusal) = self.verdict(world, member) {
            return Err(refusal.into());
        }
        if !still_holds(member) {
            return Err(Refusal::Unproven.into());
        }
        handle.send(signal)?;
        if wake && member.stat.state == RunState::Stopped {
            handle.send(Signal::CONT)?;
        }
        Ok(())
    }
}

/// Whether what proved it still does, where a number given away since could have deceived us.
fn still_holds(member: &Member) -> bool {
    let (FoundBy::Parentage, Some(parent)) = (member.found_by, member.parent) else { return true };
    match proc::stat(member.id.pid.get()) {
        Some(now) if now.ppid == parent.pid.get() => {
            // A parent that ended between these two lines is no deceit: only another process under its number is.
            proc::stat(now.ppid).is_none_or(|stat| stat.start == parent.start)
        }
        // Its parent has ended and it was handed on: it was that parent's child when we looked.
        Some(_) => true,
        None => false,
    }
}

/// Supervisors and keepers among these, and all below them.
#[must_use]
pub fn machinery_among(members: &[Member]) -> BTreeSet<ProcId> {
    let mut found: BTreeSet<ProcId> =
        members.iter().map(|member| member.id).filter(|id| is_machinery(id.pid.get())).collect();
    loop {
        let parents: BTreeSet<i32> = found.iter().map(|id| id.pid.get()).collect();
        let below =
            members.iter().filter(|member| parents.contains(&member.stat.ppid)).map(|member| member.id);
        let before = found.len();
        found.extend(below.collect::<Vec<_>>());
        if found.len() == before {
            return found;
        }
    }
}

/// Whether it is a keeper or supervisor: our own program, started under a name that no user types.
pub(super) fn is_machinery(pid: i32) -> bool {
    let words: Vec<String> = proc::argv(pid).iter().map(|word| word.to_string_lossy().into_owned()).collect();
    is_named_machinery(pid, &words)
}

/// The same, where its arguments are known.
pub(super) fn is_named_machinery(pid: i32, words: &[String]) -> bool {
    // The shim of a container is the leader of a life, and a member as every other.
    let hidden = words.get(1).is_some_and(|word| word.starts_with("__") && word != "__container");
    if !hidden {
        return false;
    }
    let same = || proc::exe(pid).is_some_and(|exe| std::env::current_exe().is_ok_and(|own| own == exe));
    program(words) == Some("devstack") || same()
}

/// A member that could not be ended, for the report.
pub(super) fn survivor(member: &Member, command: String, reason: String) -> Survivor {
    Survivor {
        process: member.id,
        command,
        user: member.user(),
        evidence: member.evidence(),
        reason,
        unit: member.unit.clone(),
    }
}

/// The user of a process, by name; `unknown` where it is gone.
pub(super) fn user_of(pid: i32) -> String {
    proc::uid(pid).map_or_else(|| "unknown".to_owned(), users::name)
}
