//! Limits: what is measured becomes a breach, and a breach becomes what the manifest wants. A peak is no breach.
//!
//! A unit is over a limit when a measurement says so; it has broken it when two in a row do, and for as long as `for`
//! says. What is more than twice over is no peak: it is a breach at once, unless `for` says otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::standing::{Fault, Phase, Run};
use super::turn::Turn;
use super::unit::Unit;
use super::{Action, Stack, words};
use crate::domain::{
    Breach, Ceiling, Culprit, LifeUsage, Limits, MOST_CULPRITS, Moment, OnBreach, OutOfMemory, Resource,
    TotalUsage,
};

/// What is known of one life and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Watched {
    /// The kernel holds its memory.
    #[serde(default)]
    pub(super) memory_held: bool,
    /// The kernel holds its processor time.
    #[serde(default)]
    pub(super) cpus_held: bool,
    #[serde(default)]
    over: Overruns,
    /// What was told last, for people.
    #[serde(default)]
    pub(super) breach: Option<Breach>,
    /// What the kernel did.
    #[serde(default)]
    pub(super) out_of_memory: Option<OutOfMemory>,
}

impl Watched {
    /// It is under its limits again, or its stack is: what was told is history. That a process of it was ended stays true
    /// as long as it lives.
    fn forget(&mut self, of_stack: bool) {
        let stays = |breach: &Breach| breach.of_stack != of_stack || breach.action == OnBreach::KillCulprit;
        self.breach = self.breach.take().filter(stays);
    }

    /// What is wrong, as long as it is, or what was done for it.
    pub(super) fn words(&self) -> Option<String> {
        let killed = self.out_of_memory.map(|what| what.of_some());
        let breach = self.breach.as_ref().map(|breach| match breach.action {
            OnBreach::KillCulprit => format!("{breach}: that was ended"),
            OnBreach::AsKernel | OnBreach::Warn | OnBreach::Restart | OnBreach::Stop => breach.to_string(),
        });
        breach.or(killed)
    }
}

/// Each limit that was exceeded in the last measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overruns(BTreeMap<Resource, Overrun>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Overrun {
    since: Moment,
    seen: u32,
    /// Breaches that were made of it.
    breaches: u32,
}

/// One measurement beside its limit.
struct Measured {
    resource: Resource,
    used: u64,
    limit: Option<u64>,
    /// What follows from a breach.
    action: OnBreach,
}

impl Overruns {
    /// Whether this measurement makes a breach; the how-manieth of this overrun.
    fn judge(&mut self, measured: &Measured, sustained: Duration, now: Moment) -> Option<u32> {
        let Some(limit) = measured.limit.filter(|limit| measured.used > *limit) else {
            self.0.remove(&measured.resource);
            return None;
        };
        let run = self.0.entry(measured.resource).or_insert(Overrun { since: now, seen: 0, breaches: 0 });
        if run.breaches > 0 && measured.action == OnBreach::Warn {
            // It was told: however long it goes on, nothing follows from it.
            return Some(run.breaches + 1);
        }
        run.seen += 1;
        let no_peak = measured.resource.is_no_peak(run.seen, measured.used, limit);
        if !no_peak || now - run.since < sustained {
            return None;
        }
        (run.since, run.seen) = (now, 0);
        run.breaches += 1;
        Some(run.breaches)
    }
}

impl Stack {
    /// What of all measurements so far can still lead to a breach: where two are equal, those in between decide nothing.
    #[must_use]
    pub fn overruns(&self) -> Vec<Overruns> {
        let all = self.units.values().map(|unit| &unit.watched.over).chain([&self.over]);
        // A place for each: who is over it counts.
        all.cloned().collect()
    }

    /// What all lives take, at one moment.
    pub(super) fn sampled(&mut self, lives: &[LifeUsage], turn: &mut Turn) {
        for usage in lives {
            let Some(unit) = self.units.get_mut(&usage.unit).filter(|unit| unit.life == usage.life) else {
                continue;
            };
            unit.sampled(usage, turn);
            turn.touch(&usage.unit);
        }
        self.sampled_together(lives, turn);
    }

