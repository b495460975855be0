//! The verbs that start and stop.

use std::time::Duration;

use clap::Args;

use super::{Place, duration};
use crate::domain::UnitName;

/// `devstack up`
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct UpArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// These services and what they need [default: all of the active profiles]
    #[arg(value_name = "SVC")]
    pub services: Vec<UnitName>,
    /// Stay, show the logs; Ctrl-C stops the stack
    #[arg(long, conflicts_with_all = ["json", "dry_run"])]
    pub attach: bool,
    /// Fail when it takes longer, such as 90s
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Do not start what they need
    #[arg(long)]
    pub no_deps: bool,
    /// Start anew what runs already
    #[arg(long)]
    pub recreate: bool,
    /// Only tell what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// When one fails, keep what was started
    #[arg(long)]
    pub keep: bool,
    /// Exit code 1 where a budget is exceeded
    #[arg(long)]
    pub strict: bool,
    /// Also services of this profile (repeatable)
    #[arg(long = "profile", value_name = "P")]
    pub profiles: Vec<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack down`
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct DownArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// Only these services [default: the whole stack]
    #[arg(value_name = "SVC")]
    pub services: Vec<UnitName>,
    /// SIGKILL at once, then the same proof
    #[arg(long)]
    pub force: bool,
    /// Time between asking and SIGKILL, such as 3s [default: each service's own]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Only services in containers
    #[arg(long)]
    pub containers: bool,
    /// Also remove the stack's named volumes, with all that is in them; asks before
    #[arg(long, conflicts_with_all = ["services", "containers", "dry_run"])]
    pub volumes: bool,
    /// Exit code 1 where the budget is exceeded
    #[arg(long)]
    pub strict: bool,
    /// With --volumes: do not ask
    #[arg(long, requires = "volumes")]
    pub yes: bool,
    /// Only tell what would be ended
    #[arg(long)]
    pub dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack start`
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// The services
    #[arg(value_name = "SVC", required = true)]
    pub services: Vec<UnitName>,
    /// Fail when it takes longer, such as 90s
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack stop`
#[derive(Clone, Debug, Args)]
pub struct StopArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// The services
    #[arg(value_name = "SVC", required = true)]
    pub services: Vec<UnitName>,
    /// SIGKILL at once, then the same proof
    #[arg(long)]
    pub force: bool,
    /// Time between asking and SIGKILL, such as 3s [default: each service's own]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack restart`
#[derive(Clone, Debug, Args)]
pub struct RestartArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// The services
    #[arg(value_name = "SVC", required = true)]
    pub services: Vec<UnitName>,
    /// Fail when it takes longer, such as 90s
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}
