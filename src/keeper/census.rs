//! Who belongs to the life, written down as seen: what is known of it when its keeper is killed.
//!
//! Only needed where no cgroup holds the members. Processes can be born at any time without a word, so this looks
//! again and again, the more rarely the longer nothing changes.

use std::time::Duration;

use super::record::Record;
use crate::domain::{Moment, ProcId};
use crate::store::RecordLine;
use crate::sys::{clock, proc};

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// A storm of exits is looked at this often at most.
const STORM: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Census {
    /// Those of the last look, ordered.
    known: Vec<ProcId>,
    interval: Duration,
    due: Moment,
}

impl Census {
    pub(super) fn starting_with(leader: ProcId) -> Self {
        Self { known: vec![leader], interval: SHORTEST, due: clock::moment() + SHORTEST }
    }

    /// How long until the next look.
    pub(super) fn wait(&self) -> Duration {
        self.due.since(clock::moment())
    }

    /// A child has ended: others have probably come or gone with it.
    pub(super) fn stirred(&mut self) {
        self.interval = SHORTEST;
        self.due = self.due.min(clock::moment() + STORM);
    }

    /// Looks, if it is time to.
    pub(super) fn look_when_due(&mut self, record: &mut Record) {
        let now = clock::moment();
        if now < self.due {
            return;
        }
        let mut seen = proc::own_descendants();
        seen.sort_unstable();
        for member in &seen {
            if self.known.binary_search(member).is_err() {
                // On a full disk this member is told at the next look at the latest, unless it is gone by then.
                if record.append(&RecordLine::Member(*member)).is_err() {
                    return self.again(now, SHORTEST);
                }
            }
        }
        let next = if seen == self.known { (self.interval * 2).min(LONGEST) } else { SHORTEST };
        self.known = seen;
        self.again(now, next);
    }

    fn again(&mut self, now: Moment, interval: Duration) {
        self.interval = interval;
        self.due = now + interval;
    }
}