    /// The stack's own limits. The unit that takes the most has to answer for it.
    fn sampled_together(&mut self, lives: &[LifeUsage], turn: &mut Turn) {
        let held = |by: fn(&Watched) -> bool| {
            lives.iter().all(|usage| self.units.get(&usage.unit).is_some_and(|unit| by(&unit.watched)))
        };
        let (memory_held, cpus_held) = (held(|life| life.memory_held), held(|life| life.cpus_held));
        let Ceiling { memory, cpus_milli, pids } = self.limits.ceiling();
        let total = TotalUsage::of(lives);
        let most = |by: fn(&LifeUsage) -> u64| lives.iter().max_by_key(|usage| by(usage));
        let all = [
            (Resource::Memory, total.memory, memory.filter(|_| !memory_held), most(|usage| usage.memory)),
            (
                Resource::Cpus,
                total.cpu_milli.unwrap_or(0).into(),
                cpus_milli.filter(|_| !cpus_held).map(with_slack),
                most(|usage| usage.cpu_milli.unwrap_or(0).into()),
            ),
            (
                Resource::Pids,
                total.processes.into(),
                pids.map(u64::from),
                most(|usage| usage.processes.into()),
            ),
        ];
        for (resource, used, limit, most) in all {
            let culprit = most.and_then(|usage| resource.most(usage));
            let action = action(OnBreach::AsKernel, resource);
            let measured = Measured { resource, used, limit, action };
            let judged = self.over.judge(&measured, Duration::ZERO, turn.now);
            let (Some(count), Some(limit), Some(usage)) = (judged, limit, most) else { continue };
            let limit = if resource == Resource::Cpus { cpus_milli.map_or(limit, u64::from) } else { limit };
            if let Some(unit) = self.units.get_mut(&usage.unit).filter(|unit| unit.life == usage.life) {
                let breach = Breach {
                    resource,
                    used,
                    limit,
                    of_stack: true,
                    culprit: culprit.map(Culprit::from),
                    action,
                };
                unit.breached(breach, count, turn);
                turn.touch(&usage.unit);
            }
        }
        if self.over.0.is_empty() {
            self.units.values_mut().for_each(|unit| unit.watched.forget(true));
        }
    }
}

impl Unit {
    fn sampled(&mut self, usage: &LifeUsage, turn: &mut Turn) {
        let Limits { memory, cpus_milli, pids, open_files, sustained, on_breach, .. } = self.plan.limits;
        let files = usage.most_files.as_ref().and_then(|most| most.open_files).unwrap_or(0);
        let all = [
            (Resource::Memory, usage.memory, memory.filter(|_| !self.watched.memory_held)),
            (
                Resource::Cpus,
                usage.cpu_milli.unwrap_or(0).into(),
                cpus_milli.filter(|_| !self.watched.cpus_held).map(with_slack),
            ),
            (Resource::Pids, usage.processes.into(), pids.map(u64::from)),
            // More than all it may is never seen: who has them all is over it.
            (Resource::OpenFiles, files, open_files.map(|most| most.saturating_sub(1))),
        ];
        for (resource, used, limit) in all {
            let culprit = resource.most(usage);
            let action = action(on_breach, resource);
            let measured = Measured { resource, used, limit, action };
            let Some(count) = self.watched.over.judge(&measured, sustained, turn.now) else { continue };
            let limit = match (resource, cpus_milli, open_files) {
                (Resource::Cpus, Some(milli), _) => milli.into(),
                (Resource::OpenFiles, _, Some(most)) => most,
                _ => limit.unwrap_or(0),
            };
            let culprit = culprit.map(Culprit::from);
            self.breached(Breach { resource, used, limit, of_stack: false, culprit, action }, count, turn);
        }
        if self.watched.over.0.is_empty() {
            self.watched.forget(false);
        }
    }

    /// It neither wrote nor worked for so long.
    pub(super) fn idled(&mut self, millis: u64, turn: &mut Turn) {
        let Some(limit) = self.plan.limits.idle.map(words::millis).filter(|limit| millis >= *limit) else {
            return;
        };
        self.timed_out(Resource::Idle, millis, limit, turn);
    }

    /// The limits of a life that goes on may be others now.
    pub(super) fn confine(&mut self, others: bool, turn: &mut Turn) {
        if others && matches!(self.phase, Phase::Gating { .. } | Phase::Ready { .. }) {
            turn.act(Action::Confine { plan: Arc::clone(&self.plan), life: self.life });
        }
    }

