//! Does each error end with its code, in three parts? Is each command line read as it is meant?

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use super::args::{Cli, Goal, Verb};
use super::error::CliError;
use super::exit::{Code, HELP};
use crate::domain::{
    ContainerTrouble, DownReport, EngineKind, Failure, Signal, UnitName, UnitOutcome, UpReport,
};
use crate::show::Paint;

fn unit(text: &str) -> UnitName {
    UnitName::parse(text).expect("a valid name")
}

fn not_up(change: impl FnOnce(&mut UpReport)) -> CliError {
    let failure = Failure::Start { reason: "no".to_owned() };
    let mut report = UpReport {
        units: vec![(unit("api"), UnitOutcome::Failed(failure)), (unit("web"), UnitOutcome::Unfinished)],
        seconds: 1.5,
        ..UpReport::default()
    };
    change(&mut report);
    CliError::NotUp { report: Box::new(report), dir: "/shop".to_owned() }
}

fn no_service(name: &str) -> CliError {
    let known = ["postgres", "orchestrator", "validation-agent"].map(unit).to_vec();
    CliError::NoSuchService { name: name.to_owned(), known }
}

fn no_engine(trouble: ContainerTrouble) -> CliError {
    CliError::NoEngine {
        whom: "down --volumes".to_owned(),
        engine: "docker".to_owned(),
        trouble: Box::new(trouble),
    }
}

fn absent() -> ContainerTrouble {
    ContainerTrouble::NotAnswering { text: "Is the docker daemon running?".to_owned() }
}

fn unpermitted() -> ContainerTrouble {
    ContainerTrouble::NotPermitted { text: "dial unix: permission denied".to_owned() }
}

/// Units whose containers could not be had, and one that waited for them.
fn contained(troubles: &[ContainerTrouble]) -> Vec<(UnitName, UnitOutcome)> {
    let failed = |trouble: &ContainerTrouble| Failure::Container {
        engine: EngineKind::Docker,
        trouble: trouble.clone(),
    };
    let mut units: Vec<_> =
        troubles.iter().map(|trouble| (unit("db"), UnitOutcome::Failed(failed(trouble)))).collect();
    units.push((unit("api"), UnitOutcome::Blocked { needs: unit("db") }));
    units
}

