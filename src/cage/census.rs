//! Who belongs to a set of lives: every layer of proof, gathered in one look.

use std::collections::{BTreeMap, BTreeSet};

use crate::cage::life::{Cage, Depth, Member};
use crate::cage::stray::Hearth;
use crate::cage::world::World;
use crate::domain::{FoundBy, Mark, ProcId, UnitName};
use crate::sys::proc::{self, Stat};

/// What ties processes to one or many lives.
pub(super) struct Net<'a> {
    pub(super) lives: Vec<&'a Cage>,
    /// The stack's secret, where strays of unknown lives are looked for as well.
    pub(super) stack: Option<&'a Mark>,
    pub(super) hearth: Option<&'a Hearth>,
}

struct Gathering<'w> {
    world: &'w mut World,
    found: BTreeMap<ProcId, Member>,
    /// Whose children are still to be looked at, with the unit that they inherit.
    open: Vec<(ProcId, Option<UnitName>)>,
    /// Keepers, the supervisor and this process: they hold cages, they are in none.
    holders: BTreeSet<ProcId>,
}

/// The living members of these lives, each once, with the strongest proof.
pub(super) fn gather(net: &Net<'_>, world: &mut World, depth: Depth) -> Vec<Member> {
    if depth == Depth::Full {
        world.read_all();
    }
    let mut holders: BTreeSet<ProcId> = net.lives.iter().filter_map(|cage| cage.keeper).collect();
    holders.extend(net.hearth.map(|hearth| hearth.supervisor));
    holders.extend(proc::own_id());
    let mut all = Gathering { world, found: BTreeMap::new(), open: Vec::new(), holders };
    for cage in &net.lives {
        all.add_life(cage, depth);
    }
    if let Some(hearth) = net.hearth {
        all.add_orphans(hearth);
    }
    if depth == Depth::Full {
        all.add_marked(net);
    }
    all.descend();
    if depth == Depth::Full {
        let shared: BTreeSet<i32> = net.lives.iter().filter_map(|cage| cage.shared_session).collect();
        // A session may lead to a process whose children have opened sessions of their own.
        while all.add_sessions(&shared) {
            all.descend();
        }
    }
    all.found.into_values().collect()
}

