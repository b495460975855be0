//! Why a command could not do what it was asked for: each error with its exit code and its problems.

use std::io;

use super::exit::Code;
use crate::domain::{ContainerTrouble, DownReport, Failure, Signal, UnitName, UnitOutcome, UpReport};
use crate::show::error::of_failure;
use crate::show::trouble::is_of_engine;
use crate::show::{Paint, Problem, down, json};

mod said;

use said::{no_place, not_up};

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line cannot be meant so.
    #[error("{0}")]
    Usage(String),
    /// There is no manifest here or above.
    #[error("no devstack.yaml found")]
    NoManifest {
        /// Where the search began, or the file that was named.
        from: String,
        /// The file was named by `-f` or `DEVSTACK_FILE`.
        named: bool,
    },
    /// The manifest is wrong.
    #[error("the manifest is wrong")]
    Manifest {
        /// What its diagnostics say, caret and all.
        text: String,
        /// The same as data.
        problems: Vec<Problem>,
    },
    /// No such service in the manifest.
    #[error("no service {name}")]
    NoSuchService {
        /// As asked for.
        name: String,
        /// All that there are.
        known: Vec<UnitName>,
    },
    /// The service declares no such port.
    #[error("{service} has no such port")]
    NoSuchPort {
        /// The service.
        service: UnitName,
        /// As asked for, where a name was given.
        name: Option<String>,
        /// What it declares: `http 3000`.
        known: Vec<String>,
    },
    /// Nothing of the stack, or of the service, runs.
    #[error("{what} is not running")]
    NotRunning {
        /// The stack or the service.
        what: String,
    },
    /// All processes of its container are frozen.
    #[error("{what} is paused")]
    Paused {
        /// The service.
        what: String,
        /// The engine's command.
        engine: String,
        /// The container's name.
        container: String,
    },
    /// Another command works on the stack.
    #[error("another command is at work")]
    Held {
        /// Its command line, where it is known.
        command: Option<String>,
        /// Its process number.
        pid: Option<i32>,
        /// For how long, in milliseconds.
        age_ms: Option<u64>,
    },
    /// It runs already, where only one can be.
    #[error("{what} is already running")]
    AlreadyRunning {
        /// What.
        what: String,
        /// By what it is known to run.
        found: String,
    },
    /// The whole stack is being ended: this job does not begin any more.
    #[error("the stack is being ended")]
    Closing {
        /// The job.
        job: String,
    },
    /// As many jobs run as may, and it was not to be waited for.
    #[error("no place for another job")]
    NoPlace {
        /// How many may run at a time.
        places: u32,
        /// Those that run, each with its number.
        running: Vec<String>,
    },
    /// The supervisor ended while the command waited for it.
    #[error("the supervisor died")]
    SupervisorDied {
        /// Its process number.
        pid: Option<i32>,
        /// Last lines that it wrote.
        tail: Vec<String>,
    },
    /// The supervisor lives and does not answer.
    #[error("the supervisor does not answer")]
    Silent {
        /// What it is, its process number, and what it is doing, as far as the kernel shows it.
        holder: Option<(String, i32, &'static str)>,
    },
    /// The kernel refused a new process.
    #[error("no new process can be made")]
    NoProcess {
        /// The kernel's reason.
        reason: String,
        /// The programs with the most processes.
        crowd: Vec<(String, u32)>,
    },
    /// The state on disk was written by a newer devstack.
    #[error("the state was written by a newer devstack")]
    NewerState {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
        /// The newest version that is understood here.
        known: u32,
        /// The supervisor that lives, if one does.
        supervisor: Option<i32>,
    },
    /// A container engine is needed and cannot be had.
    #[error("{trouble}")]
    NoEngine {
        /// Who needs it.
        whom: String,
        /// Its command: `docker`, `podman`.
        engine: String,
        /// Why it cannot be had.
        trouble: Box<ContainerTrouble>,
    },
    /// A git hook is wanted where there is no git repository.
    #[error("{dir} is in no git repository")]
    NoRepository {
        /// Where the manifest is.
        dir: String,
        /// What git says.
        reason: String,
    },
    /// A git hook stands where ours belongs.
    #[error("{path} was not written by devstack")]
    ForeignHook {
        /// Its file.
        path: String,
        /// The line that does the same.
        line: String,
    },
    /// Not permitted.
    #[error("not permitted: {what}")]
    NotPermitted {
        /// What was tried.
        what: String,
        /// The kernel's reason.
        reason: String,
    },
    /// `up` did not reach what was asked for. The table is told by the command; this tells the causes.
    #[error("not all is ready")]
    NotUp {
        /// What happened.
        report: Box<UpReport>,
        /// Directory of the stack.
        dir: String,
    },
    /// `down` could not end or prove all.
    #[error("the stop is not clean")]
    NotClean(Box<DownReport>),
    /// What `wait` waited for cannot come any more.
    #[error("{unit} will not be {wanted}")]
    WaitFailed {
        /// The unit.
        unit: UnitName,
        /// What was wanted of it.
        wanted: &'static str,
        /// What it is.
        state: String,
    },
    /// The time limit was reached.
    #[error("time limit reached")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The limit in milliseconds.
        after_ms: u64,
        /// What holds it up: a unit and its state.
        waiting: Vec<String>,
    },
    /// A signal ended the command.
    #[error("ended by {0}")]
    Interrupted(Signal),
    /// A file or stream of ours could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with its path.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The unit cannot do what was asked of it.
    #[error("{unit}")]
    Unit {
        /// Which.
        unit: UnitName,
        /// Why.
        failure: Box<Failure>,
    },
    /// The program of a command that was to be run is nowhere.
    #[error("{program} was not found")]
    CommandNotFound {
        /// As written.
        program: String,
        /// The `PATH` that was searched; empty where it was given as a path.
        path: String,
    },
    /// The program of a command that was to be run cannot be executed.
    #[error("{program} cannot be executed")]
    NotExecutable {
        /// As written.
        program: String,
        /// The kernel's reason.
        reason: String,
    },
    /// A command whose exit code would be passed on never ran: only one code may mean that.
    #[error("{0}")]
    Before(Box<CliError>),
    /// All is told already; only the exit code is left to say.
    #[error("see above")]
    Told(Code),
    /// Something that cannot happen did.
    #[error("a bug in devstack: {0}")]
    Bug(String),
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        Self::Bug(format!("JSON: {error}"))
    }
}

