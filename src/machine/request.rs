//! An `up` in work: what it wants, how far each unit is, and its way back when it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::closing::Scope;
use super::order::{Holds, holds};
use super::rollback::{Cut, Rollback};
use super::standing::{Goal, Phase, Rest, StopOrder};
use super::turn::Turn;
use super::unit::Unit;
use super::{Action, Reply, RequestId, Stack, UpRequest, words};
use crate::domain::{DownReport, Exit, Failure, Health, Moment, UnitName, UnitOutcome, UpReport};
use crate::plan::UnitPlan;

/// An `up` that waits for its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) id: RequestId,
    pub(super) since: Moment,
    pub(super) request: UpRequest,
}

/// The `up` in work; there is at most one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct UpWork {
    pub(super) id: RequestId,
    begun: Moment,
    deadline: Option<Moment>,
    no_deps: bool,
    pub(super) keep: bool,
    pub(super) units: BTreeMap<UnitName, Wanted>,
    /// Those of which it is not known yet how they fare.
    pub(super) open: BTreeSet<UnitName>,
    /// At least one has failed: without `keep` the request turns back.
    failed: bool,
    /// What ended it before its time.
    pub(super) cut: Option<Cut>,
    pub(super) back: Option<Rollback>,
}

/// One unit of an `up`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// What is said when it is ready.
    fresh: UnitOutcome,
    /// This request started it, or ended it to start it anew: a rollback ends it.
    pub(super) begun: bool,
    outcome: UnitOutcome,
    ready_at: Option<Moment>,
}

/// How one unit fares.
enum Progress {
    Open,
    Good,
    Bad(Failure),
}

impl Waiting {
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.request.timeout.map(|span| self.since + span)
    }

    /// The answer where it never came to its turn.
    pub(super) fn unserved(self, timed_out: bool, now: Moment) -> Reply {
        let units = self.request.units.into_iter().map(|name| (name, UnitOutcome::Unfinished)).collect();
        let seconds = (now - self.since).as_secs_f64();
        Reply::Up(UpReport { timed_out, cancelled: !timed_out, units, seconds, ..UpReport::default() })
    }
}

impl Wanted {
    fn is_good(&self) -> bool {
        match self.outcome {
            UnitOutcome::Unchanged | UnitOutcome::Started | UnitOutcome::Recreated => true,
            UnitOutcome::Failed(_) | UnitOutcome::Blocked { .. } | UnitOutcome::Unfinished => false,
        }
    }
}

impl UpWork {
    pub(super) fn id(&self) -> RequestId {
        self.id
    }

    /// When its time limit ends it; a rollback has none.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.deadline.filter(|_| self.back.is_none())
    }

    pub(super) fn touches(&self, name: &UnitName) -> bool {
        self.units.contains_key(name)
    }

    /// Takes note of how a unit fares, until the way back begins.
    fn note(&mut self, unit: &Unit, now: Moment) {
        if self.back.is_some() {
            return;
        }
        let Some(wanted) = self.units.get_mut(&unit.plan.name) else { return };
        let failure = match progress(unit) {
            Progress::Open => {
                self.open.insert(unit.plan.name.clone());
                wanted.outcome = UnitOutcome::Unfinished;
                return;
            }
            Progress::Good => {
                if wanted.outcome == UnitOutcome::Unfinished && wanted.begun {
                    wanted.ready_at = Some(now);
                }
                wanted.outcome = if wanted.begun { wanted.fresh.clone() } else { UnitOutcome::Unchanged };
                self.open.remove(&unit.plan.name);
                return;
            }
            Progress::Bad(failure) => failure,
        };
        self.open.remove(&unit.plan.name);
        wanted.outcome = match failure {
            Failure::Blocked { needs } => UnitOutcome::Blocked { needs },
            failure => UnitOutcome::Failed(failure),
        };
        self.failed = true;
    }

    fn report(self, order: &[UnitName], units: &BTreeMap<UnitName, Unit>, now: Moment) -> UpReport {
        let slowest = self.slowest(units);
        let good = self.units.values().all(Wanted::is_good);
        let mut outcomes = self.units;
        let told =
            order.iter().filter_map(|name| Some((name.clone(), outcomes.remove(name)?.outcome))).collect();
        UpReport {
            ready: good && self.cut.is_none(),
            timed_out: self.cut == Some(Cut::Time),
            cancelled: self.cut == Some(Cut::User),
            units: told,
            rolled_back: None,
            slowest,
            seconds: (now - self.begun).as_secs_f64(),
        }
    }

    /// From the unit that was ready last, back along those it waited for.
    fn slowest(&self, units: &BTreeMap<UnitName, Unit>) -> Vec<(UnitName, u64)> {
        let ready = |name: &UnitName| self.units.get(name).and_then(|wanted| wanted.ready_at);
        let mut chain = Vec::new();
        let mut next = self.units.keys().filter_map(|name| Some((ready(name)?, name))).max();
        while let Some((at, name)) = next {
            chain.push((name.clone(), words::millis(at - self.begun)));
            let needs = units.get(name).map(|unit| &unit.links.needs);
            next = needs.into_iter().flatten().filter_map(|needed| Some((ready(needed)?, needed))).max();
        }
        chain.reverse();
        chain
    }
}

