//! A `down` in work: units in reverse order, then strays, then an independent look, then the verdict.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ladder::{Entry, Ladder};
use super::standing::{Fact, Goal, Phase, StopOrder};
use super::turn::Turn;
use super::unit::Unit;
use super::{Action, DownRequest, Reply, RequestId, Stack, Target};
use crate::domain::{
    ContainersProof, DownReport, Ended, EndedUnit, Moment, PortStatus, Signal, Survivor, UnitName,
};

/// How long strays may take, where the request says nothing.
pub(super) const STRAY_GRACE: Duration = Duration::from_secs(10);
/// So often it is looked for strays again, when the verification finds new ones.
pub(super) const MORE_SEEKS: u32 = 2;

/// The `down` in work; further ones join it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DownWork {
    /// Who asked, and when.
    ids: Vec<(RequestId, Moment)>,
    begun: Moment,
    /// None: the whole stack.
    units: Option<BTreeSet<UnitName>>,
    /// Strays too, though it is not the whole stack.
    #[serde(default)]
    strays: bool,
    force: bool,
    grace: Option<Duration>,
    /// Units that are still on their way out.
    open: BTreeSet<UnitName>,
    seeks: u32,
    stage: Stage,
    findings: Findings,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    Closing,
    Seeking,
    Sweeping(Ladder),
    Verifying { ticket: u64 },
}

/// What a stop has found and done so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Findings {
    pub(super) rows: Vec<EndedUnit>,
    pub(super) swept: Vec<Ended>,
    pub(super) left_alone: Vec<Ended>,
    /// Strays that could not be ended.
    pub(super) survivors: Vec<Survivor>,
}

/// The answer to a verification.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verified {
    pub(super) survivors: Vec<Survivor>,
    pub(super) ports: Vec<PortStatus>,
    pub(super) containers: Option<Box<ContainersProof>>,
}

/// Verifications, one at a time: their answers carry no name, so a second question waits for the first answer, even
/// where nobody waits for that any more. A late answer must never be taken for the verdict on another stop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Questions {
    last: u64,
    /// The first is outstanding.
    line: VecDeque<(u64, Scope)>,
}

/// What a verification looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scope {
    /// None: the whole stack.
    pub(super) units: Option<Vec<UnitName>>,
    /// The strays beside these units.
    pub(super) strays: bool,
}

impl Scope {
    fn ask(&self, turn: &mut Turn) {
        turn.act(Action::Verify { units: self.units.clone(), strays: self.strays });
    }
}

impl Questions {
    pub(super) fn ask(&mut self, scope: Scope, turn: &mut Turn) -> u64 {
        self.last += 1;
        if self.line.is_empty() {
            scope.ask(turn);
        }
        self.line.push_back((self.last, scope));
        self.last
    }

