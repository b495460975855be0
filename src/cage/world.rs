//! One look at the process table, read lazily and shared by all that is counted at the same moment.

use std::collections::BTreeSet;

use crate::domain::ProcId;

/// One look at the process table. Make a new one for each moment; it never refreshes itself.
#[derive(Debug)]
pub struct World {
    spared: BTreeSet<ProcId>,
}

impl World {
    /// A look that reads only what is asked for.
    #[must_use]
    pub fn new() -> Self {
        todo!()
    }
}
impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
