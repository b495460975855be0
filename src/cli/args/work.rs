//! The verbs that run a command or clear up.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::{Place, duration};
use crate::domain::UnitName;

/// `devstack exec`
#[derive(Clone, Debug, Args)]
pub struct ExecArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// No terminal inside a container, even where this is one
    #[arg(short = 'T', long = "no-tty")]
    pub no_tty: bool,
    /// Set a variable, or pass on the one of this name (repeatable)
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// As this user [default: the service's]
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// In this directory [default: the service's]
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// The service
    #[arg(value_name = "SVC")]
    pub service: UnitName,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub command: Vec<String>,
}

/// `devstack sweep`
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct SweepArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// Also what is left of this user's other stacks, where nobody holds them any more
    #[arg(long)]
    pub all_stacks: bool,
    /// Only tell what would be ended (exit code 5 where there is something)
    #[arg(long, conflicts_with_all = ["force", "timeout"])]
    pub dry_run: bool,
    /// SIGKILL at once, then the same proof
    #[arg(long)]
    pub force: bool,
    /// Time between asking and SIGKILL, such as 3s [default: 10s]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// What it is called [default: the first words of the command]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// End it when it takes longer (exit code 124)
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// The most memory that it may take: 512M, 2G
    #[arg(long, value_name = "SIZE", value_parser = crate::plan::parse_memory)]
    pub memory: Option<u64>,
    /// The most processors that it may use: 1.5
    #[arg(long, value_name = "N", value_parser = crate::plan::parse_cpus)]
    pub cpus: Option<u32>,
    /// The most processes that it may have
    #[arg(long, value_name = "N", value_parser = crate::plan::parse_pids)]
    pub pids: Option<u32>,
    /// First bring this service up, with what it needs; it is left running (repeatable)
    #[arg(long, value_name = "SVC")]
    pub with: Vec<UnitName>,
    /// Set a variable, or pass on the one of this name (repeatable)
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Fail at once (exit code 7) where as many jobs run as may
    #[arg(long)]
    pub no_wait: bool,
    /// No line at the end
    #[arg(short, long)]
    pub quiet: bool,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = false)]
    pub command: Vec<OsString>,
}
