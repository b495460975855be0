//! Why a command could not do what it was asked for: each error with its code, evidence and remedy.

use std::io;

use super::exit::Code;
use crate::domain::{ContainerTrouble, DownReport, Failure, Signal, UnitName, UnitOutcome, UpReport};
use crate::show::error::{no_process, of_failure};
use crate::show::trouble::{is_of_engine, no_engine};
use crate::show::{Paint, Problem, down, json, text, up};

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
            Self::NotRunning { .. } => Code::NotRunning,
            Self::Held { .. } | Self::NoPlace { .. } => Code::Held,
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
            Self::Unit { unit, failure } => vec![of_failure(unit, failure, "")],
            Self::NoPlace { places, running } => vec![no_place(*places, running)],
            Self::Usage(_)
            | Self::NoManifest { .. }
            | Self::NoSuchService { .. }
            | Self::NoSuchPort { .. } => {
                vec![self.asked_wrongly()]
            }
            Self::NotRunning { .. }
            | Self::Held { .. }
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

    /// What the command line or the place it was called from got wrong.
    fn asked_wrongly(&self) -> Problem {
        match self {
            Self::NoManifest { from, named: true } => Problem::new("DS040", "the manifest cannot be found")
                .saw("looked at", from)
                .hint("check -f and DEVSTACK_FILE"),
            Self::NoManifest { from, named: false } => Problem::new("DS040", "no devstack.yaml found")
                .saw("searched", format!("{from} and every directory above it"))
                .hint("go to the directory of your stack, or name it: devstack -C DIR, devstack -f FILE"),
            Self::NoSuchService { name, known } => {
                let problem = Problem::new("DS041", format!("there is no service `{name}`"));
                let names: Vec<&str> = known.iter().map(UnitName::as_str).collect();
                match nearest(name, &names) {
                    Some(near) => {
                        problem.saw("services", names.join(", ")).hint(format!("did you mean `{near}`?"))
                    }
                    None if names.is_empty() => {
                        problem.saw("services", "none in the manifest").hint("devstack check")
                    }
                    None => problem.saw("services", names.join(", ")).hint("devstack ps"),
                }
            }
            Self::NoSuchPort { service, name, known } => {
                let what = match name {
                    Some(name) => format!("{service} has no port `{name}`"),
                    None if known.is_empty() => format!("{service} has no port"),
                    None => format!("{service} has more than one port"),
                };
                if known.is_empty() {
                    let hint = format!("declare ports of {service} in the manifest");
                    return Problem::new("DS049", what).saw("ports", "none declared").hint(hint);
                }
                let hint = format!("devstack port {} NAME", text::shell_path(service.as_str(), None));
                Problem::new("DS049", what).saw("ports", known.join(", ")).hint(hint)
            }
            other => Problem::new("DS053", other.to_string())
                .saw("read", "the command line")
                .hint("devstack --help"),
        }
    }

    /// What the command met in the world.
    fn met(&self) -> Problem {
        let pid = |pid: &Option<i32>| pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        match self {
            Self::NotRunning { what } => Problem::new("DS042", format!("{what} is not running"))
                .saw("found", "no supervisor and no process of it")
                .hint("devstack up"),
            Self::Held { command, pid: number, age_ms } => {
                let command = command.as_deref().unwrap_or("a devstack command");
                let age = age_ms.map(|age| format!(", for {}", text::rough_span(age))).unwrap_or_default();
                Problem::new("DS043", "another command is at work on this stack")
                    .saw("held by", format!("{command}{}{age}", pid(number)))
                    .hint("wait for it, or end it with Ctrl-C where it runs")
            }
            Self::AlreadyRunning { what, found } => {
                Problem::new("DS050", format!("{what} is already running"))
                    .saw("found", found)
                    .hint("devstack ps    (shows it)")
                    .hint("devstack down  (ends it; then devstack up)")
            }
            Self::SupervisorDied { pid: number, tail } => {
                let tail = if tail.is_empty() { vec!["(it wrote nothing)".to_owned()] } else { tail.clone() };
                Problem::new(
                    "DS044",
                    format!("the supervisor{} died; the services run on under their keepers", pid(number)),
                )
                .saw_lines("last lines", tail)
                .hint("devstack up    (takes the services over, restarts nothing)")
                .hint("devstack down  (ends them; needs no supervisor)")
            }
            Self::Silent { holder } => {
                let problem = Problem::new("DS056", "the supervisor does not answer");
                let problem = match holder {
                    Some((who, pid, doing)) => problem.saw("state", format!("{who} (pid {pid}) is {doing}")),
                    None => problem.saw("state", "somebody listens on its socket and says nothing"),
                };
                problem.hint("devstack down  (ends it, and does its work itself)")
            }
            Self::NoProcess { reason, crowd } => no_process("the supervisor", reason, crowd),
            Self::NewerState { path, found, known, supervisor } => {
                let problem = Problem::new("DS045", "the state was written by a newer devstack")
                    .saw("file", path)
                    .saw("version", format!("{found}; this devstack knows {known} and older"))
                    .hint("use the newer devstack: this one touches nothing");
                match supervisor {
                    // Of every version: SIGTERM to it ends its stack.
                    Some(pid) => problem.hint(format!("kill {pid}  (its supervisor: ends the stack)")),
                    None => problem,
                }
            }
            Self::NoEngine { whom, engine, trouble } => {
                no_engine(whom, engine, trouble).hint("devstack doctor")
            }
            Self::ForeignHook { path, line } => {
                Problem::new("DS059", "there is a git hook already, and devstack did not write it")
                    .saw("hook", path)
                    .hint(format!("add this line to it: {line}"))
            }
            Self::NotPermitted { what, reason } => Problem::new("DS047", format!("not permitted: {what}"))
                .saw("reason", reason)
                .hint("run devstack as the user who owns it"),
            Self::CommandNotFound { program, path } if path.is_empty() => {
                Problem::new("DS022", format!("{program} was not found"))
                    .saw("looked at", format!("{program}: there is no such file"))
                    .hint("correct the command, or give --workdir")
            }
            Self::CommandNotFound { program, path } => {
                Problem::new("DS022", format!("{program} was not found"))
                    .saw("PATH", path)
                    .hint(format!("install {program}, or correct the command"))
            }
            Self::NotExecutable { program, reason } => {
                Problem::new("DS023", format!("{program} cannot be executed"))
                    .saw("reason", reason)
                    .hint(format!("chmod +x {}", text::shell_path(program, None)))
            }
            Self::WaitFailed { unit, wanted, state } => {
                Problem::new("DS054", format!("{unit} will not be {wanted}"))
                    .saw("state", state)
                    .hint(format!("devstack logs {unit}"))
            }
            Self::TimedOut { what, after_ms, waiting } => {
                let limit = text::span(*after_ms);
                Problem::new("DS051", format!("{what} did not end within {limit}"))
                    .saw_lines("waits for", waiting.clone())
                    .hint("devstack status, or a longer --timeout")
            }
            Self::Interrupted(signal) => Problem::new("DS052", format!("ended by {signal}"))
                .saw("state", "what was begun is not complete")
                .hint("devstack status"),
            Self::Io { what, source } => Problem::new("DS055", what.clone())
                .saw("reason", source.to_string())
                .hint(match source.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE) => {
                        "close what holds so many, or raise the limit: ulimit -n 1024"
                    }
                    _ => "check the disk, the permissions and DEVSTACK_STATE_DIR",
                }),
            other => Problem::new("DS070", other.to_string())
                .saw("version", env!("CARGO_PKG_VERSION"))
                .hint("report it, with the output of `devstack events`"),
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

