//! What one event brings about while it is handled: actions, finished ladders, units that changed.

use std::collections::VecDeque;

use super::Action;
use crate::domain::{EndedUnit, Moment, UnitName};

/// The working state of one `handle`.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) now: Moment,
    pub(super) actions: Vec<Action>,
    /// Ladders that have come to their verdict.
    pub(super) rows: Vec<EndedUnit>,
    /// Units whose change others have not been told yet.
    pub(super) touched: VecDeque<UnitName>,
}

impl Turn {
    pub(super) fn new(now: Moment) -> Self {
        Self { now, actions: Vec::new(), rows: Vec::new(), touched: VecDeque::new() }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn touch(&mut self, unit: &UnitName) {
        self.touched.push_back(unit.clone());
    }
}
