//! `wait`: returns when services are in a state, told by the supervisor's events; without one, as ledger and kernel show it.

use std::time::Duration;

use super::args::{Goal, WaitArgs};
use super::exit::{CliError, Code};
use super::place::{Place, Stack, block_on};
use super::reach::{self, Wake};
use super::talk::take_in;
use crate::control::{Client, ClientError, Lines, Told};
use crate::domain::{Health, State, UnitName, UnitView};
use crate::show::Door;
use crate::supervisor;

/// What one unit's state means for the goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Reached,
    Coming,
    Never,
}

/// Runs the verb.
pub(super) fn run(place: &Place, door: &Door, args: &WaitArgs) -> Result<Code, CliError> {
    let stack = match place.stack(door) {
        // What was never started is stopped.
        Err(CliError::NotRunning { .. }) if args.goal == Goal::Stopped => return Ok(Code::Done),
        stack => stack?,
    };
    let wait = watch(&stack, door, args);
    block_on(async {
        match args.timeout {
            None => wait.await,
            Some(limit) => match tokio::time::timeout(limit, wait).await {
                Ok(done) => done,
                Err(_) => Err(timed_out(&stack, args, limit).await),
            },
        }
    })?
}

async fn watch(stack: &Stack, door: &Door, args: &WaitArgs) -> Result<Code, CliError> {
    loop {
        let asked = reach::answer(stack, door, Wake::No, async {
            Client::connect(&stack.dir.socket()).await?.watch("/v1/watch").await
        });
        match asked.await {
            Ok(lines) => {
                if let Some(code) = told(stack, args, lines).await? {
                    return Ok(code);
                }
            }
            Err(ClientError::Absent) => {}
            Err(error) => return Err(stack.client_error(error)),
        }
        // Nobody tells: what runs is seen as `ps` sees it. Whoever takes it over meanwhile is asked.
        let units = supervisor::look(&stack.dir, &stack.file, None).await?.services;
        if units.iter().all(|unit| unit.processes.is_empty()) {
            return match args.goal {
                Goal::Stopped => Ok(Code::Done),
                Goal::Ready | Goal::Healthy | Goal::Completed => {
                    Err(CliError::NotRunning { what: stack.file.name.to_string() })
                }
            };
        }
        if let Some(code) = judge(&units, args, unwatched)? {
            return Ok(code);
        }
        tokio::time::sleep(reach::LOOK).await;
    }
}

/// What the supervisor tells, until it comes to something; nothing where it ends before that, as it does with its stack.
async fn told(stack: &Stack, args: &WaitArgs, mut lines: Lines) -> Result<Option<Code>, CliError> {
    let mut units: Vec<UnitView> = Vec::new();
    loop {
        match lines.next().await {
            Ok(Some(Told::Changed { units: changed })) => take_in(&mut units, changed),
            Ok(Some(Told::Accepted { .. } | Told::Reply(_))) => continue,
            Ok(None) => return Ok(None),
            Err(error) => return Err(stack.client_error(error)),
        }
        if let Some(code) = judge(&units, args, progress)? {
            return Ok(Some(code));
        }
    }
}

/// What these units come to: nothing yet, done, or what cannot come.
fn judge(
    units: &[UnitView],
    args: &WaitArgs,
    progress: fn(&UnitView, Goal) -> Progress,
) -> Result<Option<Code>, CliError> {
    if let Some(unknown) = args.services.iter().find(|name| units.iter().all(|unit| unit.name != **name)) {
        let known = units.iter().map(|unit| unit.name.clone()).collect();
        return Err(CliError::NoSuchService { name: unknown.to_string(), known });
    }
    let waited = || units.iter().filter(|unit| meant(unit, args));
    if let Some(lost) = waited().find(|unit| progress(unit, args.goal) == Progress::Never) {
        return Err(CliError::WaitFailed {
            unit: lost.name.clone(),
            wanted: args.goal.word(),
            state: lost.state.word().to_owned(),
        });
    }
    Ok(waited().all(|unit| progress(unit, args.goal) == Progress::Reached).then_some(Code::Done))
}

/// Without names: all that the last `up` wanted.
fn meant(unit: &UnitView, args: &WaitArgs) -> bool {
    if args.services.is_empty() {
        return args.goal == Goal::Stopped || unit.state != State::Stopped;
    }
    args.services.contains(&unit.name)
}

fn progress(unit: &UnitView, goal: Goal) -> Progress {
    match (goal, unit.state) {
        (Goal::Ready, State::Ready | State::Unhealthy | State::Completed)
        | (Goal::Healthy | Goal::Completed, State::Completed)
        | (Goal::Stopped, State::Stopped | State::Completed | State::Failed) => Progress::Reached,
        (Goal::Healthy, State::Ready) if unit.health != Health::Unhealthy => Progress::Reached,
        (Goal::Ready | Goal::Healthy | Goal::Completed, State::Failed | State::Stopped) => Progress::Never,
        (
            Goal::Ready | Goal::Healthy | Goal::Completed | Goal::Stopped,
            State::Queued
            | State::Starting
            | State::Ready
            | State::Unhealthy
            | State::Backoff
            | State::Stopping,
        ) => Progress::Coming,
    }
}

/// Without a supervisor: nobody asks a service how it is.
fn unwatched(unit: &UnitView, goal: Goal) -> Progress {
    match (goal, unit.health) {
        (Goal::Healthy, Health::Unknown) if unit.state == State::Ready => Progress::Never,
        _ => progress(unit, goal),
    }
}

async fn timed_out(stack: &Stack, args: &WaitArgs, limit: Duration) -> CliError {
    let mut waiting = Vec::new();
    let view = match Client::connect(&stack.dir.socket()).await {
        Ok(mut client) => client.get::<crate::domain::StackView>("/v1/stack").await.ok(),
        Err(_) => supervisor::look(&stack.dir, &stack.file, None).await.ok(),
    };
    if let Some(view) = view {
        let late = view.services.iter().filter(|unit| meant(unit, args));
        let late = late.filter(|unit| progress(unit, args.goal) != Progress::Reached);
        waiting = late.map(|unit| format!("{} ({})", unit.name, unit.state.word())).collect();
    }
    let names: Vec<&str> = args.services.iter().map(UnitName::as_str).collect();
    let what = if names.is_empty() { "wait".to_owned() } else { format!("wait {}", names.join(" ")) };
    CliError::TimedOut { what, after_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), waiting }
}
