//! What `up` and `down` answer: outcomes with their evidence.

use serde::{Deserialize, Serialize};

use super::{ContainersProof, EndedContainer, Exit, Failure, PortStatus, ProcId, Signal, UnitName};

/// A process that was ended, or was found ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which.
    pub process: ProcId,
    /// Its command line.
    pub command: String,
    /// The evidence in words.
    pub evidence: String,
    /// Whether it took SIGKILL.
    pub forced: bool,
}

/// How one unit was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedUnit {
    /// Which unit.
    pub name: UnitName,
    /// What it was asked with; none where SIGKILL came first or it had ended by itself.
    pub signal: Option<Signal>,
    /// How its leader ended.
    pub exit: Option<Exit>,
    /// From the first signal to the proof that nothing is left, in milliseconds.
    pub millis: u64,
    /// How many processes it had.
    pub processes: u32,
    /// Those that took SIGKILL: process and command line.
    pub deaf: Vec<(ProcId, String)>,
    /// Its container, where it was one.
    #[serde(default)]
    pub container: Option<EndedContainer>,
}

/// A process that could not be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// Which.
    pub process: ProcId,
    /// Its command line.
    pub command: String,
    /// Its user.
    pub user: String,
    /// Why it is known to be ours.
    pub evidence: String,
    /// Why it lives: `not permitted`, `in uninterruptible sleep (state D)` …
    pub reason: String,
    /// The unit that it belongs to, if to one.
    pub unit: Option<UnitName>,
}

/// The answer to `down`, `stop` and a rolled back `up`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DownReport {
    /// Proven: no process left, every declared port free.
    pub clean: bool,
    /// Processes ended, strays included.
    pub ended: u32,
    /// Of these, how many took SIGKILL.
    pub forced: u32,
    /// What could not be ended.
    pub survivors: Vec<Survivor>,
    /// The declared ports as seen after the stop.
    pub ports: Vec<PortStatus>,
    /// Strays that the sweep ended.
    pub swept: Vec<Ended>,
    /// What resembles the stack's processes but lacks proof: named, never signalled.
    pub left_alone: Vec<Ended>,
    /// Jobs from which it was asked for: they go on.
    #[serde(default)]
    pub spared: Vec<Ended>,
    /// What the engines told of its containers; none for a stack that has none.
    #[serde(default)]
    pub containers: Option<Box<ContainersProof>>,
    /// The units, in the order of their stop.
    pub units: Vec<EndedUnit>,
    /// From the request to the verdict.
    pub seconds: f64,
}

impl DownReport {
    /// It is not clean, and nobody can be named who is left: not every look was possible.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        let found = self.containers.as_ref().is_some_and(|proof| !proof.is_clean());
        !self.clean && !found && self.survivors.is_empty() && self.ports.iter().all(|port| port.free)
    }
}

/// How one unit fared in an `up`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitOutcome {
    /// It ran already, as wanted.
    Unchanged,
    /// This `up` started it and its gate held.
    Started,
    /// This `up` started it anew because its definition changed (or `--recreate`).
    Recreated,
    /// It failed.
    Failed(Failure),
    /// Something that it depends on failed, so it was not started.
    Blocked {
        /// The unit that it needs.
        needs: UnitName,
    },
    /// The request ended (time limit, Ctrl-C, another's failure) before it was ready.
    Unfinished,
}

/// The answer to `up`, `start` and `restart`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpReport {
    /// All that was asked for is ready.
    pub ready: bool,
    /// The time limit ended it.
    pub timed_out: bool,
    /// The user ended it (Ctrl-C).
    pub cancelled: bool,
    /// Each unit of the request, in start order.
    pub units: Vec<(UnitName, UnitOutcome)>,
    /// What was stopped again because the request failed.
    pub rolled_back: Option<DownReport>,
    /// The slowest chain: units from the first to the last, with milliseconds until each was ready.
    pub slowest: Vec<(UnitName, u64)>,
    /// From the request to the answer.
    pub seconds: f64,
}