/// Each error once, with the exit code that the contract gives it.
fn errors() -> Vec<(CliError, u8)> {
    let text = |text: &str| text.to_owned();
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let survived = DownReport { clean: false, ..DownReport::default() };
    let port = |name: Option<&str>, known: Vec<String>| CliError::NoSuchPort {
        service: unit("api"),
        name: name.map(str::to_owned),
        known,
    };
    vec![
        (CliError::Usage(text("`--keep` needs `up`")), 2),
        (CliError::NoManifest { from: text("/home/dev/x"), named: false }, 66),
        (CliError::NoManifest { from: text("/home/dev/x.yaml"), named: true }, 66),
        (CliError::Manifest { text: text("error[DS001]: …\n"), problems: vec![] }, 65),
        (no_service("orchestartor"), 4),
        (no_service("val"), 4),
        (no_service("zzz"), 4),
        (CliError::NoSuchService { name: text("x"), known: vec![] }, 4),
        (port(Some("grpc"), vec![text("http 3000")]), 4),
        (port(None, vec![]), 4),
        (port(None, vec![text("http 3000"), text("ws 3001")]), 4),
        (CliError::NotRunning { what: text("shop") }, 3),
        (CliError::Held { command: Some(text("devstack up")), pid: Some(77), age_ms: Some(4000) }, 7),
        (CliError::Held { command: None, pid: None, age_ms: None }, 7),
        (CliError::AlreadyRunning { what: text("shop"), found: text("it was started from /w") }, 1),
        (CliError::SupervisorDied { pid: Some(77), tail: vec![text("panicked\x1b[2J")] }, 1),
        (CliError::SupervisorDied { pid: None, tail: vec![] }, 1),
        (
            CliError::NewerState {
                path: text("/home/dev/.local/state/x.json"),
                found: 3,
                known: 1,
                supervisor: Some(77),
            },
            1,
        ),
        (no_engine(ContainerTrouble::NotInstalled { program: text("docker") }), 69),
        (no_engine(ContainerTrouble::NotAnswering { text: String::new() }), 69),
        (no_engine(ContainerTrouble::NotPermitted { text: text("permission denied") }), 77),
        (not_up(|report| report.units = contained(&[unpermitted()])), 77),
        (not_up(|report| report.units = contained(&[absent(), absent()])), 69),
        (not_up(|report| report.units = contained(&[ContainerTrouble::Removed])), 1),
        (not_up(|report| report.units = contained(&[absent(), ContainerTrouble::Removed])), 1),
        (CliError::NoRepository { dir: text("/shop"), reason: text("fatal: not a git repository") }, 1),
        (
            CliError::ForeignHook { path: text("/shop/.git/hooks/pre-commit"), line: text("devstack sweep") },
            1,
        ),
        (CliError::NotPermitted { what: text("to signal pid 7"), reason: text("owned by root") }, 77),
        (not_up(|_| ()), 1),
        (not_up(|report| report.timed_out = true), 124),
        (not_up(|report| report.cancelled = true), 130),
        (not_up(|report| report.rolled_back = Some(survived.clone())), 1),
        (not_up(|report| report.units = vec![]), 1),
        (CliError::NotClean(Box::new(survived)), 6),
        (CliError::WaitFailed { unit: unit("api"), wanted: "healthy", state: text("failed: exit 3") }, 1),
        (
            CliError::TimedOut { what: text("wait"), after_ms: 2000, waiting: vec![text("api: starting")] },
            124,
        ),
        (CliError::Interrupted(Signal::INT), 130),
        (CliError::Interrupted(Signal::TERM), 143),
        (CliError::Io { what: text("/x cannot be written"), source: denied }, 77),
        (CliError::Io { what: text("/x cannot be read"), source: io::Error::other("torn") }, 1),
        (CliError::CommandNotFound { program: text("psql"), path: text("/usr/bin:/bin") }, 127),
        (CliError::CommandNotFound { program: text("./psql"), path: String::new() }, 127),
        (CliError::NotExecutable { program: text("./my run"), reason: text("permission denied") }, 126),
        (CliError::Before(Box::new(CliError::NotRunning { what: text("db") })), 125),
        (CliError::Told(Code::Degraded), 5),
        (CliError::Bug(text("two units of one name")), 70),
    ]
}

#[test]
fn every_error_has_its_exit_code_and_three_parts() {
    let paint = Paint::plain().with_home("/home/dev");
    let mut out = String::new();
    for (error, code) in errors() {
        assert_eq!(error.code().number(), code, "{error:?}");
        for problem in error.problems() {
            assert!(!problem.evidence.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
        }
        write!(out, "[{code}]\n{}", error.render(&paint)).expect("a String takes all");
    }
    assert!(!out.contains('\x1b'), "an escape sequence passed");
    insta::assert_snapshot!(out);
}

#[test]
fn the_codes_are_those_of_the_contract() {
    let codes = [
        (Code::Done, 0),
        (Code::Failed, 1),
        (Code::Usage, 2),
        (Code::NotRunning, 3),
        (Code::NoSuchService, 4),
        (Code::Degraded, 5),
        (Code::NotClean, 6),
        (Code::Held, 7),
        (Code::Manifest, 65),
        (Code::NoManifest, 66),
        (Code::Unavailable, 69),
        (Code::Bug, 70),
        (Code::NotPermitted, 77),
        (Code::TimedOut, 124),
        (Code::Before, 125),
        (Code::NotExecutable, 126),
        (Code::NotFound, 127),
        (Code::Signal(Signal::INT), 130),
        (Code::Signal(Signal::KILL), 137),
        (Code::Signal(Signal::TERM), 143),
    ];
    let words: Vec<&str> = HELP.split_whitespace().collect();
    for (code, number) in codes {
        assert_eq!(code.number(), number);
        let told = number > 128 || words.contains(&number.to_string().as_str());
        assert!(told, "--help does not tell {number}");
    }
}

fn read(line: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"devstack").chain(line))
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn help_names_every_command_and_each_exit_code() {
    let help = Cli::command().render_help().to_string();
    for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        assert!(help.contains(&format!("\n  {:<12} ", verb.get_name())), "help lacks {}", verb.get_name());
        let about = verb.get_about().expect("has a help text").to_string();
        let short = about.split(" (").next().unwrap_or_default();
        assert!(help.contains(short), "help of {} differs: {short}", verb.get_name());
    }
    insta::assert_snapshot!(help);
}

