//! Errors as people see them: what happened, the evidence, what to try; with a code that never changes its meaning.

use super::paint::{Paint, Tone};
use super::text;
use super::trouble::of_trouble;
use crate::domain::{Failure, PortHolder, UnitName};

/// An error ready to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable: `DS020`.
    pub code: &'static str,
    /// What happened, in one lowercase line.
    pub what: String,
    /// The evidence: a label and what was seen; an empty label continues the line above.
    pub evidence: Vec<(String, String)>,
    /// What to try: commands or advice, the most likely first.
    pub remedy: Vec<String>,
}

impl Problem {
    /// A problem without evidence and remedy yet.
    #[must_use]
    pub fn new(code: &'static str, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), evidence: Vec::new(), remedy: Vec::new() }
    }

    /// Adds a piece of evidence.
    #[must_use]
    pub fn saw(mut self, label: &str, text: impl Into<String>) -> Self {
        self.evidence.push((label.to_owned(), text.into()));
        self
    }

    /// Adds several lines under one label; nothing where there are none.
    #[must_use]
    pub fn saw_lines<T: Into<String>>(mut self, label: &str, lines: impl IntoIterator<Item = T>) -> Self {
        for (at, line) in lines.into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            self.evidence.push((label.to_owned(), line.into()));
        }
        self
    }

    /// Adds something to try.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.remedy.push(text.into());
        self
    }

    /// The error as text, with its line ends. Nothing is cut: half a command or half a reason helps nobody.
    #[must_use]
    pub fn render(&self, paint: &Paint) -> String {
        let label_width = self.evidence.iter().map(|(label, _)| text::width(label)).max().unwrap_or(0).max(3);
        let head = paint.tone(Tone::Bad, &format!("error[{}]", self.code));
        let mut out = format!("{head}: {}\n", paint.tone(Tone::Strong, &paint.clean(&self.what)));
        let seen = self.evidence.iter().map(|(label, text)| (label.as_str(), text, Tone::Plain));
        let tried = self
            .remedy
            .iter()
            .enumerate()
            .map(|(at, text)| (if at == 0 { "try" } else { "" }, text, Tone::Good));
        for (label, line, tone) in seen.chain(tried) {
            let line = paint.clean(line);
            let fill = label_width - text::width(label) + 2;
            let shown = format!("  {}{:fill$}{}", paint.tone(Tone::Dim, label), "", paint.tone(tone, &line));
            out.push_str(shown.trim_end());
            out.push('\n');
        }
        out
    }
}

/// The problem of a unit. `dir` is the directory of its own stack: a port held by that stack is our own leftover.
#[must_use]
pub fn of_failure(unit: &UnitName, failure: &Failure, dir: &str) -> Problem {
    match failure {
        Failure::PortInUse { port, holder } => {
            let problem = Problem::new("DS020", format!("port {port} ({unit}) is in use"));
            port_taken(problem, unit, *port, holder, dir)
        }
        Failure::PortConflict { port, holder } => {
            let what =
                format!("port {port} ({unit}) is answered by a program outside {unit}'s own processes");
            port_taken(Problem::new("DS021", what), unit, *port, holder, dir)
        }
        Failure::CommandNotFound { program, path, near } => not_found(unit, program, path, near),
        Failure::NotExecutable { program, reason } => {
            Problem::new("DS023", format!("{program} ({unit}) cannot be executed"))
                .saw("reason", reason)
                .hint(format!("chmod +x {}", text::shell_path(program, None)))
        }
        Failure::WorkingDir { dir, reason } => {
            Problem::new("DS024", format!("the working directory of {unit} cannot be entered"))
                .saw("directory", dir)
                .saw("reason", reason)
                .hint(format!("create it, or correct working_dir of {unit} in the manifest"))
        }
        Failure::User { user, reason } => Problem::new("DS025", format!("{unit} cannot run as user {user}"))
            .saw("reason", reason)
            .hint(format!("run devstack as root or as {user}, or remove user from {unit} in the manifest")),
        Failure::Fork { reason, crowd } => no_process(unit.as_str(), reason, crowd),
        Failure::Start { reason } => Problem::new("DS027", format!("{unit} could not be started"))
            .saw("reason", reason)
            .hint(format!("devstack events --service={}", shell_name(unit))),
        Failure::Exited { exit, was_ready, tail } => {
            let (code, when) = if *was_ready {
                ("DS029", "ended while it should run")
            } else {
                ("DS028", "ended before it was ready")
            };
            Problem::new(code, format!("{unit} {when}: {exit}"))
                .saw_lines("last lines", log(tail))
                .hint(logs_of(unit))
        }
        Failure::NotReady { .. } | Failure::Unhealthy { .. } | Failure::CrashLoop { .. } => {
            unwell(unit, failure)
        }
        Failure::Limit { breach, tail } => {
            let wider = "raise its limits in the manifest, or find out why it takes so much";
            Problem::new("DS058", format!("{unit} broke a limit and was ended"))
                .saw("limit", breach.to_string())
                .saw_lines("last lines", log(tail))
                .hint(format!("devstack events --service={}", shell_name(unit)))
                .hint(wider)
        }
        Failure::OutOfMemory { what, tail } => Problem::new("DS058", format!("{unit} was {what}"))
            .saw_lines("last lines", log(tail))
            .hint(logs_of(unit))
            .hint("raise limits.memory in the manifest, or find out why it takes so much"),
        Failure::Survived { count } => {
            let left = text::count(*count as usize, "process", "processes");
            Problem::new("DS033", format!("{left} of {unit} could not be ended"))
                .saw("state", "still alive: a new start would make two of it")
                .hint(format!("devstack ps {}", shell_name(unit)))
                .hint(format!("devstack down --force {}", shell_name(unit)))
        }
        Failure::Container { engine, trouble } => of_trouble(unit, engine.command(), trouble, dir),
        Failure::Blocked { needs } => Problem::new("DS034", format!("{unit} was not started"))
            .saw("needs", format!("{needs}, which failed or was stopped"))
            .hint(format!("devstack up {}", shell_name(needs))),
    }
}

