//! The whole boundary of the machine on one page: every event that can happen, every action that can be asked for.
//!
//! Rules: every asking action has exactly one answering event (named at the action). An event of an earlier life is
//! known by its `life` and ignored. Events and moments are serialisable: a journal can be replayed into the machine.

#![expect(missing_docs, reason = "the variant says it; its fields are named after what they hold")]

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Breach, ContainerState, ContainersProof, DownReport, Ended, Exit, Failure, Life, LifeUsage, OutOfMemory,
    PortHolder, PortStatus, ProcId, Signal, Survivor, UnitName, UpReport,
};
use crate::plan::{Plan, StackLimits, UnitPlan};

/// Ties an answer to the request that asked.
pub type RequestId = u64;

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A client asks for something.
    Requested { id: RequestId, request: Request },
    /// The client takes its request back: an `up` is rolled back; with `force`, by SIGKILL at once.
    Cancelled { id: RequestId, force: bool },
    /// Answers [`Action::Start`]: the leader's identity is recorded and its code runs.
    Started { unit: UnitName, life: Life, leader: ProcId },
    /// Answers [`Action::Start`]: nothing runs, nothing is left.
    NotStarted { unit: UnitName, life: Life, why: Failure },
    /// One probe of the gate was asked; each probe goes on being asked until it holds once.
    Gated { unit: UnitName, life: Life, probe: usize, answer: Answer },
    /// One round of the health check was made.
    Checked { unit: UnitName, life: Life, answer: Answer },
    /// What the shim of a container tells of it, at each change; the last before `Exited`.
    Contained { unit: UnitName, life: Life, state: ContainerState },
    /// The leader ended. `tail` holds the last lines of its log.
    Exited { unit: UnitName, life: Life, exit: Exit, tail: Vec<String> },
    /// Nothing of the target is left: `ECHILD` from its keeper, or an empty cgroup, or (strays, dead keepers) two
    /// scans in a row without a member.
    Emptied { target: Target },
    /// The last life of each unit that any earlier supervisor knew: numbers are never given twice. Comes before all
    /// other events, as do the adoptions.
    Remembered { lives: Vec<(UnitName, Life)> },
    /// A life from before this supervisor was found alive and is watched again.
    Adopted(Box<Adopted>),
    /// Answers [`Action::StopCommand`].
    StopCommandEnded { unit: UnitName, life: Life, exit: Exit },
    /// Answers [`Action::Ask`].
    Asked { target: Target, heard: u32, refused: Vec<ProcId> },
    /// A member of a target that is being ended has ended, or a new one was seen: those born meanwhile must be asked.
    Stirred { target: Target },
    /// Answers [`Action::Kill`]: who took SIGKILL, and who could not be signalled and why.
    Killed { target: Target, forced: Vec<(ProcId, String)>, survivors: Vec<Survivor> },
    /// Answers [`Action::Examine`].
    Examined { unit: UnitName, life: Life, listening: Vec<u16>, tail: Vec<String> },
    /// Answers [`Action::Seek`]: the strays that may be ended, and what only resembles ours.
    Sought { strays: Vec<Ended>, left_alone: Vec<Ended> },
    /// Answers [`Action::Verify`].
    Verified {
        survivors: Vec<Survivor>,
        ports: Vec<PortStatus>,
        #[serde(default)]
        containers: Option<Box<ContainersProof>>,
    },
    /// What all lives take that have processes, at one moment; told again and again where somebody has asked for it.
    Sampled { lives: Vec<LifeUsage> },
    /// The limits of the stack by its last plan; comes before the adoptions. An `up` brings its own.
    Limited { limits: StackLimits },
    /// Which limits of a life the kernel holds: they need not be measured.
    Bounded { unit: UnitName, life: Life, memory: bool, cpus: bool },
    /// The life has neither written nor worked for so long; told as often as it is measured.
    Idle { unit: UnitName, life: Life, millis: u64 },
    /// The kernel has ended a process of the life for want of memory. Comes before the `Exited` of a leader that it was.
    OutOfMemory { unit: UnitName, life: Life, what: OutOfMemory },
    /// Answers [`Action::Breach`]: the processes that were ended for it, and those that could not be and why.
    Breached {
        unit: UnitName,
        life: Life,
        breach: Breach,
        ended: Vec<(ProcId, String)>,
        refused: Vec<(ProcId, String)>,
    },
    /// A deadline has passed.
    Tick,
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Make these units run. Answered by [`Reply::Up`].
    Up(UpRequest),
    /// End units and prove it. Answered by [`Reply::Down`].
    Down(DownRequest),
}

