//! What a stack looks like at one moment: made by the machine and the census, shown by `ps`, `status` and the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ContainerView, Exit, Life, ProcId, Sign, StackName, UnitName, WallTime};

/// What a unit is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// Runs until it is stopped.
    #[default]
    Service,
    /// Runs once; exit code 0 is success.
    Task,
    /// A command that `devstack run` runs, and holds itself: it is only ever looked at and ended.
    Job,
}

/// The state of a unit, in the words of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Wanted; waits for what it depends on.
    Queued,
    /// Its process runs (or is about to); its gate does not hold yet.
    Starting,
    /// It runs and its gate has held.
    Ready,
    /// It runs and its health check fails.
    Unhealthy,
    /// It died and waits for its next start.
    Backoff,
    /// It is being ended.
    Stopping,
    /// It does not run, as wanted.
    Stopped,
    /// A task that ended with code 0.
    Completed,
    /// It does not run although it was wanted, or something of it could not be ended.
    Failed,
}

impl State {
    /// The word shown to people and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::Backoff => "backoff",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// What the health check last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The manifest asks for none.
    #[default]
    None,
    /// Not known yet.
    Unknown,
    /// The last probe succeeded (or too few failed in a row).
    Healthy,
    /// `retries` probes failed in a row.
    Unhealthy,
}

/// Why a process is known to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// The first process of a life, recorded before its code ran.
    Leader,
    /// A living descendant of the life's keeper or leader.
    Parentage,
    /// It is in the life's cgroup.
    Cgroup,
    /// It was recorded as a member while its parentage could be seen.
    Ledger,
    /// It is in the session of a proven member.
    Session,
    /// Its environment or descriptors hold the life's random mark.
    Mark,
    /// The user's `sweep` pattern matches, with evidence that it belongs to this stack.
    Pattern,
    /// It runs in a container of this stack, as the engine or the container's cgroup tells.
    Container,
}

/// One process of the stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessView {
    /// Process number.
    pub pid: i32,
    /// Its start, in the unit of [`ProcId::start`].
    pub start: u64,
    /// Parent.
    pub ppid: i32,
    /// Process group.
    pub pgid: i32,
    /// Session.
    pub sid: i32,
    /// Command line, or `[name]` where it has none; control characters escaped.
    pub command: String,
    /// Share of one core over its life, in percent.
    pub cpu_percent: f64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// How long it has run, in milliseconds.
    pub age_ms: u64,
    /// Why it is ours.
    pub found_by: FoundBy,
}

/// One unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitView {
    /// Name in the manifest.
    pub name: UnitName,
    /// Service, task or job.
    pub kind: UnitKind,
    /// State.
    pub state: State,
    /// What its health check last said.
    pub health: Health,
    /// One line of evidence for the state: what it waits for, why it failed.
    pub note: Option<String>,
    /// Which incarnation this is.
    pub life: Life,
    /// Its leader, while that is known.
    pub leader: Option<ProcId>,
    /// Number of the leader.
    pub pid: Option<i32>,
    /// Process group of the leader: the leader's own number, unless it is a job that shares its caller's.
    pub pgid: Option<i32>,
    /// Session of the leader: the leader's own number, unless it is a job that shares its caller's.
    pub sid: Option<i32>,
    /// How the last life ended.
    pub exit: Option<Exit>,
    /// How often it was restarted by its policy since it was asked for.
    pub restarts: u32,
    /// When its present life began.
    pub started_at: Option<WallTime>,
    /// Milliseconds from its start until its gate held.
    pub ready_ms: Option<u64>,
    /// Declared TCP ports.
    pub ports: Vec<u16>,
    /// Labels of the manifest.
    pub labels: BTreeMap<String, String>,
    /// The container that it is, where it is one.
    #[serde(default)]
    pub container: Option<ContainerView>,
    /// Its processes; filled by the census.
    pub processes: Vec<ProcessView>,
}

impl UnitView {
    /// A unit of which nothing runs, or ever ran.
    #[must_use]
    pub fn at_rest(name: UnitName, kind: UnitKind, life: Life) -> Self {
        Self {
            name,
            kind,
            state: State::Stopped,
            health: Health::None,
            note: None,
            life,
            leader: None,
            pid: None,
            pgid: None,
            sid: None,
            exit: None,
            restarts: 0,
            started_at: None,
            ready_ms: None,
            ports: Vec::new(),
            labels: BTreeMap::new(),
            container: None,
            processes: Vec::new(),
        }
    }
}

/// A stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackView {
    /// Name of the stack.
    pub stack: StackName,
    /// Directory of the manifest.
    pub dir: String,
    /// The supervisor's process number, or none where none lives.
    pub supervisor: Option<i32>,
    /// The units in start order.
    pub services: Vec<UnitView>,
    /// Processes of this stack outside every life that is known.
    pub strays: Vec<ProcessView>,
    /// What is wrong with devstack's own files: lines that were lost, records that cannot be read.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What needs an eye now, as far as a supervisor looks.
    #[serde(default)]
    pub alerts: Vec<Sign>,
}
