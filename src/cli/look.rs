//! `ps`, `status`, `ls` and `logs`: what is there, with or without a supervisor.

use std::path::PathBuf;

use super::args::{JsonArgs, PsArgs, StatusArgs};
use super::budget;
use super::exit::{CliError, Code};
use super::logs::{self, LogsArgs, LogsError};
use super::place::{Place, Stack};
use crate::domain::WallTime;
use crate::domain::{StackView, State, UnitName};
use crate::show::event::rfc3339;
use crate::show::status::overall;
use crate::show::{Door, json, ls, ps, status};
use crate::supervisor;
use crate::sys::clock;

/// What lives has the stack's mark, and which service it is of nobody knows.
const UNRECORDED: &str = "processes of this stack live, and the record of them is lost: `devstack sweep --dry-run` shows them, \
                          `devstack down` ends them";

/// `devstack ps`
pub(super) fn ps(place: &Place, door: &Door, args: &PsArgs) -> Result<Code, CliError> {
    let mut view = view(place, door)?;
    door.warn(&view.warnings);
    door.warn(&view.alerts.iter().map(ToString::to_string).collect::<Vec<_>>());
    if !args.services.is_empty() {
        for name in &args.services {
            named(&view, name)?;
        }
        view.services.retain(|unit| args.services.contains(&unit.name));
    }
    let text = match (args.json, args.flat) {
        (true, _) => json::stack(&view)?,
        (false, true) => ps::flat(&door.out, &view),
        (false, false) => ps::tree(&door.out, &view),
    };
    door.answer(&text)?;
    Ok(Code::Done)
}

/// `devstack status`
pub(super) fn status(place: &Place, door: &Door, args: &StatusArgs) -> Result<Code, CliError> {
    let mut view = view(place, door)?;
    door.warn(&view.warnings);
    door.warn(&view.alerts.iter().map(ToString::to_string).collect::<Vec<_>>());
    door.warn(&over_budget(place, &view)?);
    let now = clock::wall();
    let text = match (&args.service, args.json) {
        (None, true) => json::stack(&view)?,
        (None, false) => status::screen(&door.out, &view, now),
        (Some(name), true) => json::service(named(&view, name)?)?,
        (Some(name), false) => status::unit(&door.out, named(&view, name)?, now),
    };
    if let Some(name) = &args.service {
        view.services.retain(|unit| unit.name == *name);
    }
    door.answer(&text)?;
    Ok(Code::of_status(overall(&view)))
}

/// The budgets that what runs exceeds, by the plan that it was started by.
fn over_budget(place: &Place, view: &StackView) -> Result<Vec<String>, CliError> {
    let Some(stack) = place.find()? else { return Ok(Vec::new()) };
    let budgets = stack.file.plan.as_ref().map(|plan| plan.budgets).unwrap_or_default();
    Ok(budget::of_stack(&stack, &budgets, view).iter().map(ToString::to_string).collect())
}

/// `devstack ls`
pub(super) fn ls(place: &Place, door: &Door, args: &JsonArgs) -> Result<Code, CliError> {
    let stacks: Vec<ls::Listed> = place.all()?.iter().map(|stack| listed(stack, door)).collect();
    let text = if args.json { json::stacks(&stacks)? } else { ls::table(&door.out, &stacks) };
    door.answer(&text)?;
    Ok(Code::Done)
}

/// `devstack logs`
pub(super) fn logs(place: &Place, door: &Door, args: &LogsArgs) -> Result<Code, CliError> {
    let stack = place.stack(door)?;
    let known: Vec<UnitName> =
        stack.file.plan.iter().flat_map(|plan| &plan.units).map(|unit| unit.name.clone()).collect();
    let wanted = args.wanted();
    let mut files: Vec<(UnitName, PathBuf)> = Vec::new();
    for name in &wanted {
        let unit = known.iter().find(|unit| unit.as_str() == *name);
        let unit =
            unit.ok_or_else(|| CliError::NoSuchService { name: (*name).to_owned(), known: known.clone() })?;
        files.push((unit.clone(), stack.dir.log(unit)));
    }
    if wanted.is_empty() {
        files = known.iter().map(|unit| (unit.clone(), stack.dir.log(unit))).collect();
    }
    let shown = logs::run(args, files, &mut std::io::stdout(), door.out.colours());
    shown.map(|()| Code::Done).map_err(logs_error)
}

/// Shows what the units write from this time on; ends when nobody reads it any more.
pub(super) fn follow_logs(files: Vec<(UnitName, PathBuf)>, since: WallTime, colour: bool) {
    let args = LogsArgs { follow: true, since: Some(rfc3339(since)), ..LogsArgs::default() };
    // Whatever ends it, the attached command has nothing more to show.
    let _ = logs::show(&args, files, &mut std::io::stdout(), colour);
}

fn logs_error(error: LogsError) -> CliError {
    match error {
        LogsError::Grep(_) | LogsError::Time { .. } => CliError::Usage(error.to_string()),
        LogsError::Read { path, source } => CliError::Io { what: path.display().to_string(), source },
        LogsError::Write(source) => CliError::Io { what: "standard output".to_owned(), source },
    }
}

/// The view of the stack here. Of one whose state was never there, or was lost, the manifest says what may be seen.
fn view(place: &Place, door: &Door) -> Result<StackView, CliError> {
    let known = place.find()?;
    if let Some(stack) = known.as_ref().filter(|stack| stack.file.plan.is_some()) {
        return stack.view(door);
    }
    let plan = place.load(door)?.plan;
    let lost = known.is_none();
    let mut stack = known.map_or_else(|| place.unmade(&plan), Ok)?;
    let unrecorded = lost && stack.file.recovered;
    let at_rest = supervisor::at_rest(&plan).services;
    stack.planned = Some(plan);
    let mut view = stack.view(door)?;
    // A supervisor that was called this moment knows of no service yet.
    let unknown =
        at_rest.into_iter().filter(|unit| view.services.iter().all(|known| known.name != unit.name));
    let unknown: Vec<_> = unknown.collect();
    view.services.extend(unknown);
    if unrecorded {
        view.warnings.push(UNRECORDED.to_owned());
    }
    Ok(view)
}

fn named<'a>(view: &'a StackView, name: &UnitName) -> Result<&'a crate::domain::UnitView, CliError> {
    view.services.iter().find(|unit| unit.name == *name).ok_or_else(|| CliError::NoSuchService {
        name: name.to_string(),
        known: view.services.iter().map(|unit| unit.name.clone()).collect(),
    })
}

fn listed(stack: &Stack, door: &Door) -> ls::Listed {
    let dir = stack.file.dir();
    let view = stack.view(door).ok();
    let units = || view.iter().flat_map(|view| &view.services);
    let wanted = |state: State| !matches!(state, State::Stopped);
    ls::Listed {
        stack: stack.file.name.clone(),
        dir: dir.display().to_string(),
        dir_exists: dir.exists(),
        supervisor: view.as_ref().and_then(|view| view.supervisor),
        ready: units().filter(|unit| matches!(unit.state, State::Ready | State::Completed)).count(),
        wanted: units().filter(|unit| wanted(unit.state)).count(),
        processes: units().map(|unit| unit.processes.len()).sum(),
        ports: units().filter(|unit| unit.pid.is_some()).flat_map(|unit| unit.ports.clone()).collect(),
    }
}
