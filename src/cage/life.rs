//! The cage of one life.

use std::collections::BTreeSet;

use crate::cage::World;
use crate::domain::{FoundBy, Life, Mark, ProcId, ProcessView, Signal, Survivor, UnitName};
use crate::sys::cgroup::Leaf;
use crate::sys::pidfd::Pidfd;
use crate::sys::proc::Stat;

/// How thoroughly members are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Down from the keeper and the leader, and the cgroup: cheap, complete while the keeper lives.
    Tree,
    /// The whole process table: parentage, cgroup, ledger, sessions, both marks.
    Full,
}

/// A process that is proven to be ours.
#[derive(Clone, Debug)]
pub struct Member {
    /// Which.
    pub id: ProcId,
    /// The process table's line on it.
    pub stat: Stat,
    /// Its user, where it could be read.
    pub uid: Option<u32>,
    /// The strongest proof.
    pub found_by: FoundBy,
    /// Whose child it was when seen: re-checked before a signal where parentage is the proof.
    pub parent: Option<ProcId>,
}

impl Member {
    /// As `ps` shows it; `now_ms` is milliseconds since boot.
    #[must_use]
    pub fn view(&self, _now_ms: u64) -> ProcessView {
        todo!()
    }
}

/// All that is known of one life, living or ended, that ties processes to it.
#[derive(Clone, Debug)]
pub struct Cage {
    /// The unit.
    pub unit: UnitName,
    /// Its life.
    pub life: Life,
    /// The life's mark.
    pub mark: Mark,
    /// The stack's secret.
    pub stack: Mark,
    /// The process that holds the life, if there is one. It is never a member.
    pub keeper: Option<ProcId>,
    /// The first process of the life.
    pub leader: ProcId,
    /// The life's cgroup.
    pub cgroup: Option<Leaf>,
    /// Every member ever seen.
    pub ledger: BTreeSet<ProcId>,
    /// Processes that must never be signalled whatever proof there is: the client that asked, and its ancestors.
    pub spared: BTreeSet<ProcId>,
    asked: BTreeSet<ProcId>,
}

/// What an ask came to.
#[derive(Clone, Debug, Default)]
pub struct AskOutcome {
    /// Members that got the signal now.
    pub heard: u32,
    /// Members that could not or must not get it.
    pub refused: Vec<ProcId>,
}

/// What a kill came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KillOutcome {
    /// Who took SIGKILL, with command lines.
    pub forced: Vec<(ProcId, String)>,
    /// Who lives on, and why.
    pub survivors: Vec<Survivor>,
}

impl Cage {
    /// The cage of a life that has just begun.
    #[must_use]
    pub fn new(
        _unit: UnitName,
        _life: Life,
        _mark: Mark,
        _stack: Mark,
        _keeper: Option<ProcId>,
        _leader: ProcId,
    ) -> Self {
        todo!()
    }
    /// The living members, each once, with the strongest proof.
    #[must_use]
    pub fn census(&self, _world: &mut World, _depth: Depth) -> Vec<Member> {
        todo!()
    }
    /// Enters members into the ledger; returns those that are new, for the ledger on disk.
    pub fn note(&mut self, _members: &[Member]) -> Vec<ProcId> {
        todo!()
    }
    /// Sends the signal to each member that has not had one yet; stopped ones are woken after it.
    pub fn ask(&mut self, _signal: Signal) -> AskOutcome {
        todo!()
    }
    /// Forgets who has been asked: a new stop begins.
    pub fn forget_asked(&mut self) {
        self.asked.clear();
    }
    /// Freeze, count, SIGKILL, in bounded rounds. Does not wait for the ends: await [`Cage::watch`] or the keeper.
    pub fn kill(&mut self) -> KillOutcome {
        todo!()
    }
    /// Whether two full looks in a row find no member. With a living keeper its `ECHILD` is the better proof.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Handles on living members, at most `limit`, to wait for their ends.
    #[must_use]
    pub fn watch(&self, _limit: usize) -> Vec<Pidfd> {
        todo!()
    }
    /// The members that live on, each with the reason.
    #[must_use]
    pub fn survivors(&self) -> Vec<Survivor> {
        todo!()
    }
}