    fn answered(&mut self, turn: &mut Turn) -> Option<u64> {
        let (ticket, _) = self.line.pop_front()?;
        if let Some((_, scope)) = self.line.front() {
            scope.ask(turn);
        }
        Some(ticket)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

impl Findings {
    /// The verdict. `units`: those that were to be ended.
    pub(super) fn report<'a>(
        self,
        units: impl Iterator<Item = &'a Unit>,
        verified: Verified,
        begun: Moment,
        now: Moment,
    ) -> DownReport {
        let Self { rows, swept, left_alone, survivors: mut deaf } = self;
        // A life that was not proven empty is not clean, even where no process of it can be named.
        let mut proven = true;
        let mut unseen = BTreeSet::new();
        for unit in units {
            match &unit.phase {
                Phase::Resting(_) | Phase::Queued | Phase::Backoff { .. } => {}
                Phase::Survived { survivors, .. } => {
                    proven = false;
                    if survivors.is_empty() {
                        unseen.insert(&unit.plan.name);
                    }
                    deaf.extend(survivors.iter().cloned());
                }
                Phase::Starting { .. }
                | Phase::Gating { .. }
                | Phase::Ready { .. }
                | Phase::Examining { .. }
                | Phase::Leaving { .. }
                | Phase::Ending(_) => proven = false,
            }
        }
        let deaf = distinct(deaf);
        let survivors = distinct(deaf.iter().cloned().chain(verified.survivors).collect());
        let (swept, alive): (Vec<_>, Vec<_>) = swept
            .into_iter()
            .partition(|stray| !survivors.iter().any(|survivor| survivor.process == stray.process));
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let seen = |row: &&EndedUnit| !unseen.contains(&row.name);
        let counted: u32 = rows.iter().filter(seen).map(|row| row.processes).sum();
        let deaf_members = deaf.len().saturating_sub(alive.len());
        let forced = rows.iter().map(forced_of).sum::<usize>();
        let gone = verified.containers.as_ref().is_none_or(|proof| proof.is_clean());
        DownReport {
            clean: proven && gone && survivors.is_empty() && verified.ports.iter().all(|port| port.free),
            ended: counted.saturating_sub(count(deaf_members)) + count(swept.len()),
            forced: count(forced + swept.iter().filter(|stray| stray.forced).count()),
            survivors,
            ports: verified.ports,
            containers: verified.containers,
            swept,
            left_alone,
            spared: Vec::new(),
            units: rows,
            seconds: (now - begun).as_secs_f64(),
        }
    }
}

impl DownWork {
    pub(super) fn is_whole(&self) -> bool {
        self.units.is_none()
    }

    fn sweeps(&self) -> bool {
        self.is_whole() || self.strays
    }

    fn seek(&mut self, turn: &mut Turn) {
        self.stage = Stage::Seeking;
        turn.act(Action::Seek { beside: !self.is_whole() });
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        match &self.stage {
            Stage::Sweeping(ladder) => ladder.deadline(),
            Stage::Closing | Stage::Seeking | Stage::Verifying { .. } => None,
        }
    }

    /// The request that came last: whoever hardened a stop is asked about it.
    pub(super) fn newest(&self) -> Option<RequestId> {
        self.ids.last().map(|(id, _)| *id)
    }

    pub(super) fn is_stirred(&self) -> bool {
        matches!(&self.stage, Stage::Sweeping(ladder) if ladder.is_stirred())
    }

    pub(super) fn covers(&self, name: &UnitName) -> bool {
        self.units.as_ref().is_none_or(|units| units.contains(name))
    }

    fn order(&self) -> StopOrder {
        StopOrder { goal: Goal::Rest, force: self.force, grace: self.grace }
    }
}

impl Stack {
    /// A `down` wins over everything; a further one joins, widens and hardens the one in work.
    pub(super) fn down_requested(&mut self, id: RequestId, request: &DownRequest, turn: &mut Turn) {
        let stranger = request.units.iter().flatten().find(|name| !self.units.contains_key(*name));
        if let Some(stranger) = stranger {
            turn.act(Action::Reply { id, reply: Reply::NoSuchUnit(stranger.clone()) });
            return;
        }
        let names: Vec<UnitName> = match &request.units {
            Some(units) => units.clone(),
            None => self.units.keys().cloned().collect(),
        };
        let whole = request.units.is_none();
        if whole {
            for waiting in std::mem::take(&mut self.waiting) {
                turn.act(Action::Reply { id: waiting.id, reply: Reply::Busy });
            }
        }
        if self.up.as_ref().is_some_and(|work| whole || names.iter().any(|name| work.touches(name))) {
            self.interrupt_up(turn);
        }
        self.join_down(id, request, turn.now);
        self.order_stops(&names, turn);
    }