fn progress(unit: &Unit) -> Progress {
    match &unit.phase {
        Phase::Resting(Rest::Failed(failure)) => Progress::Bad(failure.clone()),
        Phase::Resting(Rest::Stopped | Rest::Ended) => Progress::Bad(Failure::Exited {
            exit: unit.exit.unwrap_or(Exit::Unknown),
            was_ready: true,
            tail: Vec::new(),
        }),
        Phase::Survived { survivors, .. } => Progress::Bad(survived(survivors.len())),
        Phase::Ready { checks, .. } if checks.health == Health::Unhealthy => {
            Progress::Bad(Failure::Unhealthy { answer: checks.answer.clone(), tail: Vec::new() })
        }
        Phase::Resting(Rest::Completed) | Phase::Ready { .. } => Progress::Good,
        Phase::Queued
        | Phase::Starting { .. }
        | Phase::Gating { .. }
        | Phase::Examining { .. }
        | Phase::Leaving { .. }
        | Phase::Ending(_)
        | Phase::Backoff { .. } => Progress::Open,
    }
}

/// A life that could not be ended, or could not be shown to be.
pub(super) fn survived(count: usize) -> Failure {
    Failure::Survived { count: u32::try_from(count).unwrap_or(u32::MAX).max(1) }
}

impl Stack {
    /// A new `up`: refused, put in line, or begun.
    pub(super) fn up_requested(&mut self, waiting: Waiting, turn: &mut Turn) {
        let Waiting { id, request, .. } = &waiting;
        let known: BTreeSet<&UnitName> = request.plan.units.iter().map(|unit| &unit.name).collect();
        if let Some(stranger) =
            request.units.iter().chain(&request.recreate).find(|name| !known.contains(name))
        {
            turn.act(Action::Reply { id: *id, reply: Reply::NoSuchUnit(stranger.clone()) });
        } else if self.down.as_ref().is_some_and(super::closing::DownWork::is_whole) {
            turn.act(Action::Reply { id: *id, reply: Reply::Busy });
        } else {
            self.waiting.push_back(waiting);
        }
    }

    /// Begins the next `up` in line, where nothing else is in work: plans must not change under a request.
    pub(super) fn begin_next(&mut self, turn: &mut Turn) -> bool {
        if self.up.is_some() || self.down.is_some() {
            return false;
        }
        let Some(Waiting { id, since, request }) = self.waiting.pop_front() else { return false };
        let others = self.limits != request.plan.limits;
        self.take_plan(&request);
        let plans: BTreeMap<&UnitName, &UnitPlan> =
            request.plan.units.iter().map(|plan| (&plan.name, plan)).collect();
        let mut work = UpWork {
            id,
            begun: since,
            deadline: request.timeout.map(|span| since + span),
            no_deps: request.no_deps,
            keep: request.keep,
            units: BTreeMap::new(),
            open: BTreeSet::new(),
            failed: false,
            cut: None,
            back: None,
        };
        for name in &request.units {
            let (Some(unit), Some(plan)) = (self.units.get_mut(name), plans.get(name)) else { continue };
            let before = unit.plan.limits.clone();
            let wanted = want(unit, plan, request.recreate.contains(name), turn);
            unit.confine(others || before != plan.limits, turn);
            work.units.insert(name.clone(), wanted);
            work.note(unit, turn.now);
            turn.touch(name);
        }
        self.up = Some(work);
        self.relink(&request.plan.units.iter().map(|plan| plan.name.clone()).collect::<Vec<_>>());
        self.recount(turn);
        true
    }

