//! What a job takes: one look now and then, for its peaks and for its limits alike.

use std::time::Duration;

use crate::cage::{Cage, Depth, World, machinery_among};
use crate::domain::{LifeUsage, Moment};
use crate::sys::clock;
use crate::usage::{Meter, Subject};

/// The first looks: what starts something starts it soon, and what is twice over its limits would fill the machine.
const FIRST: Duration = Duration::from_millis(15);
/// Each is twice as late as the one before, until this.
const LONGEST: Duration = Duration::from_secs(2);
/// The kernel's figures are rounded, and a copy of this process grows a little before it becomes the command.
const MARGIN: u64 = 1 << 20;

/// Peaks as far as they were seen. Devstack's own processes do not count, nor what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Of all processes at once as looks have shown it, or of the largest one as the kernel tells; resident, in bytes.
    pub memory: u64,
    /// The kernel cannot tell a smaller figure from what devstack itself held before it became the command.
    pub at_most: bool,
    /// The most processes in one look; none where it was over before the first one.
    pub processes: Option<usize>,
}

/// Looks at a job, more and more rarely.
#[derive(Debug)]
pub(super) struct Gauge {
    meter: Meter,
    due: Moment,
    interval: Duration,
    seen: u64,
    processes: Option<usize>,
    /// The largest process that has ended, by the kernel's books.
    largest: u64,
    /// What was in these books before the command's first instruction: the copy of this process.
    before: u64,
}

impl Gauge {
    /// `before`: what the child held as a copy of this process.
    pub(super) fn new(before: u64) -> Self {
        let (meter, due) = (Meter::default(), clock::moment() + FIRST);
        Self { meter, due, interval: FIRST, seen: 0, processes: None, largest: 0, before }
    }

    pub(super) fn wait(&self) -> Duration {
        self.due.since(clock::moment())
    }

    /// Looks, if it is time to, or `wanted`. `memory_limit`: above it the proportional share is read.
    pub(super) fn look_when_due(
        &mut self,
        cage: &mut Cage,
        wanted: bool,
        memory_limit: Option<u64>,
    ) -> Option<LifeUsage> {
        let now = clock::moment();
        if now < self.due && !wanted {
            return None;
        }
        self.interval = (self.interval * 2).min(LONGEST);
        self.due = now + self.interval;
        spare_machinery(cage);
        let subject = Subject { cage, inside: None, memory_limit, files: None };
        let usage = self.meter.sample(&[subject], None, now).lives.pop()?;
        self.seen = self.seen.max(usage.memory);
        self.saw(usize::try_from(usage.processes).unwrap_or(usize::MAX));
        Some(usage)
    }

    /// So many were there at once.
    pub(super) fn saw(&mut self, processes: usize) {
        self.processes = self.processes.max(Some(processes)).filter(|count| *count > 0);
    }

    /// One was reaped whose largest process has held so much.
    pub(super) fn reaped(&mut self, largest: u64) {
        self.largest = self.largest.max(largest);
    }

    pub(super) fn peaks(&self) -> Peaks {
        let told = self.largest > self.before + MARGIN;
        let memory = if told { self.seen.max(self.largest) } else { self.seen };
        let at_most = memory == 0;
        Peaks { memory: if at_most { self.largest } else { memory }, at_most, processes: self.processes }
    }
}

/// A stack that was brought up from inside a job is not the job's: supervisor and keepers, with all that they hold, are
/// left in peace.
pub(super) fn spare_machinery(cage: &mut Cage) {
    let members = cage.census(&mut World::new(), Depth::Tree);
    cage.spared.extend(machinery_among(&members));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_devstack_itself_can_have_held_is_told_as_a_bound() {
        let mut gauge = Gauge::new(4 << 20);
        gauge.reaped((4 << 20) + 4096);
        assert_eq!(gauge.peaks(), Peaks { memory: (4 << 20) + 4096, at_most: true, processes: None });
        gauge.reaped(9 << 20);
        gauge.saw(3);
        gauge.saw(2);
        assert_eq!(gauge.peaks(), Peaks { memory: 9 << 20, at_most: false, processes: Some(3) });
        gauge.seen = 20 << 20;
        assert_eq!(gauge.peaks().memory, 20 << 20);
    }
}
