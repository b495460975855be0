//! What runs on while strays are ended: asked anew at each look, because lives begin and end meanwhile.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::rc::Rc;

use crate::cage::census::{Net, gather};
use crate::cage::guard::is_machinery;
use crate::cage::life::{Cage, Depth};
use crate::cage::world::World;
use crate::domain::{FoundBy, Mark, ProcId, UnitName};
use crate::sys::proc::Stat;

/// Tells what of the stack runs, as it is now.
#[derive(Clone)]
pub struct Beside(Rc<dyn Fn() -> io::Result<Running>>);

/// The part of a stack that runs.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// The supervisor, and whoever holds a life: they and all that descends from them are left alone.
    pub roots: Vec<ProcId>,
    /// The lives.
    pub lives: Vec<Cage>,
    /// Lives that are about to begin: recorded, without a first process.
    pub unborn: Vec<(UnitName, Mark)>,
}

/// Who is no stray.
pub(super) struct Kept {
    pub(super) kept: BTreeSet<ProcId>,
    /// Those among them that are in no keeper's tree, and why they stay.
    pub(super) outside: Vec<(Stat, ProcId, String)>,
}

impl Beside {
    /// `running` is called at each look.
    #[must_use]
    pub fn new(running: impl Fn() -> io::Result<Running> + 'static) -> Self {
        Self(Rc::new(running))
    }

    /// Who belongs to what runs, in a look that was begun before this.
    ///
    /// The order is what makes it safe: a life is recorded before anything of it is born, so whoever was seen in the
    /// process table stands in a ledger that is read after it. The other way round, a service that is just starting would
    /// be taken for a stray.
    pub(super) fn running(&self, world: &mut World) -> io::Result<Kept> {
        let running = (self.0)()?;
        let mut roots = running.roots;
        roots.extend(holders(world));
        let mut kept = world.descendants(&roots);
        kept.extend(roots);
        let mut outside = Vec::new();
        let net = Net { lives: running.lives.iter().collect(), stack: None, hearth: None };
        for member in gather(&net, world, Depth::Full) {
            let lent = match member.found_by {
                FoundBy::Mark => "carries the mark of",
                FoundBy::Session => "is in a session of",
                _ => "belongs to",
            };
            if kept.insert(member.id) {
                let of = member.unit.map_or_else(|| "a service".to_owned(), |unit| unit.to_string());
                outside.push((member.stat, member.id, format!("{lent} {of}, which runs")));
            }
        }
        for (unit, mark) in running.unborn {
            for id in world.marked_with(&mark, 0) {
                let Some(stat) = world.alive(id).cloned().filter(|_| kept.insert(id)) else { continue };
                outside.push((stat, id, format!("carries the mark of {unit}, which is starting")));
            }
        }
        Ok(Kept { kept, outside })
    }
}

/// The numbers of all processes that no keeper or supervisor holds, but those that this one runs under.
#[must_use]
pub fn unheld() -> Vec<i32> {
    let mut world = World::new();
    world.read_all();
    let held = world.descendants(&holders(&world));
    let free = world.all().filter(|stat| stat.id().is_some_and(|id| !held.contains(&id)));
    free.map(|stat| stat.pid).collect()
}

/// Every keeper and supervisor of this machine but those that this process runs under: a damaged record must not make a
/// stray of a service, and what another stack holds is its own.
fn holders(world: &World) -> Vec<ProcId> {
    let line: Vec<ProcId> = world.own_line().iter().filter_map(Stat::id).collect();
    let holds = |stat: &&Stat| is_machinery(stat.pid);
    world.all().filter(holds).filter_map(Stat::id).filter(|id| !line.contains(id)).collect()
}

impl fmt::Debug for Beside {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Beside")
    }
}