#[test]
fn options_are_read_before_and_after_the_verb() {
    let cli = read(&[
        "-C",
        "x",
        "up",
        "api",
        "--profile",
        "a",
        "--profile",
        "b",
        "--timeout",
        "1m30s",
        "-f",
        "y.yaml",
    ])
    .expect("is read");
    assert_eq!(cli.global.dir.as_deref(), Some(std::path::Path::new("x")));
    assert_eq!(cli.file(), Some(std::path::Path::new("y.yaml")));
    let cli = read(&["-f", "y.yaml", "events", "-f"]).expect("is read");
    assert_eq!(cli.file(), Some(std::path::Path::new("y.yaml")));
    assert!(matches!(cli.verb, Verb::Events(args) if args.follow));
    let cli = read(&["-C", "x", "up", "api", "--profile", "a", "--profile", "b", "--timeout", "1m30s"])
        .expect("is read");
    let Verb::Up(up) = cli.verb else { panic!("not up") };
    assert_eq!(up.services, [unit("api")]);
    assert_eq!(up.profiles, ["a", "b"]);
    assert_eq!(up.timeout, Some(Duration::from_secs(90)));
    let Verb::Wait(wait) = read(&["wait", "--for", "completed", "migrate"]).expect("is read").verb else {
        panic!("not wait")
    };
    assert_eq!(wait.goal, Goal::Completed);
    for line in [
        vec!["down", "--force", "--timeout", "3s", "--dry-run", "--json"],
        vec!["start", "api"],
        vec!["stop", "api", "--force"],
        vec!["restart", "api"],
        vec!["ps", "--flat"],
        vec!["status", "api", "--json"],
        vec!["logs", "api"],
        vec!["events", "-f", "--since", "10m", "--service=api", "--json"],
        vec!["port", "api", "http"],
        vec!["exec", "-T", "api", "--", "npm", "test", "--", "-u"],
        vec!["url", "api"],
        vec!["check"],
        vec!["config", "--show-secrets"],
        vec!["ls", "--json"],
        vec!["completions", "fish"],
        vec!["version", "--json"],
        vec!["--color", "never", "ps"],
    ] {
        assert!(read(&line).is_ok(), "{line:?}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_why() {
    for (line, says) in [
        (vec!["up", "--timeout", "10"], "`10` has no unit: write 10s for seconds or 10ms for milliseconds"),
        (vec!["up", "--timout", "10s"], "'--timeout'"),
        (vec!["start"], "<SVC>"),
        (vec!["up", "a/b"], "a name cannot hold '/'"),
        (vec!["dwon"], "'down'"),
        (vec!["ps", "--flat", "--json"], "cannot be used with"),
        (vec!["wait", "--for", "never"], "invalid value 'never'"),
        (vec![], "Lifecycle:"),
    ] {
        let error = read(&line).expect_err("is wrong");
        assert_eq!(error.exit_code(), 2, "{line:?}");
        assert!(error.to_string().contains(says), "{line:?}: {error}");
    }
}