/// Make units run, as parallel as the graph allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpRequest {
    /// The whole plan as the client read it; it replaces the machine's for units that are not running.
    pub plan: Arc<Plan>,
    /// The units wanted, dependencies included (already selected by profiles and names).
    pub units: Vec<UnitName>,
    /// These are ended and started anew even where nothing changed (`--recreate`, `restart`).
    pub recreate: Vec<UnitName>,
    /// Conditions of units outside `units` are not waited for (`--no-deps`).
    pub no_deps: bool,
    /// On failure, what this request started stays.
    pub keep: bool,
    /// The whole request fails when it takes longer.
    pub timeout: Option<Duration>,
}

/// End units and prove it. As default: the whole stack, gracefully.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DownRequest {
    /// These units; none means the whole stack, its strays and patterns included.
    pub units: Option<Vec<UnitName>>,
    /// SIGKILL at once.
    pub force: bool,
    /// Replaces each unit's own grace.
    pub grace: Option<Duration>,
    /// Strays are looked for and ended as well, though the stack runs on: with no unit at all it is a sweep. The whole
    /// stack is never ended without.
    #[serde(default)]
    pub strays: bool,
}

/// What one question to the world brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It holds.
    Good,
    /// It does not: the question (`GET http://…`) and the answer (`503`).
    Bad { asked: String, got: String },
    /// A program outside the unit's own tree answers on the port: not health, a conflict.
    Foreign { port: u16, holder: PortHolder },
}

/// A life that was found alive by a new supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adopted {
    /// The plan that it was started by.
    pub plan: UnitPlan,
    /// Its life.
    pub life: Life,
    /// Its leader.
    pub leader: ProcId,
    /// How its leader ended, where only members are left.
    pub exit: Option<Exit>,
    /// Its gate had held.
    pub ready: bool,
    /// When it was started.
    pub started: crate::domain::Moment,
}

/// Whom a stop ladder ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// All members of one life.
    Life { unit: UnitName, life: Life },
    /// The strays found by the last [`Action::Seek`].
    Strays,
}

/// What shall be done. The performer never waits: the answer is a later event.
#[must_use]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Check the ports, then start this life. Answered by `Started` or `NotStarted`.
    Start { plan: Arc<UnitPlan>, life: Life },
    /// Ask each probe of the gate until it holds once. Told by `Gated`.
    WatchGate { unit: UnitName, life: Life },
    /// Ask the health check at its interval, the first time after one interval. Told by `Checked`.
    WatchHealth { unit: UnitName, life: Life },
    /// End all probes of this life.
    Unwatch { unit: UnitName, life: Life },
    /// See what the life listens on and wrote last. Performed before the actions behind it. Answered by `Examined`.
    Examine { unit: UnitName, life: Life },
    /// A limit was broken: note it; with `kill-culprit` end that process. Answered by `Breached`.
    Breach { unit: UnitName, life: Life, breach: Breach },
    /// The limits of a life that runs on are others now: have the kernel hold them. Told by `Bounded`.
    Confine { plan: Arc<UnitPlan>, life: Life },
    /// Run the unit's stop command. Answered by `StopCommandEnded`.
    StopCommand { unit: UnitName, life: Life },
    /// Send each member that has not had it yet the signal once. Answered by `Asked`.
    Ask { target: Target, signal: Signal, grace: Duration },
    /// Freeze, count, SIGKILL. Answered by `Killed`.
    Kill { target: Target },
    /// The life is over and proven empty: give back its cgroup, forget its members.
    Retire { unit: UnitName, life: Life },
    /// Look for strays of the whole stack; `beside`: which runs on, and is left alone. Answered by `Sought`.
    Seek { beside: bool },
    /// Look, independently of all that is believed, for what is left of these units (none: of the whole stack) and
    /// whether their ports are free. `strays`: of some units only, and of the strays beside what runs on. Answered by
    /// `Verified`.
    Verify { units: Option<Vec<UnitName>>, strays: bool },
    /// Answer a request.
    Reply { id: RequestId, reply: Reply },
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To `up`, `start` and `restart`.
    Up(UpReport),
    /// To `down` and `stop`.
    Down(DownReport),
    /// The stack is being ended as a whole; this request cannot be served before that is done.
    Busy,
    /// The request names a unit that the stack does not have.
    NoSuchUnit(UnitName),
}
