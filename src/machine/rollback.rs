//! How an `up` ends before its time: failure, time limit, Ctrl-C, or a `down` that wins.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::closing::{Findings, Verified};
use super::standing::{Goal, Phase, Rest, StopOrder};
use super::turn::Turn;
use super::unit::Unit;
use super::{Action, Stack};
use crate::domain::{ContainerTrouble, EndedUnit, Failure, Moment, UnitName};

/// What ended an `up` before its time, other than a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cut {
    /// Its time limit.
    Time,
    /// The user.
    User,
}

/// The way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollback {
    begun: Moment,
    pub(super) names: Vec<UnitName>,
    pub(super) open: BTreeSet<UnitName>,
    rows: Vec<EndedUnit>,
    /// The verification it waits for.
    pub(super) ticket: Option<u64>,
}

impl Stack {
    /// Ends what this request started, and only that.
    pub(super) fn roll_back(&mut self, force: bool, turn: &mut Turn) {
        let Some(work) = &mut self.up else { return };
        let mut names = Vec::new();
        let mut open = BTreeSet::new();
        for name in &self.order {
            let (Some(unit), Some(wanted)) = (self.units.get_mut(name), work.units.get(name)) else {
                continue;
            };
            if wanted.begun {
                names.push(name.clone());
            }
            // What ran before is left alone; what only waits in line is not started any more.
            if unit.is_settled() || !(wanted.begun || unit.phase == Phase::Queued) {
                continue;
            }
            unit.stop(StopOrder { goal: Goal::Rest, force, grace: None }, turn);
            turn.touch(name);
            if unit.is_going() {
                open.insert(name.clone());
            }
        }
        if names.is_empty() {
            self.finish_up(None, turn);
            return;
        }
        work.back = Some(Rollback { begun: turn.now, names, open, rows: Vec::new(), ticket: None });
        self.recount(turn);
    }

    /// The user is out of patience: SIGKILL for all that the rollback still ends.
    pub(super) fn force_rollback(&mut self, turn: &mut Turn) {
        let Some(back) = self.up.as_ref().and_then(|work| work.back.as_ref()) else { return };
        for name in back.open.clone() {
            if let Some(unit) = self.units.get_mut(&name) {
                unit.stop(StopOrder { goal: Goal::Rest, force: true, grace: None }, turn);
                turn.touch(&name);
            }
        }
        self.recount(turn);
    }

    /// Ctrl-C in an `up`: it turns back; the second time by force.
    pub(super) fn cancel_up(&mut self, force: bool, turn: &mut Turn) {
        let Some(work) = &mut self.up else { return };
        work.cut = Some(Cut::User);
        if work.back.is_none() {
            self.roll_back(force, turn);
        } else if force {
            self.force_rollback(turn);
        }
    }

    /// The time limit of an `up`, in work or in line.
    pub(super) fn limit_ups(&mut self, turn: &mut Turn) {
        let late = |deadline: Option<Moment>| deadline.is_some_and(|deadline| turn.now >= deadline);
        let (over, rest): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| late(waiting.deadline()));
        self.waiting = rest;
        for waiting in over {
            let id = waiting.id;
            turn.act(Action::Reply { id, reply: waiting.unserved(true, turn.now) });
        }
        let Some(work) = &mut self.up else { return };
        if work.deadline().is_some_and(|deadline| turn.now >= deadline) {
            work.cut = Some(Cut::Time);
            if work.keep {
                self.interrupt_up(turn);
            } else {
                self.roll_back(false, turn);
            }
        }
    }

    /// The request is over as it stands: a `down` wins, or its time is up and it keeps what it has.
    pub(super) fn interrupt_up(&mut self, turn: &mut Turn) {
        self.abandon(turn);
        self.finish_up(None, turn);
    }

    /// What nobody will wait for any more: queued units stay down, and so do those that were to be started anew.
    fn abandon(&mut self, turn: &mut Turn) {
        let Some(work) = &self.up else { return };
        for name in work.units.keys() {
            let Some(unit) = self.units.get_mut(name) else { continue };
            unit.forgo(turn);
            if unit.phase == Phase::Queued {
                unit.reach(Goal::Rest);
                turn.touch(name);
            }
        }
    }

    /// The verification of a rollback is there.
    pub(super) fn up_verified(
        &mut self,
        ticket: u64,
        mut verified: Verified,
        turn: &mut Turn,
    ) -> Option<Verified> {
        let Some(back) = self.up.as_mut().and_then(|work| work.back.as_mut()) else { return Some(verified) };
        if back.ticket != Some(ticket) {
            return Some(verified);
        }
        let findings = Findings { rows: std::mem::take(&mut back.rows), ..Findings::default() };
        let (names, begun) = (std::mem::take(&mut back.names), back.begun);
        // A port that a stranger held from the start is what the `up` failed for, not something that it left behind.
        let never_ours: BTreeSet<u16> =
            names.iter().filter_map(|name| taken(self.units.get(name)?)).collect();
        verified.ports.retain(|status| status.free || !never_ours.contains(&status.port));
        let report =
            findings.report(names.iter().filter_map(|name| self.units.get(name)), verified, begun, turn.now);
        self.finish_up(Some(report), turn);
        None
    }

    /// The ladder's lines of units that a rollback ends.
    pub(super) fn row_for_up(&mut self, row: &EndedUnit) {
        if let Some(back) = self.up.as_mut().and_then(|work| work.back.as_mut())
            && back.names.contains(&row.name)
        {
            back.rows.push(row.clone());
        }
    }
}

/// The port that somebody else held when this unit was to be started.
fn taken(unit: &Unit) -> Option<u16> {
    let Phase::Resting(Rest::Failed(failure)) = &unit.phase else { return None };
    match failure {
        Failure::PortInUse { port, .. }
        | Failure::Container { trouble: ContainerTrouble::PortTaken { port, .. }, .. } => Some(*port),
        _ => None,
    }
}