    /// When it will have run for too long.
    pub(super) fn runtime_end(&self, run: &Run) -> Option<Moment> {
        let told = self.watched.over.0.contains_key(&Resource::Runtime);
        self.plan.limits.runtime.filter(|_| !told).map(|runtime| run.started + runtime)
    }

    /// It has run for too long.
    pub(super) fn ran_out(&mut self, started: Moment, turn: &mut Turn) {
        let Some(limit) = self.plan.limits.runtime else { return };
        self.timed_out(Resource::Runtime, words::millis(turn.now - started), words::millis(limit), turn);
    }

    /// Told once in a life, whatever follows.
    fn timed_out(&mut self, resource: Resource, used: u64, limit: u64, turn: &mut Turn) {
        let run = Overrun { since: turn.now, seen: 1, breaches: 1 };
        if self.watched.over.0.insert(resource, run).is_none() {
            let action = action(self.plan.limits.on_breach, resource);
            self.breached(Breach { resource, used, limit, of_stack: false, culprit: None, action }, 1, turn);
        }
    }

    /// The kernel has ended one of its processes. What more is to be done says `on_breach`, if the limit was its own.
    pub(super) fn killed_by_kernel(&mut self, what: OutOfMemory, turn: &mut Turn) {
        self.watched.out_of_memory = Some(what);
        let action = self.plan.limits.on_breach;
        if let (Some(limit), false, OnBreach::Restart | OnBreach::Stop) = (what.limit, what.of_stack, action)
        {
            let breach = Breach {
                resource: Resource::Memory,
                used: limit,
                limit,
                of_stack: false,
                culprit: None,
                action,
            };
            self.breached(breach, 1, turn);
        }
    }

    /// Does what is wanted of a breach, if the unit runs and nobody ends it already.
    fn breached(&mut self, mut breach: Breach, count: u32, turn: &mut Turn) {
        let run = match &self.phase {
            Phase::Gating { run, .. } | Phase::Ready { run, .. } => *run,
            Phase::Resting(_)
            | Phase::Queued
            | Phase::Starting { .. }
            | Phase::Examining { .. }
            | Phase::Leaving { .. }
            | Phase::Ending(_)
            | Phase::Backoff { .. }
            | Phase::Survived { .. } => return,
        };
        if breach.action == OnBreach::Warn && count > 1 {
            // It was told, and nothing has changed.
            self.watched.breach = Some(breach);
            return;
        }
        let other = breach.culprit.as_ref().is_some_and(|culprit| culprit.process != run.leader);
        let ends_one = other && self.plan.container.is_none();
        if breach.action == OnBreach::KillCulprit && (!ends_one || count > MOST_CULPRITS) {
            breach.action = OnBreach::AsKernel;
        }
        self.watched.breach = Some(breach.clone());
        turn.act(Action::Breach { unit: self.plan.name.clone(), life: self.life, breach: breach.clone() });
        match breach.action {
            OnBreach::Warn | OnBreach::KillCulprit => {}
            OnBreach::AsKernel | OnBreach::Restart | OnBreach::Stop => {
                self.unwatch(run, turn);
                turn.act(Action::Examine { unit: self.plan.name.clone(), life: self.life });
                self.phase = Phase::Examining { run, fault: Fault::Over { breach } };
            }
        }
    }
}

/// What a word means for a resource, where nothing was said: see [`OnBreach::AsKernel`].
fn action(wanted: OnBreach, resource: Resource) -> OnBreach {
    match (wanted, resource) {
        (OnBreach::AsKernel, Resource::Memory | Resource::Pids) => OnBreach::KillCulprit,
        (OnBreach::AsKernel, Resource::Cpus | Resource::OpenFiles) => OnBreach::Warn,
        (OnBreach::AsKernel | OnBreach::KillCulprit, Resource::Runtime | Resource::Idle) => {
            OnBreach::AsKernel
        }
        (wanted, _) => wanted,
    }
}

/// A tenth above: what the kernel counts and what is measured are not the same ticks.
fn with_slack(milli: u32) -> u64 {
    u64::from(milli) + u64::from(milli / 10)
}