/// The kernel refuses a new process: who fills the process table.
#[must_use]
pub fn no_process(whom: &str, reason: &str, crowd: &[(String, u32)]) -> Problem {
    Problem::new("DS026", format!("the kernel refused a new process for {whom}"))
        .saw("reason", reason)
        .saw_lines("most are", crowd.iter().map(|(who, number)| format!("{number} of {who}")))
        .hint("end what fills the process table, or raise the limit (ulimit -u)")
}

/// One line for a failure, for tables and notes.
#[must_use]
pub fn short(failure: &Failure) -> String {
    match failure {
        Failure::PortInUse { port, .. } => format!("port {port} is in use"),
        Failure::PortConflict { port, .. } => format!("port {port} is answered by another program"),
        Failure::CommandNotFound { program, .. } => format!("{program} was not found"),
        Failure::NotExecutable { program, .. } => format!("{program} cannot be executed"),
        Failure::WorkingDir { .. } => "its working directory cannot be entered".to_owned(),
        Failure::User { user, .. } => format!("cannot run as user {user}"),
        Failure::Fork { .. } => "the kernel refused a new process".to_owned(),
        Failure::Start { reason } => reason.clone(),
        Failure::Exited { exit, was_ready: false, .. } => format!("{exit} before it was ready"),
        Failure::Exited { exit, was_ready: true, .. } => exit.to_string(),
        Failure::NotReady { after_ms, .. } => format!("not ready after {}", text::span(*after_ms)),
        Failure::Unhealthy { answer, .. } => format!("unhealthy: {answer}"),
        Failure::CrashLoop { deaths, within_ms, .. } => {
            format!("died {deaths} times in {}", text::span(*within_ms))
        }
        Failure::Limit { breach, .. } => breach.to_string(),
        Failure::OutOfMemory { what, .. } => what.to_string(),
        Failure::Survived { count } => {
            format!("{} could not be ended", text::count(*count as usize, "process", "processes"))
        }
        Failure::Container { trouble, .. } => trouble.to_string(),
        Failure::Blocked { needs } => format!("needs {needs}"),
    }
}

/// Who listens on a port, as far as it is known.
#[must_use]
pub fn holder(holder: &PortHolder) -> String {
    let Some(process) = holder.process else {
        return format!("a process of {} that this user may not see", holder.user);
    };
    let command = if holder.command.is_empty() { "a process" } else { &holder.command };
    let mut text = format!("{} (pid {}, {}", text::truncate(command, 60, "…"), process.pid, holder.user);
    if let Some(dir) = &holder.dir {
        text.push_str(", ");
        text.push_str(dir);
    }
    if let Some(age) = holder.age_ms {
        text.push_str(", started ");
        text.push_str(&text::rough_span(age));
        text.push_str(" ago");
    }
    text.push(')');
    if let Some((name, dir)) = &holder.stack {
        return format!("{text}, of the devstack stack `{name}` in {dir}");
    }
    text
}

fn port_taken(problem: Problem, unit: &UnitName, port: u16, who: &PortHolder, dir: &str) -> Problem {
    port_hints(problem.saw("held by", holder(who)), unit, port, who, dir)
}

