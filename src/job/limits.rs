//! What a job may take: the kernel holds it to that where it may be asked to; elsewhere it is measured, and the process is
//! ended that takes the most.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cage::Cage;
use crate::domain::{
    Breach, Ceiling, Culprit, LifeUsage, MOST_CULPRITS, Moment, OnBreach, OutOfMemory, ProcessUsage, Resource,
};
use crate::sys::cgroup::{Bounds, Controller};
use crate::sys::clock;

/// The first look: what is twice over so soon would fill the machine before the second.
const FIRST: Duration = Duration::from_millis(250);

/// What a job may take.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// The job itself.
    pub own: Ceiling,
    /// Its whole stack. Where that is measured, the job alone is held to it.
    pub stack: Ceiling,
    /// Between two looks.
    pub interval: Duration,
}

/// Judges looks at a job, as long as something of it must be measured.
#[derive(Debug)]
pub(super) struct Limiter {
    allowed: Allowed,
    bounds: Bounds,
    due: Moment,
    /// How many looks in a row were over.
    over: BTreeMap<Resource, u32>,
    culprits: u32,
}

impl Limiter {
    pub(super) fn new(allowed: Allowed, bounds: Bounds) -> Self {
        let due = clock::moment() + FIRST.min(allowed.interval);
        Self { allowed, bounds, due, over: BTreeMap::new(), culprits: 0 }
    }

    /// What is measured: how much, and whether that is the stack's limit.
    fn limit(&self, resource: Resource) -> Option<(u64, bool)> {
        let (own, stack, controller) = match resource {
            Resource::Memory => (self.allowed.own.memory, self.allowed.stack.memory, Controller::Memory),
            Resource::Pids => (
                self.allowed.own.pids.map(u64::from),
                self.allowed.stack.pids.map(u64::from),
                Controller::Pids,
            ),
            Resource::Cpus | Resource::Runtime | Resource::Idle | Resource::OpenFiles => return None,
        };
        let least = own.map(|own| (own, false)).into_iter().chain(stack.map(|stack| (stack, true))).min();
        least.filter(|_| !self.bounds.holds(controller))
    }

    /// How long until the next look; none where there is nothing to look for.
    pub(super) fn wait(&self) -> Option<Duration> {
        let measures = [Resource::Memory, Resource::Pids].into_iter().any(|one| self.limit(one).is_some());
        measures.then(|| self.due.since(clock::moment()))
    }

    /// Whether it is time for a look.
    pub(super) fn is_due(&self) -> bool {
        self.wait().is_some_and(|wait| wait.is_zero())
    }

    /// Above so much memory resident pages are no good measure.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        self.limit(Resource::Memory).map(|(limit, _)| limit)
    }

    /// What is broken by this look, which was due: it is the second in a row that is over, or more than twice over.
    pub(super) fn judge(&mut self, usage: &LifeUsage, cage: &Cage) -> Vec<Breach> {
        self.due = clock::moment() + self.allowed.interval;
        let all = [(Resource::Memory, usage.memory), (Resource::Pids, usage.processes.into())];
        let mut breaches = Vec::new();
        for (resource, used) in all {
            let over = self.limit(resource).filter(|(limit, _)| used > *limit);
            let Some((limit, of_stack)) = over else {
                self.over.remove(&resource);
                continue;
            };
            let seen = self.over.entry(resource).or_default();
            *seen += 1;
            if resource.is_no_peak(*seen, used, limit) {
                *seen = 0;
                breaches.push(self.breach(cage, resource.most(usage), (resource, used, limit, of_stack)));
            }
        }
        breaches
    }

    fn breach(
        &mut self,
        cage: &Cage,
        most: Option<&ProcessUsage>,
        (resource, used, limit, of_stack): (Resource, u64, u64, bool),
    ) -> Breach {
        self.culprits += 1;
        let culprit = most.map(Culprit::from);
        let other = culprit.as_ref().is_some_and(|culprit| culprit.process != cage.leader);
        let action =
            if other && self.culprits <= MOST_CULPRITS { OnBreach::KillCulprit } else { OnBreach::Stop };
        Breach { resource, used, limit, of_stack, culprit, action }
    }

    /// What the kernel has ended for want of memory.
    pub(super) fn out_of_memory(&self) -> Option<OutOfMemory> {
        let seen = self.bounds.out_of_memory().filter(|seen| seen.kills > 0)?;
        let own = self.allowed.own.memory.filter(|_| seen.own);
        Some(OutOfMemory::of(seen.kills, own, self.allowed.stack.memory))
    }
}
