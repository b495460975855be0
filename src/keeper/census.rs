//! Who belongs to the life, written down as seen: what is known of it when its keeper is killed.
//!
//! Processes can be born at any time without a word, so this looks again and again, the more rarely the longer nothing
//! changes. Where a cgroup knows the members, only those are written down that were moved out of it (podman and snap
//! have that done, root can do it).

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::record::Record;
use crate::domain::{Moment, ProcId};
use crate::store::RecordLine;
use crate::sys::cgroup::Leaf;
use crate::sys::{clock, proc};

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// A storm of exits is looked at this often at most.
const STORM: Duration = Duration::from_millis(20);

/// After a look that took long, that many times as long is rest: a service with thousands of processes must not make its
/// keeper the busiest of all.
const REST: u32 = 20;

#[derive(Debug)]
pub(crate) struct Census {
    /// Those of the last look, ordered.
    known: Vec<ProcId>,
    /// Those of them that are in the ledger on disk.
    written: BTreeSet<ProcId>,
    /// The cgroup that knows the members.
    leaf: Option<Leaf>,
    interval: Duration,
    due: Moment,
    rested: Moment,
}

impl Census {
    pub(crate) fn starting_with(leader: ProcId, leaf: Option<Leaf>) -> Self {
        let (known, written) = (vec![leader], BTreeSet::from([leader]));
        let now = clock::moment();
        Self { known, written, leaf, interval: SHORTEST, due: now + SHORTEST, rested: now }
    }

    /// How long until the next look.
    pub(crate) fn wait(&self) -> Duration {
        self.due.since(clock::moment())
    }

    /// A child has ended: others have probably come or gone with it.
    pub(crate) fn stirred(&mut self) {
        // A cgroup sees births and ends by itself, and nobody is moved out of it by an end.
        if self.leaf.is_none() {
            self.interval = SHORTEST;
            self.due = self.due.min(self.rested.max(clock::moment() + STORM));
        }
    }

    /// Looks, if it is time to.
    pub(crate) fn look_when_due(&mut self, record: &mut Record) {
        let now = clock::moment();
        if now < self.due {
            return;
        }
        let changed = self.look(record).unwrap_or(true);
        let grows = self.leaf.is_some() || !changed;
        self.interval = if grows { (self.interval * 2).min(LONGEST) } else { SHORTEST };
        let end = clock::moment();
        self.rested = end + end.since(now) * REST;
        self.due = self.rested.max(now + self.interval);
    }

    /// Writes down who is new; whether anything has changed since the last look.
    fn look(&mut self, record: &mut Record) -> io::Result<bool> {
        let mut seen = proc::own_descendants();
        seen.sort_unstable();
        // At rest nobody is new, and the cgroup need not be asked.
        let mut caged: Option<BTreeSet<i32>> = None;
        for member in &seen {
            if self.written.contains(member) {
                continue;
            }
            let caged = caged.get_or_insert_with(|| self.leaf.iter().flat_map(Leaf::procs).collect());
            if !caged.contains(&member.pid.get()) {
                // On a full disk this member is told at the next look, unless it is gone by then.
                record.append(&RecordLine::Member(*member))?;
                self.written.insert(*member);
            }
        }
        self.written.retain(|member| seen.binary_search(member).is_ok());
        let changed = seen != self.known;
        self.known = seen;
        Ok(changed)
    }
}
