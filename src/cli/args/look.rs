//! The verbs that look, and the one that waits.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Place, Since, duration, since};
use crate::domain::UnitName;
use crate::history::Kind;

/// `devstack ps`
#[derive(Clone, Debug, Args)]
pub struct PsArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// Only these services
    #[arg(value_name = "SVC")]
    pub services: Vec<UnitName>,
    /// One row per process, no tree
    #[arg(long)]
    pub flat: bool,
    /// Answer in JSON
    #[arg(long, conflicts_with = "flat")]
    pub json: bool,
}

/// `devstack status`
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// All about this service
    #[arg(value_name = "SVC")]
    pub service: Option<UnitName>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack events`
#[derive(Clone, Debug, Args)]
pub struct EventsArgs {
    /// Go on as they happen
    #[arg(short, long)]
    pub follow: bool,
    /// Only since then: 10m (ago), or 2025-11-20T14:03:22Z
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<Since>,
    /// Only until then
    #[arg(long, value_name = "WHEN", value_parser = since, conflicts_with = "follow")]
    pub until: Option<Since>,
    /// Only of this service (repeatable)
    #[arg(long = "service", value_name = "SVC")]
    pub services: Vec<UnitName>,
    /// Only of this kind: signal, start, exit, health, request and others (repeatable, or with commas)
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    pub kinds: Vec<Kind>,
    /// The last N of them
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<usize>,
    /// Why this service is in its state
    #[arg(long, value_name = "SVC")]
    #[arg(conflicts_with_all = ["follow", "since", "until", "services", "kinds", "tail", "replay"])]
    pub why: Option<UnitName>,
    /// Play the journal through the machine: each decision, and whether what was recorded agrees
    #[arg(long, conflicts_with_all = ["follow", "since", "until", "services", "kinds", "tail"])]
    pub replay: bool,
    /// JSON, one event per line
    #[arg(long)]
    pub json: bool,
}

/// `devstack monitor`
#[derive(Clone, Debug, Args)]
pub struct MonitorArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// Time between two looks [default: the manifest's `monitor.interval`, 2s]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub interval: Option<Duration>,
    /// Look once
    #[arg(long)]
    pub once: bool,
    /// JSON, one document for each look
    #[arg(long)]
    pub json: bool,
}

/// `devstack wait`
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// These services [default: all that are wanted]
    #[arg(value_name = "SVC")]
    pub services: Vec<UnitName>,
    /// ready, healthy, completed or stopped
    #[arg(long = "for", value_name = "STATE", default_value = "ready", hide_possible_values = true)]
    pub goal: Goal,
    /// Give up after so long, such as 90s
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// What `wait` waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// Its gate has held.
    #[default]
    Ready,
    /// Its health check does not fail.
    Healthy,
    /// A task that ended with code 0.
    Completed,
    /// It does not run.
    Stopped,
}

impl Goal {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
        }
    }
}

/// `devstack port`
#[derive(Clone, Debug, Args)]
pub struct PortArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// The service
    #[arg(value_name = "SVC")]
    pub service: UnitName,
    /// Which of its ports, where it has several
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// `devstack url`
#[derive(Clone, Debug, Args)]
pub struct UrlArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// The service
    #[arg(value_name = "SVC")]
    pub service: UnitName,
}