impl From<io::Error> for CliError {
    fn from(source: io::Error) -> Self {
        Self::Io { what: "input or output".to_owned(), source }
    }
}

impl CliError {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Usage(_) => Code::Usage,
            Self::NoManifest { .. } => Code::NoManifest,
            Self::Manifest { .. } => Code::Manifest,
            Self::NoSuchService { .. } | Self::NoSuchPort { .. } => Code::NoSuchService,
            Self::NotRunning { .. } | Self::Paused { .. } => Code::NotRunning,
            Self::Held { .. } | Self::NoPlace { .. } | Self::Closing { .. } => Code::Held,
            Self::NoEngine { trouble, .. } => of_trouble(trouble),
            Self::NotPermitted { .. } => Code::NotPermitted,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Code::NotPermitted,
            Self::NotUp { report, .. } if report.cancelled => Code::Signal(Signal::INT),
            Self::NotUp { report, .. } if report.timed_out => Code::TimedOut,
            Self::NotUp { report, .. } => cause(report),
            Self::AlreadyRunning { .. }
            | Self::SupervisorDied { .. }
            | Self::Silent { .. }
            | Self::NoProcess { .. }
            | Self::NewerState { .. }
            | Self::WaitFailed { .. }
            | Self::ForeignHook { .. }
            | Self::NoRepository { .. }
            | Self::Unit { .. }
            | Self::Io { .. } => Code::Failed,
            Self::NotClean(_) => Code::NotClean,
            Self::TimedOut { .. } => Code::TimedOut,
            Self::Interrupted(signal) => Code::Signal(*signal),
            Self::CommandNotFound { .. } => Code::NotFound,
            Self::NotExecutable { .. } => Code::NotExecutable,
            Self::Before(_) => Code::Before,
            Self::Told(code) => *code,
            Self::Bug(_) => Code::Bug,
        }
    }

    /// The text for standard error; empty where all is told already.
    #[must_use]
    pub fn render(&self, paint: &Paint) -> String {
        match self {
            // Rendered by the manifest's own diagnostics, with line and caret.
            Self::Manifest { text, .. } => text.clone(),
            Self::Before(error) => error.render(paint),
            other => other.problems().iter().map(|problem| problem.render(paint)).collect(),
        }
    }

    /// The document for a command that was to answer in JSON; none where the answer has told it.
    #[must_use]
    pub fn json(&self) -> Option<String> {
        match self {
            Self::Told(_) | Self::NotUp { .. } | Self::NotClean(_) => None,
            other => json::errors(&other.problems()).ok(),
        }
    }

    /// The problems as data, the causes first. None for what is told already.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Told(_) => Vec::new(),
            Self::Manifest { problems, .. } => problems.clone(),
            Self::NotClean(report) => down::problem(report).into_iter().collect(),
            Self::NotUp { report, dir } => not_up(report, dir),
            Self::Before(error) => error.problems(),
            Self::Paused { what, engine, container } => vec![said::paused(what, engine, container)],
            Self::Unit { unit, failure } => vec![of_failure(unit, failure, "")],
            Self::NoPlace { places, running } => vec![no_place(*places, running)],
            Self::Usage(_)
            | Self::NoManifest { .. }
            | Self::NoSuchService { .. }
            | Self::NoRepository { .. }
            | Self::NoSuchPort { .. } => {
                vec![self.asked_wrongly()]
            }
            Self::NotRunning { .. }
            | Self::Held { .. }
            | Self::Closing { .. }
            | Self::AlreadyRunning { .. }
            | Self::SupervisorDied { .. }
            | Self::Silent { .. }
            | Self::NoProcess { .. }
            | Self::NewerState { .. }
            | Self::NoEngine { .. }
            | Self::NotPermitted { .. }
            | Self::ForeignHook { .. }
            | Self::CommandNotFound { .. }
            | Self::NotExecutable { .. }
            | Self::WaitFailed { .. }
            | Self::TimedOut { .. }
            | Self::Interrupted(_)
            | Self::Io { .. }
            | Self::Bug(_) => vec![self.met()],
        }
    }
}

/// The exit code of an `up` that failed: where all that failed did so for want of an engine, that is the cause to be told.
fn cause(report: &UpReport) -> Code {
    let mut codes = report.units.iter().filter_map(|(_, outcome)| match outcome {
        UnitOutcome::Failed(Failure::Container { trouble, .. }) => Some(of_trouble(trouble)),
        UnitOutcome::Failed(Failure::Blocked { .. })
        | UnitOutcome::Unchanged
        | UnitOutcome::Started
        | UnitOutcome::Recreated
        | UnitOutcome::Blocked { .. }
        | UnitOutcome::Unfinished => None,
        UnitOutcome::Failed(_) => Some(Code::Failed),
    });
    let first = codes.next().unwrap_or(Code::Failed);
    if codes.all(|code| code == first) { first } else { Code::Failed }
}

fn of_trouble(trouble: &ContainerTrouble) -> Code {
    match trouble {
        ContainerTrouble::NotPermitted { .. } => Code::NotPermitted,
        trouble if is_of_engine(trouble) => Code::Unavailable,
        _ => Code::Failed,
    }
}
