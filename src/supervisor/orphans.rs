//! Orphans that land on the supervisor as a subreaper: what a probe or a dead keeper left behind is reaped here.

use crate::domain::Moment;
use crate::sys::{self, clock, proc};

/// A zombie holds nothing but its number: so long it may wait, and an ended probe need not cost a look at all children.
const PAUSE_MS: u64 = 5000;

/// Reaps orphans now and then.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    last: Moment,
}

impl Orphans {
    /// Takes the exits of orphans, unless that was done just now.
    ///
    /// Never `waitpid(-1)`: keepers and probes are children too, and their exits belong to those who wait for them. All of
    /// these lead a group of their own, which an orphan hardly ever does.
    pub(super) fn reap(&mut self) {
        let now = clock::moment();
        if now.0.saturating_sub(self.last.0) < PAUSE_MS {
            return;
        }
        self.last = now;
        let orphans = proc::own_children().into_iter().filter(|child| {
            proc::stat(child.get()).is_some_and(|stat| stat.is_gone() && stat.pgid != stat.pid)
        });
        sys::reap(orphans);
    }
}