/// The causes, and what else ended the request.
fn not_up(report: &UpReport, dir: &str) -> Vec<Problem> {
    let mut problems = up::problems(report, dir);
    let took = text::span_of_seconds(report.seconds);
    let unfinished = || {
        let names = report.units.iter().filter(|(_, outcome)| up::outcome_word(outcome) == "unfinished");
        names.map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", ")
    };
    if report.cancelled {
        let done = if report.rolled_back.is_some() {
            "what this command started is stopped again"
        } else {
            "what was started stays"
        };
        problems.push(
            Problem::new("DS052", format!("ended by SIGINT after {took}"))
                .saw("state", done)
                .hint("devstack status"),
        );
    } else if report.timed_out {
        let problem =
            Problem::new("DS051", format!("not all was ready within {took}")).saw("waited for", unfinished());
        problems.push(problem.hint("devstack logs, or a longer --timeout"));
    }
    let not_clean = report.rolled_back.as_ref().and_then(down::problem);
    problems.extend(not_clean);
    if problems.is_empty() {
        let problem = Problem::new("DS027", format!("not all was ready after {took}"));
        let names = unfinished();
        let names = if names.is_empty() { "not told by the supervisor".to_owned() } else { names };
        problems.push(problem.saw("not ready", names).hint("devstack status"));
    }
    problems
}

fn no_place(places: u32, running: &[String]) -> Problem {
    Problem::new("DS057", format!("no place for another job: {places} may run at a time"))
        .saw("running", running.join(", "))
        .hint("without --no-wait it waits in line; `limits.jobs` in the manifest says how many")
}

/// The known name that was most likely meant.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), *known));
    let best = scored.min_by_key(|(distance, _)| *distance)?;
    let prefix = known.iter().find(|known| !name.is_empty() && known.starts_with(name));
    if best.0 <= name.chars().count().max(3) / 3 { Some(best.1) } else { prefix.copied() }
}