impl Gathering<'_> {
    fn add(
        &mut self,
        id: ProcId,
        found_by: FoundBy,
        unit: Option<&UnitName>,
        parent: Option<ProcId>,
    ) -> bool {
        if self.holders.contains(&id) {
            return false;
        }
        if let Some(known) = self.found.get_mut(&id) {
            if found_by < known.found_by {
                (known.found_by, known.parent) = (found_by, parent);
            }
            return false;
        }
        let Some(stat) = self.world.alive(id).cloned() else { return false };
        let unit = unit.cloned();
        self.open.push((id, unit.clone()));
        self.found.insert(id, Member { id, stat, found_by, unit, parent, detail: None });
        true
    }

    fn add_life(&mut self, cage: &Cage, depth: Depth) {
        let unit = Some(&cage.unit);
        self.add(cage.leader, FoundBy::Leader, unit, None);
        let keeper = cage.keeper.filter(|keeper| self.world.alive(*keeper).is_some());
        self.open.extend(keeper.map(|keeper| (keeper, Some(cage.unit.clone()))));
        // Under a living keeper the tree is complete; without one, cgroup and ledger are where we begin.
        if depth == Depth::Tree && keeper.is_some() {
            return;
        }
        if let Some(leaf) = &cage.cgroup {
            let listed = leaf.procs();
            let seen: Vec<ProcId> =
                listed.into_iter().filter_map(|pid| self.world.stat(pid).and_then(Stat::id)).collect();
            // A number can be given away between the list and the look at it: only one that is still listed was ours
            // when we looked.
            let still: BTreeSet<i32> =
                if seen.is_empty() { [].into() } else { leaf.procs().into_iter().collect() };
            for id in seen.into_iter().filter(|id| still.contains(&id.pid.get())) {
                self.add(id, FoundBy::Cgroup, unit, None);
            }
        }
        for id in &cage.ledger {
            self.add(*id, FoundBy::Ledger, unit, None);
        }
    }

    /// Children of the supervisor that are none of its own: orphans of a keeper that was killed.
    fn add_orphans(&mut self, hearth: &Hearth) {
        for child in self.world.children(hearth.supervisor) {
            if !hearth.own.contains(&child) {
                self.add(child, FoundBy::Parentage, None, Some(hearth.supervisor));
            }
        }
    }

    fn add_marked(&mut self, net: &Net<'_>) {
        // Marks are inherited at birth: nobody older than all these lives carries one. Where the stack's secret is
        // looked for, lives that no ledger knows may be older.
        let since = net.lives.iter().map(|cage| cage.leader.start).min().filter(|_| net.stack.is_none());
        let since = since.unwrap_or(0);
        // The life says more than the stack: it names the unit.
        let lives = net.lives.iter().map(|cage| (&cage.mark, Some(&cage.unit)));
        for (mark, unit) in lives.chain(net.stack.map(|stack| (stack, None))) {
            for id in self.world.marked_with(mark, since) {
                self.add(id, FoundBy::Mark, unit, None);
            }
        }
    }

    fn descend(&mut self) {
        while let Some((parent, unit)) = self.open.pop() {
            for child in self.world.children(parent) {
                self.add(child, FoundBy::Parentage, unit.as_ref(), Some(parent));
            }
        }
    }

    /// Adds the sessions that are wholly ours; says whether anyone was added.
    fn add_sessions(&mut self, shared: &BTreeSet<i32>) -> bool {
        let ours = self.sessions(shared);
        // Whoever has a proof of its own keeps it: nobody is proven by the session that it itself proves.
        let inside = |stat: &Stat| {
            let id = stat.id().filter(|id| !self.found.contains_key(id))?;
            Some((id, ours.get(&stat.sid)?.clone()))
        };
        let new: Vec<(ProcId, Option<UnitName>)> = self.world.all().filter_map(inside).collect();
        new.into_iter()
            .fold(false, |any, (id, unit)| self.add(id, FoundBy::Session, unit.as_ref(), None) || any)
    }

    /// Session numbers that prove membership now.
    ///
    /// A number is safe while a proven member lives in the session: the kernel cannot give it away. But a member that
    /// has not opened its session yet still stands in its keeper's, and a copied mark may stand in a user's: so the
    /// session's own first process must be a member, or dead.
    fn sessions(&mut self, shared: &BTreeSet<i32>) -> BTreeMap<i32, Option<UnitName>> {
        let line = self.world.own_line().to_vec();
        let mut foreign = shared.clone();
        foreign.extend(line.iter().map(|stat| stat.sid));
        let holders: Vec<ProcId> = self.holders.iter().copied().collect();
        foreign.extend(holders.into_iter().filter_map(|id| self.world.alive(id).map(|stat| stat.sid)));
        let mut ours = BTreeMap::new();
        for member in self.found.values() {
            let sid = member.stat.sid;
            // 0 is any session outside our view, 1 that of process 1.
            if sid <= 1 || foreign.contains(&sid) || ours.contains_key(&sid) {
                continue;
            }
            // Looked at after everyone else was: who lives in it now has held the number all the while.
            let holds = |now: &Stat| now.start == member.id.start && now.sid == sid && !now.is_gone();
            if !proc::stat(member.id.pid.get()).as_ref().is_some_and(holds) {
                continue;
            }
            let first = self.world.stat(sid).filter(|stat| !stat.is_gone()).and_then(Stat::id);
            if first.is_none_or(|first| self.found.contains_key(&first)) {
                ours.insert(sid, member.unit.clone());
            }
        }
        ours
    }
}
