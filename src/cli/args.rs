//! The command line as it may be written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;
use super::logs::LogsArgs;
pub use super::when::{Since, duration, since};
use crate::domain::UnitName;
use crate::history::Kind;
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

/// `devstack doctor`
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// Take away what is stale, where nothing can be lost by it; signals nothing
    #[arg(long)]
    pub fix: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack init`
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// Install a git hook that looks for strays before a commit, and tells of them (warn) or ends them (sweep)
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "warn")]
    #[arg(hide_possible_values = true)]
    pub hooks: Option<HookMode>,
    /// Take away what --hooks has installed
    #[arg(long, requires = "hooks")]
    pub remove: bool,
}

/// What the git hook does about strays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HookMode {
    /// It tells of them.
    Warn,
    /// It ends them.
    Sweep,
}

impl HookMode {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Sweep => "sweep",
        }
    }
}

/// `devstack check`
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
}

/// `devstack config`
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The manifest.
    #[command(flatten)]
    pub place: Place,
    /// Show values that look like secrets
    #[arg(long)]
    pub show_secrets: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// A command that only knows `--json`.
#[derive(Clone, Debug, Args)]
pub struct JsonArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack completions`
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub shell: clap_complete::Shell,
}
