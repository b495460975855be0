//! `events --why`: why a service is in the state that it is in.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Look;
use crate::cli::exit::{CliError, Code};
use crate::cli::place::Stack;
use crate::domain::UnitName;
use crate::history::{Because, Filter, Kind, Known, why};
use crate::plan::Plan;
use crate::show::{Door, json};
use crate::store::{JournalReader, read_line};
use crate::supervisor;

/// What tells of a cause.
const KINDS: [Kind; 6] = [Kind::Start, Kind::Health, Kind::Exit, Kind::Signal, Kind::Breach, Kind::Adopt];

#[derive(Serialize)]
struct Answer {
    services: Vec<Because>,
}

pub(super) fn run(
    stack: &Stack,
    door: &Door,
    mut journal: JournalReader,
    unit: &UnitName,
    as_json: bool,
) -> Result<Code, CliError> {
    let plan = stack.file.plan.as_ref();
    let requests = Filter::new(&[Kind::Request], &[], None, None);
    let units = Filter::new(&KINDS, &concerned(unit, plan), None, None);
    let mut lines = Vec::new();
    let torn = journal.read_bytes(|bytes| {
        if !requests.may_pass(bytes) && !units.may_pass(bytes) {
            return true;
        }
        let line = read_line(bytes);
        let read = line.is_some();
        lines.extend(line);
        read
    })?;
    if torn > 0 {
        door.say("lines of the journal cannot be read: what they told is missing here\n");
    }
    let mut view = stack.view(door)?;
    // A supervisor that was never asked for a service knows nothing of it.
    let at_rest = plan.into_iter().flat_map(|plan| supervisor::at_rest(plan).services);
    let missing: Vec<_> =
        at_rest.filter(|unit| view.services.iter().all(|known| known.name != unit.name)).collect();
    view.services.extend(missing);
    let look = Look::new(door, stack);
    let clock = |at| look.time(at);
    let services = why(unit, &Known { views: &view.services, plan, lines: &lines, clock: &clock });
    let text = if as_json {
        json::document(&Answer { services })?
    } else {
        services.iter().map(|because| door.out.clean(&because.to_string()) + "\n").collect()
    };
    door.answer(&text)?;
    Ok(Code::Done)
}

/// The unit and all that it needs: one of them may be the cause.
fn concerned(unit: &UnitName, plan: Option<&Plan>) -> Vec<UnitName> {
    let mut found = BTreeSet::new();
    let mut next = vec![unit.clone()];
    while let Some(name) = next.pop() {
        let planned = plan.into_iter().flat_map(|plan| &plan.units).find(|unit| unit.name == name);
        if found.insert(name) {
            next.extend(planned.into_iter().flat_map(|unit| &unit.depends_on).map(|need| need.unit.clone()));
        }
    }
    found.into_iter().collect()
}
