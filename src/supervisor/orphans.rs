//! Orphans that land on the supervisor as a subreaper: what a probe or a dead keeper left behind is reaped here.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{Moment, ProcId};
use crate::sys::{self, clock, proc};

/// A zombie holds nothing but its number: so long it may wait, and an ended probe need not cost a look at all children.
const PAUSE: Duration = Duration::from_secs(5);

/// Reaps orphans now and then.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    due: Option<Moment>,
    /// Zombies of the last look.
    seen: BTreeSet<ProcId>,
}

impl Orphans {
    /// A child has ended: it is looked for in a while.
    pub(super) fn stirred(&mut self) {
        self.due.get_or_insert_with(later);
    }

    /// When [`Orphans::reap`] is due.
    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// Takes the exits of orphans.
    ///
    /// Never `waitpid(-1)`: keepers and probes are children too, and their exits belong to those who wait for them. They
    /// do so at once; what is still a zombie at the next look is waited for by nobody.
    pub(super) fn reap(&mut self) {
        let zombies = proc::own_children().into_iter().filter_map(|child| proc::stat(child.get()));
        let zombies = zombies.filter(proc::Stat::is_gone).filter_map(|stat| stat.id());
        let (old, new): (BTreeSet<ProcId>, _) = zombies.partition(|id| self.seen.contains(id));
        for orphan in old {
            let _ = sys::reap(orphan);
        }
        self.due = (!new.is_empty()).then(later);
        self.seen = new;
    }
}

fn later() -> Moment {
    clock::moment() + PAUSE
}
