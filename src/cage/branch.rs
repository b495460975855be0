//! A part of a cage: the one process that takes too much, or that and all that it has started. The rest is left alone.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::cage::guard::Guard;
use crate::cage::life::{Cage, KillOutcome, Member};
use crate::cage::stop::{self, Prey};
use crate::cage::world::World;
use crate::domain::ProcId;
use crate::sys::cgroup::Leaf;

impl Cage {
    /// SIGKILL for one member; with `whole` also for all that it has started, and for orphans beside it that run the same
    /// command: a fork bomb leaves its first process behind. Never for the leader.
    pub fn kill_branch(&mut self, root: ProcId, whole: bool) -> KillOutcome {
        stop::kill(&Branch { cage: self, root, whole, seen: RefCell::default(), command: RefCell::default() })
    }
}

struct Branch<'c> {
    cage: &'c Cage,
    root: ProcId,
    whole: bool,
    /// Those that were found once: whoever was killed in between is not their parent any more.
    seen: RefCell<BTreeSet<ProcId>>,
    /// The command line of the root, as long as it could be read.
    command: RefCell<Option<String>>,
}

impl Prey for Branch<'_> {
    fn look(&self, world: &mut World) -> Vec<Member> {
        let mut members = self.cage.look(world);
        members.retain(|member| member.id != self.cage.leader);
        let mut seen = self.seen.borrow_mut();
        let root = members.iter().find(|member| member.id == self.root);
        let mut command = self.command.borrow_mut();
        if let (None, Some(root)) = (&*command, root) {
            *command = Some(root.command());
        }
        seen.insert(self.root);
        if self.whole {
            let keeper = self.cage.keeper.map(|keeper| keeper.pid.get());
            let alike = |member: &Member| {
                Some(member.stat.ppid) == keeper && command.as_ref().is_some_and(|it| *it == member.command())
            };
            seen.extend(members.iter().filter(|member| alike(member)).map(|member| member.id));
            descend(&members, &mut seen);
        }
        members.retain(|member| seen.contains(&member.id));
        members
    }

    fn guard(&self) -> Guard {
        self.cage.guard()
    }

    fn leaves(&self) -> Vec<&Leaf> {
        Vec::new()
    }

    fn leader(&self) -> Option<ProcId> {
        None
    }
}

/// Adds all whose parent is among them, until there is none.
fn descend(members: &[Member], seen: &mut BTreeSet<ProcId>) {
    loop {
        let parents: BTreeSet<i32> = seen.iter().map(|id| id.pid.get()).collect();
        let before = seen.len();
        seen.extend(
            members.iter().filter(|member| parents.contains(&member.stat.ppid)).map(|member| member.id),
        );
        if seen.len() == before {
            return;
        }
    }
}
