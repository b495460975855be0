//! Limits as effects: what the kernel holds and has done, who has been idle, and the end of a culprit.

use std::sync::Arc;
use std::time::Duration;

use super::life::{Held, Key, tell_culprits};
use super::performer::Performer;
use crate::domain::{
    Breach, Ceiling, Life, LifeUsage, Moment, OnBreach, OutOfMemory, Resource, UnitName, Why,
};
use crate::machine::{Cause, Event, Target};
use crate::plan::UnitPlan;
use crate::sys::cgroup::Controller;
use crate::sys::clock;

/// Less than a hundredth of a processor is no work: timers and collectors of garbage take that.
const AT_WORK: u32 = 10;

/// When a life did something last, as far as anybody measured.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stirred {
    at: Option<Moment>,
    /// How much it had written by then.
    written: u64,
}

impl Performer {
    /// An event, and what must be told with it: of a life that begins what the kernel holds, of one that ends whether the
    /// kernel ended it.
    pub(super) fn with_limits(&mut self, event: Event) -> Vec<Event> {
        match &event {
            Event::Started { unit, life, .. } => {
                let lives = self.lives.borrow();
                let held = lives.get(&(unit.clone(), *life));
                let bounded = held.and_then(|held| bounded(unit, *life, held));
                std::iter::once(event).chain(bounded).collect()
            }
            Event::Exited { unit, life, .. } => {
                let key = (unit.clone(), *life);
                self.kernel_kill(&key).into_iter().chain([event]).collect()
            }
            _ => vec![event],
        }
    }

    /// What is found out at each measurement beside it.
    pub(super) fn beside(&mut self, usages: &[LifeUsage]) -> Vec<Event> {
        let keys: Vec<Key> = self.lives.borrow().keys().cloned().collect();
        let mut told: Vec<Event> = keys.iter().filter_map(|key| self.kernel_kill(key)).collect();
        let mut lives = self.lives.borrow_mut();
        for usage in usages {
            let key = (usage.unit.clone(), usage.life);
            let Some(held) = lives.get_mut(&key).filter(|held| held.plan.limits.idle.is_some()) else {
                continue;
            };
            let log = std::fs::metadata(self.dir.log(&usage.unit));
            let millis = held.stirred.idle(usage.cpu_milli, &log);
            told.extend(millis.map(|millis| Event::Idle { unit: key.0, life: key.1, millis }));
        }
        told
    }

    /// Whether the kernel has ended one of its processes since it was last asked.
    fn kernel_kill(&self, key: &Key) -> Option<Event> {
        let mut lives = self.lives.borrow_mut();
        let held = lives.get_mut(key)?;
        let seen = held.bounds.out_of_memory().filter(|seen| seen.kills > held.kernel_kills)?;
        held.kernel_kills = seen.kills;
        let stack = self.stack.plan.as_ref().and_then(|plan| plan.limits.memory);
        let own = held.plan.limits.memory.filter(|_| seen.own);
        let what = OutOfMemory::of(seen.kills, own, stack);
        Some(Event::OutOfMemory { unit: key.0.clone(), life: key.1, what })
    }

    /// Notes a breach; ends its culprit where that is what it says.
    pub(super) fn breach(&mut self, unit: UnitName, life: Life, breach: Breach) {
        let target = Target::Life { unit: unit.clone(), life };
        let culprit = breach.culprit.as_ref().filter(|_| breach.action == OnBreach::KillCulprit);
        let outcome = culprit.and_then(|culprit| {
            let mut lives = self.lives.borrow_mut();
            let cage = lives.get_mut(&(unit.clone(), life))?.cage.as_mut()?;
            cage.spared.clone_from(&self.spared);
            Some(cage.kill_branch(culprit.process, breach.resource == Resource::Pids))
        });
        let outcome = outcome.unwrap_or_default();
        let ended = outcome.forced.iter().map(|one| (one.process, one.command.clone())).collect();
        let refused = outcome.survivors.iter().map(|one| (one.process, one.reason.clone())).collect();
        let cause = Cause { why: Why::Breach, request: None };
        let handles = self.receipts.culprits(&target, cause, outcome.forced);
        tell_culprits(target, handles, self.facts.clone());
        self.tell(Event::Breached { unit, life, breach, ended, refused });
    }

    /// Has the kernel hold a life that runs to other limits.
    pub(super) fn confine(&mut self, plan: &Arc<UnitPlan>, life: Life) {
        let stack = self.stack.plan.as_ref().map(|plan| plan.limits.ceiling()).unwrap_or_default();
        let told = {
            let mut lives = self.lives.borrow_mut();
            let Some(held) = lives.get_mut(&(plan.name.clone(), life)) else { return };
            held.plan = Arc::clone(plan);
            held.bounds.set(&own_ceiling(plan), &stack);
            Event::Bounded {
                unit: plan.name.clone(),
                life,
                memory: held.bounds.holds(Controller::Memory),
                cpus: held.bounds.holds(Controller::Cpu),
            }
        };
        self.tell(told);
    }
}

/// What of a life's limits the kernel holds; none where that is nothing.
pub(super) fn bounded(unit: &UnitName, life: Life, held: &Held) -> Option<Event> {
    let (memory, cpus) = (held.bounds.holds(Controller::Memory), held.bounds.holds(Controller::Cpu));
    (memory || cpus).then(|| Event::Bounded { unit: unit.clone(), life, memory, cpus })
}

/// What a life may take itself; of a container its engine knows.
pub(super) fn own_ceiling(plan: &UnitPlan) -> Ceiling {
    if plan.container.is_some() { Ceiling::default() } else { plan.limits.ceiling() }
}

impl Stirred {
    /// How long it has done nothing. Its first measurement says nothing yet.
    fn idle(&mut self, cpu_milli: Option<u32>, log: &std::io::Result<std::fs::Metadata>) -> Option<u64> {
        use std::os::unix::fs::MetadataExt as _;
        let now = clock::moment();
        // A file that was rotated is shorter, and has been written to as well.
        let written = log.as_ref().map_or(0, |log| log.size().wrapping_mul(31).wrapping_add(log.ino()));
        let works = cpu_milli.is_none_or(|milli| milli >= AT_WORK);
        if works || written != self.written || self.at.is_none() {
            *self = Self { at: Some(now), written };
            return None;
        }
        let idle: Duration = now - self.at?;
        u64::try_from(idle.as_millis()).ok()
    }
}
