//! What each error says: what happened, the evidence and what to try.

use super::CliError;
use crate::domain::{UnitName, UpReport};
use crate::show::error::no_process;
use crate::show::trouble::no_engine;
use crate::show::{Problem, down, text, up};

impl CliError {
    /// What the command line or the place it was called from got wrong.
    pub(super) fn asked_wrongly(&self) -> Problem {
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
            Self::NoRepository { dir, reason } => {
                Problem::new("DS071", "there is no git repository for the hook")
                    .saw("looked in", dir)
                    .saw("git says", reason)
                    .hint("git init, or call it in a checkout")
            }
            other => Problem::new("DS053", other.to_string())
                .saw("read", "the command line")
                .hint("devstack --help"),
        }
    }

    /// What the command met in the world.
    pub(super) fn met(&self) -> Problem {
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
            Self::Closing { job } => {
                Problem::new("DS043", "another command is at work: the stack is being ended")
                    .saw("job", format!("{job} has not begun"))
                    .hint("run it again when `devstack down` is done")
            }
            Self::AlreadyRunning { what, found } => {
                Problem::new("DS050", format!("{what} is already running"))
                    .saw("found", found)
                    .hint("devstack ps    (shows it; what no record names, devstack sweep --dry-run)")
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
            Self::CommandNotFound { program, path } => not_found(program, path),
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

/// The causes, and what else ended the request.
pub(super) fn not_up(report: &UpReport, dir: &str) -> Vec<Problem> {
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

fn not_found(program: &str, path: &str) -> Problem {
    if program.is_empty() {
        return Problem::new("DS022", "the command is empty").hint("name the program behind --");
    }
    let what = Problem::new("DS022", format!("{program} was not found"));
    if path.is_empty() {
        what.saw("looked at", format!("{program}: there is no such file"))
            .hint("correct the command, or give --workdir")
    } else {
        what.saw("PATH", path).hint(format!("install {program}, or correct the command"))
    }
}

pub(super) fn no_place(places: u32, running: &[String]) -> Problem {
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

/// Of a container that somebody else has frozen.
pub(super) fn paused(what: &str, engine: &str, container: &str) -> Problem {
    Problem::new("DS042", format!("{what} is paused: nothing can run in its container"))
        .saw("found", format!("all processes of {container} are frozen, and not by devstack"))
        .hint(format!("{engine} unpause {container}"))
}
