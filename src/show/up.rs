//! The answer of `up`: one table, one line, and the problems.

use super::error::{self, Problem};
use super::paint::{Paint, Tone, state_word};
use super::table::{Align, Cell, Table};
use super::{container, down, text};
use crate::domain::{Failure, Health, StackView, State, UnitName, UnitOutcome, UnitView, UpReport};

/// The table and the line below it; after a failure also what was stopped again.
#[must_use]
pub fn report(paint: &Paint, report: &UpReport, view: &StackView) -> String {
    let mut out = table(paint, report, view);
    out.push_str(&summary(paint, report, view));
    // What never ran needs no word about its end.
    if let Some(back) = report.rolled_back.as_ref().filter(|back| back.ended > 0 || !back.clean) {
        out.push_str(&paint.tone(Tone::Dim, "rolled back:"));
        out.push('\n');
        out.push_str(&down::report(paint, back));
    }
    out
}

/// One row for each unit of the request: service, state, time until ready, pid, ports.
#[must_use]
pub fn table(paint: &Paint, report: &UpReport, view: &StackView) -> String {
    let columns =
        [Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left, Align::Left];
    let mut table = Table::new(&columns).header(&["", "SERVICE", "STATE", "TIME", "PID", "PORTS", ""]);
    for (name, outcome) in &report.units {
        let unit = view.services.iter().find(|unit| unit.name == *name);
        let (symbol, tone, word) = told(paint, outcome, unit);
        // A unit that is gone again after a roll-back keeps no pid of its own.
        let running = unit.filter(|unit| unit.pid.is_some());
        let time = unit.and_then(|unit| unit.ready_ms).map(text::span).unwrap_or_default();
        let ports: Vec<String> = unit.into_iter().flat_map(|unit| &unit.ports).map(u16::to_string).collect();
        table.row(vec![
            Cell::new(tone, symbol),
            Cell::new(Tone::Strong, name.as_str()),
            Cell::new(tone, word),
            time.into(),
            running.and_then(|unit| unit.pid).map(|pid| pid.to_string()).unwrap_or_default().into(),
            ports.join(" ").into(),
            Cell::new(Tone::Dim, remark(outcome, unit)),
        ]);
    }
    table.render(paint)
}

/// How many are healthy, how long it took, the slowest chain, what was done.
#[must_use]
pub fn summary(paint: &Paint, report: &UpReport, view: &StackView) -> String {
    let marks = paint.marks();
    let total = report.units.len();
    let units =
        || report.units.iter().filter_map(|(name, _)| view.services.iter().find(|unit| unit.name == *name));
    let ready = units().filter(|unit| matches!(unit.state, State::Ready | State::Completed)).count();
    let healthy = units().filter(|unit| unit.state == State::Ready && unit.health == Health::Healthy).count();
    let how_many = match healthy {
        0 => format!("{ready} of {total} ready"),
        _ if healthy == ready => format!("{healthy} of {total} healthy"),
        _ => format!("{ready} of {total} ready, {healthy} healthy"),
    };
    let took = text::span_of_seconds(report.seconds);
    let mut parts = vec![if report.ready {
        paint.tone(Tone::Good, &format!("{how_many} in {took}"))
    } else {
        paint.tone(Tone::Bad, &format!("{} after {took}: {how_many}", ending(report)))
    }];
    if !report.slowest.is_empty() {
        let steps = report.slowest.iter().map(|(name, millis)| format!("{name} {}", text::span(*millis)));
        let chain = steps.collect::<Vec<_>>().join(&format!(" {} ", marks.arrow));
        parts.push(format!("slowest {}", paint.clean(&chain)));
    }
    let done = done(report);
    if !done.is_empty() {
        parts.push(done);
    }
    format!("{}\n", parts.join(&format!(" {} ", marks.dot)))
}

