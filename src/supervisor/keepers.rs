//! Keepers that do not do their part, and those that have done it and are ending.

use std::time::Duration;

use crate::cage::Cage;
use crate::domain::{Pid, ProcId, Signal};
use crate::sys::{self, reaper};

/// An end takes less than a millisecond; on a busy machine longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// A keeper is given up when so many looks of a kill (more than a second) have found nobody and it has not said so.
pub(super) const UNSAID: u32 = 5;

/// A keeper that was stopped reaps nobody and proves nothing: it is woken. It is ours, so that is no harm to anyone.
pub(super) fn wake(cage: &Cage) {
    if cage.wake_keeper() {
        tracing::warn!(unit = %cage.unit, "its keeper was stopped (SIGSTOP): it is woken");
    }
}

/// Nothing of the life is left but a keeper that does not react. It ends as the last, and what it would have proven is
/// looked up without it. One that runs is only slow.
pub(super) fn give_up(cage: &Cage) {
    if !cage.keeper_idles() {
        return;
    }
    let ended = cage.end_keeper();
    tracing::warn!(unit = %cage.unit, ?ended, "its keeper does not react over an empty life: it is ended");
}

/// Children of this process that were keepers. A hundred of them end at once, so their ends are awaited together.
#[derive(Debug, Default)]
pub(super) struct Leaving(Vec<(Pid, Option<ProcId>)>);

impl Leaving {
    /// One that has said its last.
    pub(super) fn add(&mut self, keeper: Pid, id: Option<ProcId>) {
        self.0.push((keeper, id));
    }

    /// Takes the exits that are there; waits for none.
    pub(super) fn reap(&mut self) {
        self.0.retain(|(keeper, _)| !sys::take_exit(*keeper));
    }

    /// Waits for all of them, though for none for long.
    pub(super) fn settle(&mut self) {
        self.0.retain(|(keeper, _)| {
            if sys::take_exit(*keeper) || sys::wait(*keeper, PATIENCE) {
                return false;
            }
            // Stopped on its last instruction. It holds nothing any more, and it is ours: it was not reaped yet.
            reaper::signal_unreaped(*keeper, Signal::KILL);
            !sys::wait(*keeper, PATIENCE)
        });
    }

    /// Those that are there still.
    pub(super) fn ids(&self) -> impl Iterator<Item = ProcId> {
        self.0.iter().filter_map(|(_, id)| *id)
    }
}
