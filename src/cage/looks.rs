//! Whole looks at the machine, shared by all lives that are asked about at the same moment.
//!
//! A look costs as much as the machine has processes. Where many lives have lost their keepers, each would take some of
//! its own for every process that ends: with fifty lives that was half a minute of looking.

use std::time::Instant;

use crate::cage::world::World;

/// The last looks, at most two: that nobody is left is believed where two in a row say so.
#[derive(Debug, Default)]
pub struct Looks(Vec<(Instant, World)>);

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

    fn take(&mut self, moment: Instant, count: usize) -> &mut [(Instant, World)] {
        self.0.retain(|(begun, _)| *begun > moment);
        while self.0.len() < count {
            let begun = Instant::now();
            let mut world = World::new();
            world.read_all();
            self.0.push((begun, world));
        }
        &mut self.0[..count]
    }
}
