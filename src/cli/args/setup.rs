//! The verbs about devstack itself and its manifest.

use clap::{Args, ValueEnum};

use super::Place;

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
