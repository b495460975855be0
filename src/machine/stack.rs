//! The whole stack as a value: every event goes in here, every action comes out here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Action, Event};
use crate::domain::{Life, Moment, UnitName, UnitView, WallTime};
use crate::plan::UnitPlan;

/// All that is known and intended of one stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stack {}

impl Stack {
    /// A stack of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides what follows from one event.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Moment) -> Vec<Action> {
        let _ = (event, now);
        todo!()
    }

    /// When [`Event::Tick`] is due at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        todo!()
    }

    /// Each unit in start order, without its processes; `boot` is the wall time of `Moment(0)`.
    #[must_use]
    pub fn view(&self, now: Moment, boot: WallTime) -> Vec<UnitView> {
        let _ = (now, boot);
        todo!()
    }

    /// Nothing is wanted, ended or asked for any more: after a `down` of the whole stack the supervisor may end.
    /// A unit that could not be ended counts as at rest: nothing more will be tried by itself.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        todo!()
    }

    /// The plan of a unit: of its present life, or of its next.
    #[must_use]
    pub fn unit_plan(&self, unit: &UnitName) -> Option<&Arc<UnitPlan>> {
        let _ = unit;
        todo!()
    }

    /// The life of a unit that may have living members.
    #[must_use]
    pub fn life_of(&self, unit: &UnitName) -> Option<Life> {
        let _ = unit;
        todo!()
    }

    /// Every unit's last life, for the ledger of the next supervisor ([`Event::Remembered`]).
    #[must_use]
    pub fn lives(&self) -> Vec<(UnitName, Life)> {
        todo!()
    }
}