    fn join_down(&mut self, id: RequestId, request: &DownRequest, now: Moment) {
        let units = request.units.as_ref().map(|units| units.iter().cloned().collect::<BTreeSet<_>>());
        let Some(work) = &mut self.down else {
            self.down = Some(DownWork {
                ids: vec![(id, now)],
                begun: now,
                units,
                strays: request.strays,
                force: request.force,
                grace: request.grace,
                open: BTreeSet::new(),
                seeks: 0,
                stage: Stage::Closing,
                findings: Findings::default(),
            });
            return;
        };
        work.ids.push((id, now));
        work.force |= request.force;
        work.grace = match (work.grace, request.grace) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
        if request.strays && !work.sweeps() {
            work.stage = Stage::Closing;
        }
        work.strays |= request.strays;
        match (&mut work.units, units) {
            (None, _) => {}
            (Some(old), Some(new)) => {
                if !new.is_subset(old) {
                    old.extend(new);
                    work.stage = Stage::Closing;
                }
            }
            (Some(_), None) => {
                work.units = None;
                work.stage = Stage::Closing;
            }
        }
    }

    /// Tells the units of the present `down` to go: new ones, and where it became harder all of them.
    fn order_stops(&mut self, names: &[UnitName], turn: &mut Turn) {
        let Some(work) = &mut self.down else { return };
        let order = work.order();
        let known: Vec<UnitName> = work.open.iter().cloned().collect();
        for name in names.iter().chain(&known) {
            let Some(unit) = self.units.get_mut(name) else { continue };
            // What could not be ended is tried again by a new `down`, not by one that joins it.
            if work.open.contains(name) || !tried(&work.findings, name, unit) {
                unit.stop(order.clone(), turn);
            }
            if unit.is_going() {
                work.open.insert(name.clone());
            }
            turn.touch(name);
        }
        if let Stage::Sweeping(ladder) = &mut work.stage {
            if let Some(grace) = work.grace {
                ladder.shorten(grace);
            }
            if work.force {
                ladder.force(turn);
            }
        }
        self.recount(turn);
    }

    /// A life was adopted: a `down` in work ends it as well.
    pub(super) fn adopted_in_down(&mut self, name: &UnitName, turn: &mut Turn) {
        if self.down.as_ref().is_some_and(|work| work.covers(name)) {
            self.order_stops(std::slice::from_ref(name), turn);
        }
    }

    /// A unit changed.
    pub(super) fn tell_down(&mut self, name: &UnitName) {
        if let (Some(work), Some(unit)) = (&mut self.down, self.units.get(name))
            && !unit.is_going()
        {
            work.open.remove(name);
        }
    }

    /// The ladder's lines of units that a `down` ends.
    pub(super) fn row_for_down(&mut self, row: &EndedUnit) {
        if let Some(work) = &mut self.down
            && work.covers(&row.name)
        {
            work.findings.rows.push(row.clone());
        }
    }

    /// Nothing moves any more within this event: does the `down` come to its next stage?
    pub(super) fn judge_down(&mut self, turn: &mut Turn) {
        let Some(work) = &mut self.down else { return };
        match work.stage {
            Stage::Closing if work.open.is_empty() && work.sweeps() => work.seek(turn),
            Stage::Closing if work.open.is_empty() => self.verify_down(turn),
            Stage::Closing | Stage::Seeking | Stage::Sweeping(_) | Stage::Verifying { .. } => {}
        }
    }

    fn verify_down(&mut self, turn: &mut Turn) {
        let Some(work) = &mut self.down else { return };
        let units = work.units.as_ref().map(|units| units.iter().cloned().collect());
        let scope = Scope { units, strays: work.strays && !work.is_whole() };
        work.stage = Stage::Verifying { ticket: self.questions.ask(scope, turn) };
    }

    /// The strays are known.
    pub(super) fn sought(&mut self, strays: Vec<Ended>, left_alone: Vec<Ended>, turn: &mut Turn) {
        let Some(work) = &mut self.down else { return };
        if work.stage != Stage::Seeking {
            return;
        }
        work.findings.left_alone = left_alone;
        if strays.is_empty() {
            self.after_strays(turn);
            return;
        }
        for stray in strays {
            work.findings.swept.retain(|known| known.process != stray.process);
            work.findings.swept.push(stray);
        }
        let entry = if work.force { Entry::Force } else { Entry::Signal };
        let grace = work.grace.unwrap_or(STRAY_GRACE);
        work.stage = Stage::Sweeping(Ladder::begin(Target::Strays, Signal::TERM, grace, entry, turn));
    }