/// What went wrong, the causes first; what only waited for them comes last, in one problem.
#[must_use]
pub fn problems(report: &UpReport, dir: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut blocked: Vec<(&UnitName, &UnitName)> = Vec::new();
    for (name, outcome) in &report.units {
        match outcome {
            UnitOutcome::Failed(Failure::Blocked { needs }) | UnitOutcome::Blocked { needs } => {
                blocked.push((name, needs));
            }
            UnitOutcome::Failed(failure) => problems.push(error::of_failure(name, failure, dir)),
            UnitOutcome::Unchanged
            | UnitOutcome::Started
            | UnitOutcome::Recreated
            | UnitOutcome::Unfinished => {}
        }
    }
    match blocked.as_slice() {
        [] => {}
        [(name, needs)] => {
            let failure = Failure::Blocked { needs: (*needs).clone() };
            problems.push(error::of_failure(name, &failure, dir));
        }
        several => {
            let what = format!("{} units were not started", several.len());
            let needs = several.iter().map(|(name, needs)| format!("{name} needs {needs}"));
            problems.push(Problem::new("DS034", what).saw_lines("because", needs).hint("devstack up"));
        }
    }
    problems
}

/// One step that `up --dry-run` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The unit.
    pub name: UnitName,
    /// What would happen to it: `start`, `recreate`, `keep`.
    pub action: &'static str,
    /// Why, or what it waits for; may be empty.
    pub note: String,
}

/// What `up` would do, in order.
#[must_use]
pub fn dry_run(paint: &Paint, steps: &[Step]) -> String {
    let mut table = Table::new(&[Align::Left, Align::Left, Align::Left]).header(&["SERVICE", "WOULD", ""]);
    for step in steps {
        let tone = if step.action == "keep" { Tone::Dim } else { Tone::Plain };
        table.row(vec![
            Cell::new(Tone::Strong, step.name.as_str()),
            Cell::new(tone, step.action),
            Cell::new(Tone::Dim, step.note.clone()),
        ]);
    }
    table.render(paint)
}

/// The word for an outcome in JSON and tables.
#[must_use]
pub fn outcome_word(outcome: &UnitOutcome) -> &'static str {
    match outcome {
        UnitOutcome::Unchanged => "unchanged",
        UnitOutcome::Started => "started",
        UnitOutcome::Recreated => "recreated",
        UnitOutcome::Failed(_) => "failed",
        UnitOutcome::Blocked { .. } => "blocked",
        UnitOutcome::Unfinished => "unfinished",
    }
}

fn told(paint: &Paint, outcome: &UnitOutcome, unit: Option<&UnitView>) -> (&'static str, Tone, &'static str) {
    match (outcome, unit) {
        (UnitOutcome::Failed(_), _) => (paint.marks().bad, Tone::Bad, "failed"),
        (UnitOutcome::Blocked { .. }, _) => (paint.marks().idle, Tone::Warn, "not started"),
        (
            UnitOutcome::Unchanged | UnitOutcome::Started | UnitOutcome::Recreated | UnitOutcome::Unfinished,
            Some(unit),
        ) => {
            let (symbol, tone) = paint.state(unit.state);
            (symbol, tone, state_word(unit.state, unit.health, false))
        }
        (UnitOutcome::Unfinished, None) => (paint.marks().idle, Tone::Warn, "unfinished"),
        (UnitOutcome::Unchanged | UnitOutcome::Started | UnitOutcome::Recreated, None) => {
            (paint.marks().good, Tone::Good, "ready")
        }
    }
}

fn remark(outcome: &UnitOutcome, unit: Option<&UnitView>) -> String {
    let container = unit.and_then(|unit| unit.container.as_ref()).map(container::beside);
    match outcome {
        UnitOutcome::Started => container.unwrap_or_default(),
        UnitOutcome::Unchanged | UnitOutcome::Recreated => {
            let word = outcome_word(outcome).to_owned();
            container.map_or_else(|| word.clone(), |container| format!("{word}, {container}"))
        }
        UnitOutcome::Failed(failure) => error::short(failure),
        UnitOutcome::Blocked { needs } => format!("needs {needs}"),
        UnitOutcome::Unfinished => "not ready yet when the request ended".to_owned(),
    }
}

fn ending(report: &UpReport) -> &'static str {
    match (report.cancelled, report.timed_out) {
        (true, _) => "cancelled",
        (false, true) => "time limit reached",
        (false, false) => "failed",
    }
}

fn done(report: &UpReport) -> String {
    let number =
        |word: &str| report.units.iter().filter(|(_, outcome)| outcome_word(outcome) == word).count();
    let words = ["started", "recreated", "unchanged", "failed", "blocked", "unfinished"];
    if !report.units.is_empty() && number("unchanged") == report.units.len() {
        return "all unchanged".to_owned();
    }
    let parts = words.iter().map(|word| (number(word), word)).filter(|(number, _)| *number > 0);
    parts.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
}
