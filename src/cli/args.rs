//! The command line as it may be written.

mod look;
mod setup;
mod stack;
mod work;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;
use super::logs::LogsArgs;
pub use look::{EventsArgs, Goal, MonitorArgs, PortArgs, PsArgs, StatusArgs, UrlArgs, WaitArgs};
pub use setup::{CheckArgs, CompletionsArgs, ConfigArgs, DoctorArgs, HookMode, InitArgs, JsonArgs};
pub use stack::{DownArgs, RestartArgs, StartArgs, StopArgs, UpArgs};
pub use work::{ExecArgs, RunArgs, SweepArgs};

pub use super::when::{Since, duration, since};
use crate::show::ColorChoice;

/// Starts, watches and provably stops all the processes of a development stack.
#[derive(Clone, Debug, Parser)]
#[command(name = "devstack", version, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(help_template = TEMPLATE, after_help = exit::HELP)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const TEMPLATE: &str = "\
{about}

{usage-heading} devstack [OPTIONS] COMMAND

Lifecycle:
  up           Start what is missing and wait until all is ready
  down         Stop, sweep, and prove that nothing is left
  start        Start these services and what they need
  stop         Stop these services
  restart      Stop and start these services

Look:
  ps           Every process of every service, and why it is ours
  status       One screen; the exit code tells
  logs         What the services wrote
  events       What happened, signal by signal
  monitor      What each service takes of memory and processor

For scripts:
  wait         Wait until services are in a state
  port         The port of a service
  url          The address of a service
  ls           Every stack of this user

Run:
  run          Run a one-off command; nothing of it is left behind
  exec         Run a command where a service runs

Mend:
  sweep        Find strays, show the evidence for each, end them
  doctor       What holds on this machine, what is in the way, what is stale

Set up:
  init         Install the git hook that looks for strays
  check        Check the manifest
  config       The manifest with everything filled in
  completions  Completions for a shell
  version      The version

Options:
{options}{after-help}";

/// What applies to every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    // Not global: `-f` means `--follow` behind `logs` and `events`, as with Compose. The other verbs have `Place`.
    /// The manifest [default: devstack.yaml here or above]
    #[arg(short, long, value_name = "FILE", env = "DEVSTACK_FILE", hide_env_values = true)]
    pub file: Option<PathBuf>,
    /// Work in this directory
    #[arg(short = 'C', long = "dir", global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    #[arg(help = "When to use colours: auto, always, never")]
    pub color: Color,
}

/// The manifest, named behind the verb.
#[derive(Clone, Debug, Default, Args)]
pub struct Place {
    /// The manifest [default: devstack.yaml here or above]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl Cli {
    /// The manifest that the command line or `DEVSTACK_FILE` names; what stands behind the verb wins.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        let place = match &self.verb {
            Verb::Up(args) => Some(&args.place),
            Verb::Down(args) => Some(&args.place),
            Verb::Start(args) => Some(&args.place),
            Verb::Stop(args) => Some(&args.place),
            Verb::Restart(args) => Some(&args.place),
            Verb::Ps(args) => Some(&args.place),
            Verb::Status(args) => Some(&args.place),
            Verb::Monitor(args) => Some(&args.place),
            Verb::Wait(args) => Some(&args.place),
            Verb::Port(args) => Some(&args.place),
            Verb::Url(args) => Some(&args.place),
            Verb::Exec(args) => Some(&args.place),
            Verb::Run(args) => Some(&args.place),
            Verb::Sweep(args) => Some(&args.place),
            Verb::Doctor(args) => Some(&args.place),
            Verb::Init(args) => Some(&args.place),
            Verb::Check(args) => Some(&args.place),
            Verb::Config(args) => Some(&args.place),
            Verb::Logs(_) | Verb::Events(_) | Verb::Ls(_) | Verb::Completions(_) | Verb::Version(_) => None,
        };
        place.and_then(|place| place.file.as_deref()).or(self.global.file.as_deref())
    }
}

/// What `--color` can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// As the terminal and the environment say.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

/// What can be asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Start what is missing and wait until all is ready
    Up(UpArgs),
    /// Stop, sweep, and prove that nothing is left
    Down(DownArgs),
    /// Start these services and what they need
    Start(StartArgs),
    /// Stop these services
    Stop(StopArgs),
    /// Stop and start these services
    Restart(RestartArgs),
    /// Every process of every service, and why it is ours
    Ps(PsArgs),
    /// One screen; the exit code tells (0 as wanted, 3 not running, 5 degraded)
    Status(StatusArgs),
    /// What the services wrote
    Logs(LogsArgs),
    /// What happened, signal by signal
    Events(EventsArgs),
    /// What each service takes of memory and processor
    Monitor(MonitorArgs),
    /// Wait until services are in a state
    Wait(WaitArgs),
    /// The port of a service
    Port(PortArgs),
    /// The address of a service
    Url(UrlArgs),
    /// Run a command where a service runs (its exit code is passed on)
    Exec(ExecArgs),
    /// Run a one-off command; nothing of it is left behind (its exit code is passed on)
    Run(RunArgs),
    /// Find strays, show the evidence for each, end them (exit code 6: something survived)
    #[command(visible_alias = "cleanup")]
    Sweep(SweepArgs),
    /// What holds on this machine, what is in the way, what is stale (exit code 5: something needs attention)
    Doctor(DoctorArgs),
    /// Install the git hook that looks for strays
    Init(InitArgs),
    /// Check the manifest
    Check(CheckArgs),
    /// The manifest with everything filled in
    Config(ConfigArgs),
    /// Every stack of this user
    Ls(JsonArgs),
    /// Completions for a shell
    Completions(CompletionsArgs),
    /// The version
    Version(JsonArgs),
}

impl Verb {
    /// Whether the answer is to be JSON.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Up(args) => args.json,
            Self::Down(args) => args.json,
            Self::Start(args) => args.json,
            Self::Stop(args) => args.json,
            Self::Restart(args) => args.json,
            Self::Ps(args) => args.json,
            Self::Status(args) => args.json,
            Self::Logs(args) => args.json,
            Self::Events(args) => args.json,
            Self::Monitor(args) => args.json,
            Self::Config(args) => args.json,
            Self::Sweep(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Ls(args) | Self::Version(args) => args.json,
            Self::Wait(_)
            | Self::Port(_)
            | Self::Url(_)
            | Self::Exec(_)
            | Self::Init(_)
            | Self::Run(_)
            | Self::Check(_)
            | Self::Completions(_) => false,
        }
    }
}
