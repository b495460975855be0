//! How a command ends: the table of exit codes.

use std::process::ExitCode;

pub use super::error::CliError;
use crate::domain::Signal;
use crate::show::status::Overall;

/// How a command ended, as its exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done and verified.
    Done,
    /// It failed: a service died or never became healthy.
    Failed,
    /// The command line is wrong.
    Usage,
    /// The stack does not run.
    NotRunning,
    /// No such service.
    NoSuchService,
    /// Something is not as wanted.
    Degraded,
    /// `down` finished, and something survived or a port is held.
    NotClean,
    /// Another command holds the stack.
    Held,
    /// The manifest is wrong.
    Manifest,
    /// There is no manifest.
    NoManifest,
    /// Something it needs is not there.
    Unavailable,
    /// A bug in devstack.
    Bug,
    /// Not permitted.
    NotPermitted,
    /// The time limit was reached.
    TimedOut,
    /// devstack failed before the command ran.
    Before,
    /// The command cannot be executed.
    NotExecutable,
    /// The command was not found.
    NotFound,
    /// Ended by this signal.
    Signal(Signal),
    /// The command's own.
    Command(u8),
}

/// The table as `--help` shows it.
pub const HELP: &str = "\
Exit codes:
    0  done and verified                66  there is no manifest
    1  it failed                        69  something it needs is not there
    2  the command line is wrong        70  a bug in devstack
    3  not running                      77  not permitted
    4  no such service                 124  time limit
    5  degraded                        125  devstack failed before the command ran
    6  stopped, but something is left  126  not executable
    7  another command is at work      127  not found
   65  the manifest is wrong         128+N  ended by signal N";

impl Code {
    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::NoSuchService => 4,
            Self::Degraded => 5,
            Self::NotClean => 6,
            Self::Held => 7,
            Self::Manifest => 65,
            Self::NoManifest => 66,
            Self::Unavailable => 69,
            Self::Bug => 70,
            Self::NotPermitted => 77,
            Self::TimedOut => 124,
            Self::Before => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
            Self::Command(code) => code,
            Self::Signal(signal) => u8::try_from(128 + signal.number()).unwrap_or(u8::MAX),
        }
    }

    /// What `status` ends with.
    #[must_use]
    pub fn of_status(overall: Overall) -> Self {
        match overall {
            Overall::Ready => Self::Done,
            Overall::Degraded => Self::Degraded,
            Overall::NotRunning => Self::NotRunning,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}
