//! Why something is being ended, and by whose request: what the receipt of a signal says.

use super::closing::DownWork;
use super::request::UpWork;
use super::standing::{Goal, Phase, Then};
use super::{RequestId, Stack, Target};
use crate::domain::{Failure, UnitName, Why};

/// Why a target is on the ladder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The reason.
    pub why: Why,
    /// The request that asked; none where the supervisor decided by itself.
    pub request: Option<RequestId>,
}

impl Stack {
    /// Why this target is being ended, as things stand after the event that asked for it.
    #[must_use]
    pub fn cause(&self, target: &Target) -> Cause {
        let Target::Life { unit: name, .. } = target else {
            return Cause { why: Why::Sweep, request: self.down.as_ref().and_then(DownWork::newest) };
        };
        let Some(Phase::Ending(ending)) = self.units.get(name).map(|unit| &unit.phase) else {
            return Cause::default();
        };
        match &ending.then {
            Then::Reach(Goal::Rest) => self.stop_of(name),
            Then::Reach(Goal::Again(_)) => {
                Cause { why: Why::Recreate, request: self.up.as_ref().map(UpWork::id) }
            }
            Then::Fail(Failure::NotReady { .. }) => Cause { why: Why::NotReady, request: None },
            Then::Fail(_) => Cause { why: Why::Failed, request: None },
            Then::Judge => Cause { why: Why::LeftBehind, request: None },
            Then::Yield { .. } => Cause { why: Why::Breach, request: None },
            Then::Heal { .. } => Cause { why: Why::Unhealthy, request: None },
        }
    }

    /// A `down` wins over the way back of an `up`.
    fn stop_of(&self, name: &UnitName) -> Cause {
        if let Some(work) = self.down.as_ref().filter(|work| work.covers(name)) {
            return Cause { why: Why::Request, request: work.newest() };
        }
        Cause { why: Why::Rollback, request: self.up.as_ref().map(UpWork::id) }
    }
}
