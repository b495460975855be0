//! What the lives take, looked at again and again as long as something asks for it, and not otherwise: an idle stack without
//! thresholds costs nothing here.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::life::{Held, Key};
use crate::domain::{Alert, Ceiling, LifeUsage, PastUsage, Pid, Sign};
use crate::plan::{MonitorPlan, Plan};
use crate::sys::{clock, proc};
use crate::usage::{Alerts, Meter, Sample, Subject, Thresholds};

/// So many looks are remembered: five minutes at the usual interval.
const REMEMBERED: usize = 150;

/// The one who looks.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    plan: MonitorPlan,
    /// What the stack may take.
    limits: Ceiling,
    meter: Meter,
    alerts: Alerts,
    past: VecDeque<PastUsage>,
    due: Option<Instant>,
}

impl Sampler {
    /// What is asked for may have changed: a plan was brought, or a life has begun.
    pub(super) fn consider(&mut self, plan: Option<&Plan>, lives: &BTreeMap<Key, Held>) {
        self.plan = plan.map(|plan| plan.monitor).unwrap_or_default();
        self.limits = plan.map(|plan| plan.limits.ceiling()).unwrap_or_default();
        self.alerts.set(Thresholds { memory: self.plan.memory, processes: self.plan.pids });
        if self.due.is_none() && self.is_wanted(lives) {
            self.due = Some(Instant::now() + self.plan.interval);
        }
    }

    fn is_wanted(&self, lives: &BTreeMap<Key, Held>) -> bool {
        let limited =
            self.limits != Ceiling::default() || lives.values().any(|held| held.plan.limits.are_measured());
        (self.plan.alerts() || limited) && !lives.is_empty()
    }

    /// When the next look is due; none where nothing asks for one.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Looks, and gives what each life takes and what is to be told.
    pub(super) fn sample(&mut self, lives: &BTreeMap<Key, Held>) -> (Vec<LifeUsage>, Vec<Alert>) {
        let wanted = self.is_wanted(lives);
        self.due = wanted.then(|| Instant::now() + self.plan.interval);
        let subjects: Vec<Subject<'_>> = lives.values().filter_map(subject).collect();
        let memory = self.plan.memory.into_iter().chain(self.limits.memory).min();
        let sample = self.meter.sample(&subjects, memory, clock::moment());
        let alerts = self.alerts.judge(&sample, proc::command_of);
        self.remember(&sample);
        (sample.lives, alerts)
    }

    fn remember(&mut self, sample: &Sample) {
        self.past.push_back(PastUsage::of(clock::wall(), &sample.lives));
        if self.past.len() > REMEMBERED {
            self.past.pop_front();
        }
    }

    /// The last looks, the latest last.
    pub(super) fn past(&self) -> Vec<PastUsage> {
        self.past.iter().cloned().collect()
    }

    /// What needs an eye now.
    pub(super) fn standing(&self) -> Vec<Sign> {
        self.alerts.standing().cloned().collect()
    }
}

fn subject(held: &Held) -> Option<Subject<'_>> {
    let state = held.contained.borrow();
    let inside = state.id.clone().zip(state.pid.and_then(Pid::new));
    let memory_limit = held.plan.limits.memory;
    let files = held.plan.limits.open_files;
    Some(Subject { cage: held.cage.as_ref()?, inside, memory_limit, files })
}
