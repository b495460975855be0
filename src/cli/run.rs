//! `run`: a one-off command as a job of the stack, held by this very process until nothing of it is left.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use super::args::{Cli, RunArgs};
use super::exec::not_run;
use super::exit::{CliError, Code};
use super::place::{Place, Stack, working_dir};
use crate::cage;
use crate::domain::{Breach, Ceiling, Exit, Failure, OnBreach, UnitName, format_duration};
use crate::job::{self, Allowed, Order, Outcome, Refused, Turn, Why};
use crate::plan::Plan;
use crate::show::Door;
use crate::show::job::{Job, left_by_killed, line};
use crate::store::{Queue, Standing, Ticket};
use crate::sys::{self, proc, signals};

/// Between asking and SIGKILL, as for services that say nothing else.
const GRACE: Duration = Duration::from_secs(10);

/// Inherited as the caller has it: this command is no service that would take its place.
const KEPT: &str = "NOTIFY_SOCKET";

/// `devstack run`. Comes back only where the command never ran, or has ended with a code.
pub(super) fn run(place: &Place, door: &Door, cli: &Cli, args: &RunArgs) -> Result<Code, CliError> {
    match try_run(place, door, cli, args) {
        Ok(exit) => Ok(end(exit)),
        // By their own codes: whoever asked for the command learns what a shell would tell him.
        Err(
            refused @ (CliError::CommandNotFound { .. }
            | CliError::NotExecutable { .. }
            | CliError::NoPlace { .. }
            | CliError::Closing { .. }
            | CliError::Told(_)),
        ) => Err(refused),
        Err(error) => Err(CliError::Before(Box::new(error))),
    }
}

/// As the command ended, so that whoever waits sees the same.
fn end(exit: Exit) -> Code {
    match exit {
        Exit::Code(code) => Code::Command(u8::try_from(code).unwrap_or(u8::MAX)),
        Exit::Signal(signal) => {
            signals::end_self(signal);
            Code::Signal(signal)
        }
        Exit::Unknown => Code::Failed,
    }
}

fn try_run(place: &Place, door: &Door, cli: &Cli, args: &RunArgs) -> Result<Exit, CliError> {
    check(cli, args)?;
    let loaded = place.load(door)?;
    place.check_record(&loaded.plan)?;
    let (stack, plan) = (place.open(&loaded)?, loaded.plan);
    let dir = working_dir(cli)?;
    let cannot = |what: &str| {
        let what = format!("the job could not {what}");
        move |source| CliError::Io { what, source }
    };
    let leftovers = |name: &str, count: usize| door.say(&left_by_killed(name, count));
    job::clear(&stack.dir, &stack.file, &plan.secrets, leftovers)
        .map_err(cannot("end what a killed one has left"))?;
    let ticket = ticket(&stack, &plan, args)?;
    wait_in_line(&stack, &ticket, plan.limits.jobs, door, args)?;
    bring_up(cli, args)?;
    let timeout = args.timeout.or(plan.limits.job_timeout);
    let order = Order {
        dir: &stack.dir,
        stack: &stack.file,
        ticket: &ticket,
        argv: &args.command,
        environment: environment(&plan, cli, args, &ticket, &dir),
        working_dir: dir,
        timeout,
        grace: GRACE,
        allowed: allowed(&plan, args),
        secrets: &plan.secrets,
        warn: &|text| door.say(&format!("{text}\n")),
    };
    let outcome = job::run(&order).map_err(|refused| why_not(refused, &order))?;
    if !args.quiet {
        door.say(&told(door, &ticket.name, timeout, &outcome));
    }
    if outcome.why == Some(Why::TimedOut) {
        return Err(CliError::Told(Code::TimedOut));
    }
    Ok(outcome.exit)
}

/// What would be taken for something else, or for nothing.
fn check(cli: &Cli, args: &RunArgs) -> Result<(), CliError> {
    let wrong = |text: String| Err(CliError::Usage(text));
    if args.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return wrong("the name of a job is empty".to_owned());
    }
    if let Some(entry) = args.env.iter().find(|entry| entry.split('=').next().is_none_or(str::is_empty)) {
        return wrong(format!("`{entry}` names no variable"));
    }
    match &cli.global.dir {
        Some(dir) if !dir.is_dir() => wrong(format!("there is no directory {}", dir.display())),
        Some(_) | None => Ok(()),
    }
}

/// Its own limits are the command line's; those of the stack hold for services and jobs together.
fn allowed(plan: &Plan, args: &RunArgs) -> Allowed {
    let own = Ceiling { memory: args.memory, cpus_milli: args.cpus, pids: args.pids };
    Allowed { own, stack: plan.limits.ceiling(), interval: plan.monitor.interval }
}

fn ticket(stack: &Stack, plan: &Plan, args: &RunArgs) -> Result<Ticket, CliError> {
    let name = args.name.clone().unwrap_or_else(|| job::name_of(&args.command));
    let known = |name: &str| plan.units.iter().any(|unit| unit.name.as_str() == name);
    let first = job::unit_name(&name, |_| false)
        .ok_or_else(|| CliError::Usage(format!("`{name}` cannot be the name of a job")))?;
    let unseen = || std::io::Error::other("the process table does not show this process");
    let run = proc::own_id().ok_or_else(unseen)?;
    let queue = Queue::of(&stack.dir);
    let records = crate::store::read_records(&stack.dir).unwrap_or_default();
    let recorded = |name: &str| records.iter().any(|record| record.intent.plan.name.as_str() == name);
    let line = proc::ancestors(run.pid.get());
    let joined = queue.join(run, &line, |all| {
        let taken =
            |name: &str| known(name) || recorded(name) || all.iter().any(|one| one.name.as_str() == name);
        job::unit_name(&name, taken).unwrap_or_else(|| first.clone())
    });
    joined.map_err(|source| CliError::Io {
        what: "the job could not take its place in line".to_owned(),
        source,
    })
}

