//! Where a unit can stand, with the data inside the variant where it is true, what it can be told, and where a stop leads.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Answer;
use super::ladder::Ladder;
use super::words;
use crate::domain::{Breach, Exit, Failure, Health, Moment, ProcId, Survivor};
use crate::plan::UnitPlan;

/// Where a unit stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Nothing runs, nothing is intended.
    Resting(Rest),
    /// Wanted; waits for the conditions of its dependencies.
    Queued,
    /// `Start` is outstanding. A stop that arrives meanwhile is remembered.
    Starting { stop: Option<StopOrder> },
    /// It runs; its gate does not hold yet (a task: it has not ended yet).
    Gating { run: Run, deadline: Moment, probes: Vec<ProbeState> },
    /// It runs and its gate has held.
    Ready { run: Run, checks: Checks },
    /// It will be ended for a fault of its own; `Examine` is outstanding.
    Examining { run: Run, fault: Fault },
    /// It will be ended as soon as those that depend on it are.
    Leaving { run: Run, order: StopOrder },
    /// It is on the ladder.
    Ending(Box<Ending>),
    /// It died and is started again at this moment.
    Backoff { until: Moment },
    /// The ladder is at its end, and some of it lives.
    Survived { run: Run, survivors: Vec<Survivor> },
}

/// How a unit came to rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Rest {
    /// Never started, or stopped as asked.
    Stopped,
    /// A service that had been ready ended by itself with 0.
    Ended,
    /// A task ended with 0.
    Completed,
    Failed(Failure),
}

/// A living leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) leader: ProcId,
    pub(super) started: Moment,
    pub(super) ready: Option<Moment>,
}

/// One probe of the gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ProbeState {
    Silent,
    Bad { asked: String, got: String },
    Held,
}

/// What the health check said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checks {
    pub(super) bad: u32,
    pub(super) health: Health,
    pub(super) answer: String,
}

/// Why a unit is ended although nobody asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    NotReady { after_ms: u64, answers: Vec<(String, String)> },
    Unhealthy { answer: String },
    Over { breach: Breach },
}

/// Somebody wants a unit ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StopOrder {
    pub(super) goal: Goal,
    pub(super) force: bool,
    pub(super) grace: Option<Duration>,
}

/// What shall be after a stop that was ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Goal {
    Rest,
    /// A new life, by this plan.
    Again(Arc<UnitPlan>),
}

/// A life on the ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) run: Run,
    pub(super) ladder: Ladder,
    pub(super) then: Then,
    /// The leader's end, as far as it is known, and when.
    pub(super) exit: Option<(Exit, Moment)>,
    pub(super) tail: Vec<String>,
}

/// What follows the proof that nothing is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Then {
    Reach(Goal),
    Fail(Failure),
    /// The leader ended by itself: its policy decides.
    Judge,
    /// It was unhealthy: restarted, within its policy.
    Heal {
        answer: String,
    },
    /// It broke a limit: restarted if that says so, else its policy decides.
    Yield {
        breach: Breach,
    },
}

/// An event, as far as one unit's present life is concerned.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact {
    Started {
        leader: ProcId,
    },
    NotStarted {
        why: Failure,
    },
    Gated {
        probe: usize,
        answer: Answer,
    },
    Checked {
        answer: Answer,
    },
    Exited {
        exit: Exit,
        tail: Vec<String>,
    },
    Emptied,
    CommandEnded,
    Asked {
        heard: u32,
        refused: Vec<ProcId>,
    },
    Stirred,
    Killed {
        forced: Vec<(ProcId, String)>,
        survivors: Vec<Survivor>,
    },
    Examined {
        listening: Vec<u16>,
        tail: Vec<String>,
    },
    /// [`Unit::deadline`] has passed.
    Due,
}

impl StopOrder {
    /// The later order says where to; the harder and the shorter of the two says how.
    pub(super) fn over(self, old: Option<Self>) -> Self {
        let Some(old) = old else { return self };
        let grace = match (self.grace, old.grace) {
            (Some(new), Some(old)) => Some(new.min(old)),
            (new, old) => new.or(old),
        };
        Self { goal: self.goal, force: self.force || old.force, grace }
    }
}

impl Fault {
    /// The fault with the evidence.
    pub(super) fn then(self, plan: &UnitPlan, listening: Vec<u16>, tail: Vec<String>) -> Then {
        match self {
            Self::NotReady { after_ms, mut answers } => {
                let listening = match &plan.container {
                    Some(container) => {
                        answers.extend(words::publishing(container, &listening));
                        None
                    }
                    None => Some(listening),
                };
                Then::Fail(Failure::NotReady { after_ms, answers, listening, tail })
            }
            Self::Unhealthy { answer } => Then::Heal { answer },
            Self::Over { breach } => Then::Yield { breach },
        }
    }
}
