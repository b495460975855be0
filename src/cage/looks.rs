//! Whole looks at the machine, shared by all lives that are asked about at the same moment.
//!
//! A look costs as much as the machine has processes. Where many lives have lost their keepers, each would take some of
//! its own for every process that ends: with fifty lives that was half a minute of looking.

use std::time::{Duration, Instant};

use crate::cage::world::World;

/// The last looks, at most two: that nobody is left is believed where two in a row say so.
#[derive(Debug, Default)]
pub struct Looks {
    taken: Vec<(Instant, World)>,
    cost: Duration,
}

/// A machine that has a few hundred processes is looked at so often at most.
const SHORTEST_BREATH: Duration = Duration::from_millis(10);

/// On a busy machine a look takes long, and a stop must get on all the same.
const LONGEST_BREATH: Duration = Duration::from_millis(100);

impl Looks {
    /// One whole look that was begun after this moment.
    ///
    /// It is as good for all that was asked before it was taken, and for nothing that happened since.
    pub fn since(&mut self, moment: Instant) -> &mut World {
        &mut self.take(moment, 1)[0].1
    }

    /// Two whole looks in a row, both begun after this moment.
    pub fn agreeing_since(&mut self, moment: Instant) -> impl Iterator<Item = &mut World> {
        self.take(moment, 2).iter_mut().map(|(_, world)| world)
    }

    /// How long to wait after something has ended before it is looked at: others end with it, and one look does for all.
    /// A storm of forks must not keep its watcher looking and nothing else.
    #[must_use]
    pub fn breath(&self) -> Duration {
        (self.cost * 4).clamp(SHORTEST_BREATH, LONGEST_BREATH)
    }

    fn take(&mut self, moment: Instant, count: usize) -> &mut [(Instant, World)] {
        self.taken.retain(|(begun, _)| *begun > moment);
        while self.taken.len() < count {
            let begun = Instant::now();
            let mut world = World::new();
            world.read_all();
            self.cost = begun.elapsed();
            self.taken.push((begun, world));
        }
        &mut self.taken[..count]
    }
}