/// What to try where somebody holds a port.
pub(super) fn port_hints(
    problem: Problem,
    unit: &UnitName,
    port: u16,
    who: &PortHolder,
    dir: &str,
) -> Problem {
    let another = format!("or give {unit} another port in the manifest");
    match (&who.stack, who.process) {
        (Some((_, theirs)), _) if theirs == dir => problem.hint("devstack down"),
        (Some((_, theirs)), _) => {
            problem.hint(format!("devstack -C {} down", text::shell_path(theirs, None)))
        }
        (None, Some(process)) => match holder_of_containers(&who.command) {
            Some(asked) => {
                problem.hint(format!("{asked}    (shows which container publishes {port})")).hint(another)
            }
            None => problem.hint(format!("kill {}", process.pid)).hint(another),
        },
        (None, None) => problem.hint(format!("sudo ss -ltnp 'sport = :{port}'")).hint(another),
    }
}

/// What names the container behind a process of an engine, where it is one. To kill such a process frees no port in an orderly way, and may
/// take every container of the machine with it: nobody is told to.
fn holder_of_containers(command: &str) -> Option<&'static str> {
    const DOCKER: [&str; 8] = [
        "docker-proxy",
        "dockerd",
        "dockerd-rootless.sh",
        "containerd",
        "containerd-shim",
        "containerd-shim-runc-v2",
        "com.docker.backend",
        "vpnkit",
    ];
    const PODMAN: [&str; 5] = ["conmon", "rootlessport", "containers-rootlessport", "podman", "gvproxy"];
    // The docker of a plain user and podman both have these; which of them it is, is not to be seen.
    const BOTH: [&str; 5] = ["rootlesskit", "slirp4netns", "pasta", "pasta.avx2", "rootlessport-child"];
    let program = text::program(command);
    let is = |names: &[&str]| names.contains(&program.trim_end_matches(':'));
    if is(&BOTH) {
        Some("docker ps, or podman ps")
    } else if is(&DOCKER) {
        Some("docker ps")
    } else if is(&PODMAN) {
        Some("podman ps")
    } else {
        None
    }
}

fn not_found(unit: &UnitName, program: &str, path: &str, near: &[String]) -> Problem {
    let problem = Problem::new("DS022", format!("{program} ({unit}) was not found"));
    let problem = if path.is_empty() {
        problem.saw("looked at", format!("{program}: there is no such file"))
    } else {
        problem.saw("PATH", path)
    };
    if path.is_empty() {
        problem.hint(format!("create it, or correct command of {unit} in the manifest"))
    } else if near.is_empty() {
        problem.hint(format!("install {program}, or correct command of {unit} in the manifest"))
    } else {
        problem.saw("similar", near.join(", ")).hint(format!("correct command of {unit} in the manifest"))
    }
}

/// It ran, and was not what it should be.
fn unwell(unit: &UnitName, failure: &Failure) -> Problem {
    let problem = match failure {
        Failure::NotReady { after_ms, answers, listening, tail } => {
            let ports = listening.iter().map(|ports| {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                if ports.is_empty() { "no port".to_owned() } else { format!("port {}", ports.join(", ")) }
            });
            Problem::new("DS030", format!("{unit} was not ready after {}", text::span(*after_ms)))
                .saw_lines("asked", answers.iter().map(|(asked, got)| format!("{asked} → {got}")))
                .saw_lines("listens on", ports)
                .saw_lines("last lines", log(tail))
                .hint(format!("correct ready or health of {unit}, or raise its start_timeout"))
        }
        Failure::Unhealthy { answer, tail } => {
            Problem::new("DS031", format!("{unit} became unhealthy and was ended"))
                .saw("last answer", answer)
                .saw_lines("last lines", log(tail))
        }
        Failure::CrashLoop { deaths, within_ms, exit, tail } => {
            let within = text::span(*within_ms);
            Problem::new("DS032", format!("{unit} died {deaths} times in {within}: it is not started again"))
                .saw("last end", exit.to_string())
                .saw_lines("last lines", log(tail))
        }
        _ => Problem::new("DS027", short(failure)),
    };
    problem.hint(logs_of(unit))
}

fn log(tail: &[String]) -> Vec<String> {
    if tail.is_empty() { vec!["(its log is empty)".to_owned()] } else { tail.to_vec() }
}

pub(super) fn logs_of(unit: &UnitName) -> String {
    format!("devstack logs {}", shell_name(unit))
}

pub(super) fn shell_name(unit: &UnitName) -> String {
    text::shell_path(unit.as_str(), None)
}