    /// The newest plan: for units at rest at once, for others when they are started anew.
    fn take_plan(&mut self, request: &UpRequest) {
        self.limits = request.plan.limits.clone();
        for unit in self.units.values_mut() {
            unit.listed = false;
        }
        for plan in &request.plan.units {
            if let Some(unit) = self.units.get_mut(&plan.name) {
                unit.listed = true;
                if matches!(unit.phase, Phase::Resting(Rest::Stopped | Rest::Ended | Rest::Failed(_))) {
                    unit.plan = Arc::new(plan.clone());
                }
            } else {
                let last = self.forgotten.get(&plan.name).copied().unwrap_or_default();
                self.units.insert(plan.name.clone(), Unit::new(Arc::new(plan.clone()), last));
            }
        }
        let gone: Vec<UnitName> = self
            .units
            .iter()
            .filter(|(_, unit)| !unit.listed && matches!(unit.phase, Phase::Resting(_)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(unit) = self.units.remove(&name) {
                self.forgotten.insert(name, unit.last);
            }
        }
    }

    /// A unit changed: the request takes note, and those that wait for the unit look again.
    pub(super) fn tell_up(&mut self, name: &UnitName, turn: &mut Turn) {
        let Some(work) = &mut self.up else { return };
        let Some(unit) = self.units.get(name) else { return };
        work.note(unit, turn.now);
        if let Some(back) = &mut work.back {
            if !unit.is_going() {
                back.open.remove(name);
            }
            return;
        }
        let mut looking = vec![name.clone()];
        looking.extend(unit.links.dependents.iter().cloned());
        for name in looking {
            self.try_start(&name, turn);
        }
    }

    /// Starts a queued unit when all its conditions hold; fails it when one never will.
    fn try_start(&mut self, name: &UnitName, turn: &mut Turn) {
        let Some(work) = &mut self.up else { return };
        let Some(unit) = self.units.get(name) else { return };
        if unit.phase != Phase::Queued {
            return;
        }
        let mut waits = false;
        let mut blocked = None;
        for dependency in &unit.plan.depends_on {
            if work.no_deps && !work.units.contains_key(&dependency.unit) {
                continue;
            }
            let state = self
                .units
                .get(&dependency.unit)
                .map_or(Holds::Never, |needed| holds(needed, dependency.condition));
            match state {
                Holds::Yes => {}
                Holds::NotYet => waits = true,
                Holds::Never => blocked = blocked.or_else(|| Some(dependency.unit.clone())),
            }
        }
        let Some(unit) = self.units.get_mut(name) else { return };
        if let Some(needs) = blocked {
            unit.phase = Phase::Resting(Rest::Failed(Failure::Blocked { needs }));
            turn.touch(name);
        } else if !waits && (work.keep || !work.failed) {
            // Not where the request will turn back anyway.
            if let Some(wanted) = work.units.get_mut(name) {
                wanted.begun = true;
            }
            unit.start(turn);
            turn.touch(name);
        }
    }

    /// Nothing moves any more within this event: is the request answered, or does it turn back?
    pub(super) fn judge_up(&mut self, turn: &mut Turn) -> bool {
        let Some(work) = &mut self.up else { return false };
        match &mut work.back {
            Some(back) if back.open.is_empty() && back.ticket.is_none() => {
                let units = back.names.clone();
                let ticket = self.questions.ask(Scope { units: Some(units), strays: false }, turn);
                back.ticket = Some(ticket);
                false
            }
            None if work.failed && !work.keep => {
                self.roll_back(false, turn);
                true
            }
            None if work.open.is_empty() => {
                self.finish_up(None, turn);
                true
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn finish_up(&mut self, rolled_back: Option<DownReport>, turn: &mut Turn) {
        let Some(work) = self.up.take() else { return };
        let id = work.id;
        let report = work.report(&self.order, &self.units, turn.now);
        turn.act(Action::Reply { id, reply: Reply::Up(UpReport { rolled_back, ..report }) });
    }
}

/// Makes a unit wanted; what runs as wanted is not touched.
fn want(unit: &mut Unit, plan: &UnitPlan, recreate: bool, turn: &mut Turn) -> Wanted {
    let same = unit.plan.definition == plan.definition && !recreate;
    let new = Arc::new(plan.clone());
    let (fresh, begun) = match &unit.phase {
        Phase::Resting(Rest::Completed) if same => (UnitOutcome::Unchanged, false),
        Phase::Resting(Rest::Completed) => {
            unit.queue(new);
            (UnitOutcome::Recreated, false)
        }
        Phase::Resting(Rest::Stopped | Rest::Ended | Rest::Failed(_))
        | Phase::Queued
        | Phase::Backoff { .. } => {
            unit.queue(new);
            (UnitOutcome::Started, false)
        }
        Phase::Starting { stop: None } | Phase::Gating { .. } | Phase::Ready { .. } if same => {
            // What is being watched goes on as it was begun; all else is as the newest plan says.
            let watched =
                UnitPlan { gate: unit.plan.gate.clone(), health: unit.plan.health.clone(), ..plan.clone() };
            unit.plan = Arc::new(watched);
            (UnitOutcome::Unchanged, false)
        }
        Phase::Starting { .. } | Phase::Gating { .. } | Phase::Ready { .. } => {
            unit.stop(StopOrder { goal: Goal::Again(new), force: false, grace: None }, turn);
            (UnitOutcome::Recreated, true)
        }
        Phase::Examining { .. } | Phase::Leaving { .. } | Phase::Ending(_) | Phase::Survived { .. } => {
            unit.stop(StopOrder { goal: Goal::Again(new), force: false, grace: None }, turn);
            (UnitOutcome::Started, true)
        }
    };
    Wanted { fresh, begun, outcome: UnitOutcome::Unfinished, ready_at: None }
}
