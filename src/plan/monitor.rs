//! What is told when there is too much of it: the thresholds of the monitor, and the budgets.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judge::Judge;
use super::render::{Fields, Yaml, duration, field, size};
use super::values::{self, Fault};
use crate::domain::Budgets;
use crate::manifest::{self, Code};

/// Time between two looks, where nothing is said.
const INTERVAL: Duration = Duration::from_secs(2);

/// More often, looking would be a load of its own.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// How a stack is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorPlan {
    /// Time between two looks.
    pub interval: Duration,
    /// Above so many bytes of memory somebody is told.
    pub memory: Option<u64>,
    /// Above so many processes somebody is told.
    pub pids: Option<u32>,
}

impl Default for MonitorPlan {
    fn default() -> Self {
        Self { interval: INTERVAL, memory: None, pids: None }
    }
}

impl MonitorPlan {
    /// Whether the stack is looked at for the sake of its thresholds alone.
    #[must_use]
    pub fn alerts(&self) -> bool {
        self.memory.is_some() || self.pids.is_some()
    }

    /// As where the manifest says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

pub(super) fn monitor(judge: &mut Judge<'_>, written: &manifest::Monitor) -> MonitorPlan {
    MonitorPlan {
        interval: judge.maybe(written.interval.as_ref(), interval).unwrap_or(INTERVAL),
        memory: judge.maybe(written.memory.as_ref(), values::size),
        pids: judge.maybe(written.pids.as_ref(), values::count),
    }
}

pub(super) fn budgets(judge: &mut Judge<'_>, written: &manifest::Budgets) -> Budgets {
    Budgets {
        up: judge.maybe(written.up.as_ref(), values::positive_duration),
        down: judge.maybe(written.down.as_ref(), values::positive_duration),
        memory: judge.maybe(written.memory.as_ref(), values::size),
        processes: judge.maybe(written.processes.as_ref(), values::count),
    }
}

fn interval(text: &str) -> Result<Duration, Fault> {
    let span = values::duration(text)?;
    if span < SHORTEST_INTERVAL {
        let fault = Fault::new(Code::BadDuration, "looking this often would be a load of its own");
        return Err(fault.hint("`100ms` is the shortest, and `2s` is usual"));
    }
    Ok(span)
}

/// `monitor`, and `budgets` where there are some, as `devstack config` writes them.
pub(super) fn render(monitor: &MonitorPlan, budgets: &Budgets) -> Fields {
    let count = |number: u32| Yaml::Number(number.into());
    let bytes = |bytes: u64| Yaml::Text(size(bytes));
    let mut watched = vec![field("interval", duration(monitor.interval))];
    if monitor.alerts() {
        let memory = monitor.memory.map(|memory| field("memory", bytes(memory)));
        let pids = monitor.pids.map(|pids| field("pids", count(pids)));
        watched.push(field("alert", Yaml::Map(memory.into_iter().chain(pids).collect())));
    }
    let mut fields = vec![field("monitor", Yaml::Map(watched))];
    if !budgets.is_default() {
        let up = budgets.up.map(|span| field("up", duration(span)));
        let down = budgets.down.map(|span| field("down", duration(span)));
        let memory = budgets.memory.map(|memory| field("memory", bytes(memory)));
        let processes = budgets.processes.map(|number| field("processes", count(number)));
        let kept = [up, down, memory, processes].into_iter().flatten().collect();
        fields.push(field("budgets", Yaml::Map(kept)));
    }
    fields
}