    /// A fact about the strays on the ladder.
    pub(super) fn stray_fact(&mut self, fact: Fact, turn: &mut Turn) {
        let Some(work) = &mut self.down else { return };
        let Stage::Sweeping(ladder) = &mut work.stage else { return };
        let over = match fact {
            Fact::Emptied => {
                ladder.tally.survivors.clear();
                true
            }
            Fact::Due => ladder.due(turn),
            Fact::Asked { heard, refused } => {
                ladder.asked(heard, refused, turn);
                false
            }
            Fact::Stirred => {
                ladder.stirred(turn);
                false
            }
            Fact::Killed { forced, survivors } => {
                ladder.killed(forced, survivors, turn.now);
                false
            }
            Fact::Started { .. }
            | Fact::NotStarted { .. }
            | Fact::Gated { .. }
            | Fact::Checked { .. }
            | Fact::Exited { .. }
            | Fact::CommandEnded
            | Fact::Examined { .. } => false,
        };
        if !over {
            return;
        }
        for stray in &mut work.findings.swept {
            stray.forced |= ladder.tally.forced.iter().any(|(process, _)| *process == stray.process);
        }
        work.findings.survivors.append(&mut ladder.tally.survivors);
        self.after_strays(turn);
    }

    fn after_strays(&mut self, turn: &mut Turn) {
        let Some(work) = &mut self.down else { return };
        if work.open.is_empty() {
            self.verify_down(turn);
        } else {
            // A life was adopted meanwhile.
            work.stage = Stage::Closing;
        }
    }

    /// The answer to the verification that is outstanding.
    pub(super) fn verified(&mut self, verified: Verified, turn: &mut Turn) {
        let Some(ticket) = self.questions.answered(turn) else { return };
        let Some(verified) = self.up_verified(ticket, verified, turn) else { return };
        let Some(work) = &mut self.down else { return };
        if work.stage != (Stage::Verifying { ticket }) {
            return;
        }
        if !work.open.is_empty() {
            work.stage = Stage::Closing;
            return;
        }
        let known: BTreeSet<_> = self
            .units
            .values()
            .flat_map(Unit::survivors)
            .chain(&work.findings.survivors)
            .map(|survivor| survivor.process)
            .collect();
        let new = verified.survivors.iter().any(|survivor| !known.contains(&survivor.process));
        if new && work.sweeps() && work.seeks < MORE_SEEKS {
            work.seeks += 1;
            work.seek(turn);
            return;
        }
        self.finish_down(verified, turn);
    }

    fn finish_down(&mut self, verified: Verified, turn: &mut Turn) {
        let Some(work) = self.down.take() else { return };
        let units = self.units.values().filter(|unit| work.covers(&unit.plan.name));
        let report = work.findings.clone().report(units, verified, work.begun, turn.now);
        for (id, since) in work.ids {
            let seconds = (turn.now - since).as_secs_f64();
            turn.act(Action::Reply { id, reply: Reply::Down(DownReport { seconds, ..report.clone() }) });
        }
    }
}

/// What took SIGKILL of a unit: processes of this machine, and the container, whose own are its engine's.
fn forced_of(row: &EndedUnit) -> usize {
    let container = row.container.as_ref().is_some_and(|container| container.forced);
    row.deaf.len().max(usize::from(container))
}

/// Each process once, the first mention of it.
fn distinct(mut survivors: Vec<Survivor>) -> Vec<Survivor> {
    let mut seen = BTreeSet::new();
    survivors.retain(|one| seen.insert(one.process));
    survivors
}

/// This stop has been through the ladder with it already.
fn tried(findings: &Findings, name: &UnitName, unit: &Unit) -> bool {
    matches!(unit.phase, Phase::Survived { .. }) && findings.rows.iter().any(|row| row.name == *name)
}
