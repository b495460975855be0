//! What a `devstack run` that was killed has left: found by its record, and ended before another one begins.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cage::{Depth, World};
use crate::domain::UnitKind;
use crate::keeper::{Ending, bounds_of, cage_of, leaf_of};
use crate::store::{LifeRecord, Lock, Queue, StackDir, StackFile, read_records, remove_record};
use crate::sys::clock;

/// Handles on so many members are enough to learn that something has changed.
const WATCHED: usize = 64;
/// Members can be born without a word.
const LOOK: Duration = Duration::from_millis(100);
/// What still lives so long after SIGKILL is `down`'s to tell.
const HOPELESS: Duration = Duration::from_secs(5);

/// Whether this is the record of a job whose `devstack run` lives: it is its own keeper, and nobody's to take over.
#[must_use]
pub fn is_held(dir: &StackDir, record: &LifeRecord) -> bool {
    record.intent.plan.kind == UnitKind::Job && Queue::of(dir).holds(record.intent.life)
}

/// Ends what killed ones have left of this stack. `told` is called for each job of which something lives, with the number
/// of its processes.
pub fn clear(dir: &StackDir, stack: &StackFile, mut told: impl FnMut(&str, usize)) -> io::Result<()> {
    // Most often there is none: a look at the directory says so.
    let records = read_records(dir)?;
    let left = |record: &&LifeRecord| record.intent.plan.kind == UnitKind::Job && !is_held(dir, record);
    if !records.iter().any(|record| left(&record)) {
        return Ok(());
    }
    // One after the other; whoever comes second finds nothing any more.
    let _clearing = Lock::take(&dir.jobs().join("clear.lock"))?;
    let boot = clock::boot_id()?;
    for record in read_records(dir)?.iter().filter(left) {
        let may_live = record.intent.boot == boot && !record.emptied;
        if may_live && !end(dir, stack, record, &mut told) {
            continue;
        }
        let _ = leaf_of(dir, record).map(|leaf| leaf.remove());
        bounds_of(dir, record, None).remove();
        remove_record(dir, &record.intent.plan.name, record.intent.life);
    }
    Ok(())
}

/// Whether nothing of it is left.
fn end(dir: &StackDir, stack: &StackFile, record: &LifeRecord, told: &mut impl FnMut(&str, usize)) -> bool {
    let Some(mut cage) = cage_of(dir, &stack.secret, record) else { return true };
    cage.keeper = None;
    let members = cage.census(&mut World::new(), Depth::Full).len();
    if members > 0 {
        told(cage.unit.as_str(), members);
    }
    let stop = &record.intent.plan.stop;
    let mut ending = Ending::new(cage, false);
    while !ending.cage().is_empty() {
        if !ending.has_begun() {
            ending.begin(stop.signal, stop.grace);
        }
        ending.act(true);
        if ending.killing_for().is_some_and(|since| since > HOPELESS) {
            return false;
        }
        let handles = ending.cage().watch(WATCHED, Depth::Full);
        let mut fds: Vec<_> = handles.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
        let _ = poll(&mut fds, Timespec::try_from(LOOK).ok().as_ref());
    }
    true
}
