//! The plan as data: what the machine decides on and the performer carries out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ContainerPlan, MonitorPlan, Secrets};
use crate::domain::{Budgets, Ceiling, Limits, Signal, StackName, UnitKind, UnitName};

/// A whole stack, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the stack.
    pub stack: StackName,
    /// Directory of the manifest, absolute.
    pub dir: PathBuf,
    /// The manifest's own path, absolute.
    pub manifest: PathBuf,
    /// All units, whatever their profiles, each after all that it depends on.
    pub units: Vec<UnitPlan>,
    /// What all of it together may take, services and jobs.
    #[serde(default, skip_serializing_if = "StackLimits::is_default")]
    pub limits: StackLimits,
    /// What `down` sweeps.
    pub sweep: SweepPlan,
    /// How it is watched.
    #[serde(default, skip_serializing_if = "MonitorPlan::is_default")]
    pub monitor: MonitorPlan,
    /// What it should take at most.
    #[serde(default, skip_serializing_if = "Budgets::is_default")]
    pub budgets: Budgets,
    /// What the stack itself sets or (none) takes away, for jobs: each unit has it in its own. Never written down.
    #[serde(skip)]
    pub environment: BTreeMap<String, Option<String>>,
    /// Secret values that stand in its texts; hidden wherever something is shown or written down for people.
    #[serde(default, skip_serializing_if = "Secrets::is_empty")]
    pub secrets: Secrets,
}

/// One unit, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitPlan {
    /// Its name.
    pub name: UnitName,
    /// Service or task.
    pub kind: UnitKind,
    /// What is executed; for a container: what is shown as its command.
    pub command: CommandPlan,
    /// The container that it is, where it is one: a shim of devstack is executed, which stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Box<ContainerPlan>>,
    /// The process that runs instead of its container where no engine can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<UnitPlan>>,
    /// It is such a process: the image in whose place it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// Absolute working directory.
    pub working_dir: PathBuf,
    /// What the manifest and its env files set; the caller's environment lies below it.
    pub environment: BTreeMap<String, String>,
    /// The user to become (a name or a number), if not the caller.
    pub user: Option<String>,
    /// Declared TCP ports.
    pub ports: Vec<PortPlan>,
    /// What must hold before it starts.
    pub depends_on: Vec<Dependency>,
    /// The gate: each of these must hold once. Empty means: ready as soon as it runs (a task: when it has ended with 0).
    pub gate: Vec<Probe>,
    /// How often and how long a gate's probes are asked at most.
    pub gate_timeout: Duration,
    /// What is asked for as long as it runs.
    pub health: Option<HealthPlan>,
    /// How long its gate may take.
    pub start_timeout: Duration,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How it is ended.
    pub stop: StopPlan,
    /// It is ended when the supervisor is gone; otherwise it runs on and is taken over again.
    #[serde(default)]
    pub ends_with_supervisor: bool,
    /// What it may take; of a container only what its engine does not hold.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// How its output is kept.
    pub logs: LogPlan,
    /// It takes part only when one of these is active; empty means always.
    pub profiles: BTreeSet<String>,
    /// Free text for people and tools.
    pub labels: BTreeMap<String, String>,
    /// A hash of all that would need a new process if it changed.
    pub definition: String,
}

/// A command as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandPlan {
    /// Given to `/bin/sh -c`.
    Shell(String),
    /// Executed as it is; never empty.
    Exec(Vec<String>),
}

/// A declared port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortPlan {
    /// Its name, where the manifest names it.
    pub name: Option<String>,
    /// The TCP port.
    pub number: u16,
}

/// What a dependency waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its process runs.
    Started,
    /// Its gate has held and its health check does not fail; where it has neither: it runs.
    Healthy,
    /// It is a task and has ended with code 0.
    Completed,
}

/// One arrow of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The unit that is needed.
    pub unit: UnitName,
    /// What must hold of it.
    pub condition: Condition,
}

/// One question to the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// An HTTP request.
    Http(HttpProbe),
    /// A TCP connection can be made.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A command ends with code 0.
    Exec(CommandPlan),
    /// A line of the unit's output matches this regular expression.
    Log(String),
    /// The unit has sent `READY=1` (`sd_notify`).
    Notify,
    /// The unit's own tree listens on this port.
    Port(u16),
    /// The container's own health check says that it is healthy; one that has none is, as soon as it runs.
    Own,
}

/// An HTTP question and what counts as a good answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// Host as in the URL (no brackets around an IPv6 address).
    pub host: String,
    /// Port; 80 where the URL names none.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// `GET` and so on.
    pub method: String,
    /// Extra headers, in order.
    pub headers: Vec<(String, String)>,
    /// Good codes, inclusive ranges; 200 to 399 by default.
    pub status: Vec<(u16, u16)>,
    /// What the body must match.
    pub body: Option<BodyMatch>,
}

/// What a body must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyMatch {
    /// It holds this text.
    Contains(String),
    /// It matches this regular expression.
    Regex(String),
}

/// The health check of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPlan {
    /// All of these must hold.
    pub probes: Vec<Probe>,
    /// Between two rounds once it is healthy.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
    /// Failures do not count for so long after the start.
    pub start_period: Duration,
    /// Whether an unhealthy unit is restarted.
    pub restart_on_failure: bool,
}

/// When a unit is started again after it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When it failed; at most so many times in a row, where a number is given.
    OnFailure {
        /// Most restarts in a row.
        max: Option<u32>,
    },
    /// Whenever it ended.
    Always,
}

/// How a unit is ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPlan {
    /// The signal that asks.
    pub signal: Signal,
    /// How long it may take before SIGKILL.
    pub grace: Duration,
    /// A command that asks, before the signal.
    pub command: Option<CommandPlan>,
}

/// How output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlan {
    /// Bytes after which a new file begins.
    pub max_size: u64,
    /// How many files are kept, the present one included; at least 1.
    pub max_files: u32,
}

/// The most that a whole stack may take, services and jobs together; of each, none means: as much as it likes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StackLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processors, in thousandths.
    pub cpus_milli: Option<u32>,
    /// Processes.
    pub pids: Option<u32>,
    /// Jobs at a time.
    pub jobs: Option<u32>,
    /// How long a job may run that does not say otherwise.
    pub job_timeout: Option<Duration>,
}

impl StackLimits {
    /// What a kernel can hold.
    #[must_use]
    pub fn ceiling(&self) -> Ceiling {
        Ceiling { memory: self.memory, cpus_milli: self.cpus_milli, pids: self.pids }
    }

    /// Nothing is limited.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What `down` sweeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepPlan {
    /// Regular expressions, searched in the command line.
    pub patterns: Vec<String>,
    /// How far it goes.
    pub scope: SweepScope,
}

/// How far a sweep goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepScope {
    /// Only with evidence that it belongs to this stack.
    #[default]
    Stack,
    /// Any process of this user that matches.
    User,
}
