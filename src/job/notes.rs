//! What the journal of the stack is told of a job: the limits that it broke, and who was ended for them.

use std::path::PathBuf;

use super::start::Order;
use crate::cage::KillOutcome;
use crate::domain::{Breach, Life, UnitName};
use crate::plan::Secrets;
use crate::store::{Entry, Journal, Line};
use crate::sys::clock;

/// Writes into the journal of the stack, beside its supervisor: each line is one write.
#[derive(Debug)]
pub(super) struct Notes {
    journal: PathBuf,
    unit: UnitName,
    life: Life,
    secrets: Secrets,
}

impl Notes {
    pub(super) fn new(order: &Order<'_>) -> Self {
        let secrets = order.stack.plan.as_ref().map(|plan| plan.secrets.clone()).unwrap_or_default();
        let (unit, life) = (order.ticket.name.clone(), order.ticket.life);
        Self { journal: order.dir.journal(), unit, life, secrets }
    }

    /// A limit was broken, and these were ended for it.
    pub(super) fn breached(&self, breach: &Breach, outcome: KillOutcome) {
        let ended = outcome.forced.into_iter().map(|one| (one.process, one.command)).collect();
        let refused = outcome.survivors.into_iter().map(|one| (one.process, one.reason)).collect();
        let (unit, life, breach) = (self.unit.clone(), self.life, breach.clone());
        let entry = self.secrets.hide_in(Entry::breached(unit, life, breach, ended, refused));
        // Opened for each: a supervisor may have begun a new file since.
        let told = Line { at: clock::wall(), moment: clock::moment(), by: None, entry };
        Journal::open(&self.journal).write(&told);
    }
}
