//! How much a job takes, looked at now and then: the most memory and processes at once.

use std::time::Duration;

use crate::domain::Moment;
use crate::sys::{self, clock, proc};

/// What is over before is not looked at: the kernel tells the memory of its largest process.
const FIRST: Duration = Duration::from_millis(250);
const INTERVAL: Duration = Duration::from_secs(2);

/// The peaks so far.
#[derive(Debug)]
pub(super) struct Gauge {
    due: Moment,
    memory: u64,
    processes: usize,
}

impl Gauge {
    pub(super) fn new() -> Self {
        Self { due: clock::moment() + FIRST, memory: 0, processes: 1 }
    }

    pub(super) fn wait(&self) -> Duration {
        self.due.since(clock::moment())
    }

    pub(super) fn look_when_due(&mut self) {
        if clock::moment() < self.due {
            return;
        }
        let all = proc::own_descendants();
        let stats = all.iter().filter_map(|id| proc::stat(id.pid.get()));
        self.memory = self.memory.max(stats.map(|stat| stat.rss).sum());
        self.processes = self.processes.max(all.len());
        self.due = clock::moment() + INTERVAL;
    }

    /// So many were seen at once by somebody else.
    pub(super) fn saw(&mut self, processes: usize) {
        self.processes = self.processes.max(processes);
    }

    /// The most processes at once, and the most memory in bytes.
    pub(super) fn peaks(&self) -> (usize, u64) {
        (self.processes, self.memory.max(sys::largest_child()))
    }
}
