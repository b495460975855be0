//! What a `devstack run` that was killed has left: found by its record, and ended before another one begins.

use std::io;
use std::time::Duration;

use super::receipts::Receipts;
use crate::cage::{Cage, Depth, World};
use crate::domain::{Mark, UnitKind, UnitName, Why};
use crate::keeper::{Ending, bounds_of, cage_of, leaf_of};
use crate::plan::Secrets;
use crate::store::{LifeRecord, Lock, Queue, StackDir, StackFile, read_records, remove_record};
use crate::sys::clock;
use crate::sys::pidfd::{Pidfd, wait_any};

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

/// What is left of a killed `devstack run`: its processes, if any live, and its record.
#[derive(Debug)]
pub struct Leftover {
    /// The job, as a unit.
    pub unit: UnitName,
    /// How many processes of it live.
    pub processes: usize,
    record: LifeRecord,
}

/// What killed ones have left of this stack, living or not.
pub fn leftovers(dir: &StackDir, secret: &Mark) -> io::Result<Vec<Leftover>> {
    let of_killed = read_records(dir)?.into_iter().filter(|record| is_left(dir, record));
    let boot = clock::boot_id()?;
    let look = |record: LifeRecord| {
        let cage = cage_at_rest(dir, secret, &record, &boot);
        let processes = cage.map_or(0, |cage| cage.census(&mut World::new(), Depth::Full).len());
        Leftover { unit: record.intent.plan.name.clone(), processes, record }
    };
    Ok(of_killed.map(look).collect())
}

impl Leftover {
    /// Takes away record and cgroups; only where nothing of it lives.
    pub fn forget(&self, dir: &StackDir) {
        if self.processes == 0 {
            forget(dir, &self.record);
        }
    }
}

fn is_left(dir: &StackDir, record: &LifeRecord) -> bool {
    record.intent.plan.kind == UnitKind::Job && !is_held(dir, record)
}

/// Who of it may live; none where nobody can.
fn cage_at_rest(dir: &StackDir, secret: &Mark, record: &LifeRecord, boot: &str) -> Option<Cage> {
    let may_live = record.intent.boot == boot && !record.emptied;
    let mut cage = may_live.then(|| cage_of(dir, secret, record)).flatten()?;
    cage.keeper = None;
    Some(cage)
}

fn forget(dir: &StackDir, record: &LifeRecord) {
    let _ = leaf_of(dir, record).map(|leaf| leaf.remove());
    bounds_of(dir, record, None).remove();
    remove_record(dir, &record.intent.plan.name, record.intent.life);
}

/// Ends what killed ones have left of this stack, all of it at once. `told` is called for each job of which something
/// lives, with the number of its processes.
pub fn clear(
    dir: &StackDir,
    stack: &StackFile,
    secrets: &Secrets,
    mut told: impl FnMut(&str, usize),
) -> io::Result<()> {
    // Most often there is none: a look at the directory says so.
    if !read_records(dir)?.iter().any(|record| is_left(dir, record)) {
        return Ok(());
    }
    // Whoever comes second finds nothing any more.
    let _clearing = Lock::take(&dir.jobs().join("clear.lock"))?;
    let boot = clock::boot_id()?;
    let mut all = Vec::new();
    for record in read_records(dir)?.into_iter().filter(|record| is_left(dir, record)) {
        let Some(cage) = cage_at_rest(dir, &stack.secret, &record, &boot) else {
            forget(dir, &record);
            continue;
        };
        let members = cage.census(&mut World::new(), Depth::Full).len();
        if members > 0 {
            told(cage.unit.as_str(), members);
        }
        let receipts = Receipts::of(dir, &cage.unit, secrets);
        all.push(Clearing { ending: Ending::new(cage, false), receipts, record });
    }
    while !all.is_empty() {
        all.retain_mut(|one| one.step(dir));
        let handles: Vec<Pidfd> = all.iter_mut().flat_map(Clearing::handles).collect();
        if !all.is_empty() {
            wait_any(&handles, LOOK);
        }
    }
    Ok(())
}

struct Clearing {
    ending: Ending,
    receipts: Receipts,
    record: LifeRecord,
}

impl Clearing {
    /// Asks, and kills after the grace. Whether something of it is left that may still end.
    fn step(&mut self, dir: &StackDir) -> bool {
        if self.ending.cage().is_empty() {
            self.receipts.emptied(&[]);
            forget(dir, &self.record);
            return false;
        }
        let stop = &self.record.intent.plan.stop;
        let sent = if self.ending.has_begun() {
            self.ending.act(true)
        } else {
            Some(self.ending.begin(stop.signal, stop.grace))
        };
        if let Some(sent) = sent {
            self.receipts.sent(sent, Why::LeftBehind);
        }
        self.ending.killing_for().is_none_or(|since| since <= HOPELESS)
    }

    fn handles(&mut self) -> Vec<Pidfd> {
        self.ending.cage().watch(WATCHED, Depth::Full)
    }
}