fn wait_in_line(
    stack: &Stack,
    ticket: &Ticket,
    places: Option<u32>,
    door: &Door,
    args: &RunArgs,
) -> Result<(), CliError> {
    let told = |running: &[Standing]| {
        let names: Vec<String> = running.iter().map(shown).collect();
        let (count, places) = (running.len(), places.unwrap_or_default());
        door.say(&format!("waiting for a place: {count} of {places} jobs run ({})\n", names.join(", ")));
    };
    match job::await_turn(&Queue::of(&stack.dir), ticket, places, !args.no_wait, told)? {
        Turn::Ours => Ok(()),
        Turn::Taken(running) => {
            let running = running.iter().map(shown).collect();
            Err(CliError::NoPlace { places: places.unwrap_or_default(), running })
        }
        Turn::Closed => Err(closing(ticket)),
    }
}

fn closing(ticket: &Ticket) -> CliError {
    let name = ticket.name.as_str();
    CliError::Closing { job: name.strip_prefix("job ").unwrap_or(name).to_owned() }
}

/// `vitest 4211`.
fn shown(one: &Standing) -> String {
    let name = one.name.as_str();
    format!("{} {}", name.strip_prefix("job ").unwrap_or(name), one.run.pid)
}

/// The services that it needs: by a command of its own, before this process becomes the parent of all that is born below.
fn bring_up(cli: &Cli, args: &RunArgs) -> Result<(), CliError> {
    if args.with.is_empty() {
        return Ok(());
    }
    let mut up = sys::itself();
    if let Some(dir) = &cli.global.dir {
        up.arg("-C").arg(dir);
    }
    if let Some(file) = cli.file() {
        up.arg("-f").arg(file);
    }
    // Standard output is the command's own.
    up.arg("up").args(args.with.iter().map(UnitName::as_str)).stdin(Stdio::null()).stdout(Stdio::null());
    if up.status()?.success() { Ok(()) } else { Err(CliError::Told(Code::Before)) }
}

/// The caller's, above it the stack's, above it the command line's.
fn environment(
    plan: &Plan,
    cli: &Cli,
    args: &RunArgs,
    ticket: &Ticket,
    dir: &std::path::Path,
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for mark in cage::MARKS.iter().filter(|name| **name != KEPT) {
        all.remove(std::ffi::OsStr::new(mark));
    }
    for (name, value) in &plan.environment {
        match value {
            Some(value) => all.insert(name.into(), value.into()),
            None => all.remove(std::ffi::OsStr::new(name)),
        };
    }
    all.extend(args.env.iter().filter_map(|entry| super::exec::variable(entry)));
    let name = ticket.name.as_str();
    all.insert("DEVSTACK_JOB".into(), name.strip_prefix("job ").unwrap_or(name).into());
    if cli.global.dir.is_some() {
        all.insert("PWD".into(), dir.into());
    }
    all
}

fn why_not(refused: Refused, order: &Order<'_>) -> CliError {
    match refused {
        Refused::Program(error) => {
            let program = order.argv[0].to_string_lossy();
            let path = order.environment.get(std::ffi::OsStr::new("PATH"));
            not_run(&program, &path.map(|path| path.to_string_lossy()).unwrap_or_default(), &error)
        }
        Refused::WorkingDir(error) => {
            let dir = order.working_dir.display().to_string();
            let failure = Box::new(Failure::WorkingDir { dir, reason: error.to_string() });
            CliError::Unit { unit: order.ticket.name.clone(), failure }
        }
        Refused::GivenUp => closing(order.ticket),
        Refused::Own(what, source) => CliError::Io { what: format!("the job could not {what}"), source },
    }
}

fn told(door: &Door, name: &UnitName, timeout: Option<Duration>, outcome: &Outcome) -> String {
    let left: Vec<(i32, String, bool)> = outcome
        .left
        .iter()
        .map(|left| (left.process.pid.get(), left.command.clone(), left.survives))
        .collect();
    let why = outcome.why.map(|why| match why {
        Why::TimedOut => {
            format!("time limit of {}", format_duration(timeout.unwrap_or_default()))
        }
        Why::Asked(signal) => format!("{signal} to devstack run"),
        Why::Over => "over its limits".to_owned(),
    });
    let killed = outcome.out_of_memory.map(|what| what.of_some());
    let name = name.as_str();
    let job = Job {
        name: name.strip_prefix("job ").unwrap_or(name),
        exit: outcome.exit,
        why,
        took_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        memory: outcome.peaks.memory,
        at_most: outcome.peaks.at_most,
        processes: outcome.peaks.processes,
        left: &left,
        broken: outcome.breaches.iter().map(broken).chain(killed).collect(),
    };
    line(&door.err, &job)
}

/// `over its limit of processes: 31 of 10, most of it sh (pid 4711): ended`.
fn broken(breach: &Breach) -> String {
    let what = if breach.action == OnBreach::KillCulprit { "ended" } else { "the job was ended" };
    format!("{breach}: {what}")
}
