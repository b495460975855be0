//! What an `up`, a `down` or a stack has exceeded, and which starts were far slower than usual.

use std::time::Duration;

use super::place::Stack;
use crate::domain::{Budgets, Excess, Remarks, SlowStart, StackView, UnitOutcome, UpReport, far_slower};
use crate::store::Starts;
use crate::supervisor;
use crate::sys::clock;
use crate::usage::Meter;

/// What is to be said of an `up` that has ended; its starts are remembered.
pub(super) fn of_up(stack: &Stack, budgets: &Budgets, report: &UpReport, view: &StackView) -> Remarks {
    let mut over: Vec<Excess> = budgets.up(span(report.seconds)).into_iter().collect();
    over.extend(of_stack(stack, budgets, view));
    Remarks { over, slow: slow_starts(stack, report, view) }
}

/// What a `down` has exceeded that took so long.
pub(super) fn of_down(budgets: &Budgets, seconds: f64) -> Vec<Excess> {
    budgets.down(span(seconds)).into_iter().collect()
}

/// What the stack exceeds now.
pub(super) fn of_stack(stack: &Stack, budgets: &Budgets, view: &StackView) -> Vec<Excess> {
    let processes = || view.services.iter().flat_map(|unit| &unit.processes).chain(&view.strays);
    let count = u32::try_from(processes().count()).unwrap_or(u32::MAX);
    let resident = processes().map(|process| process.memory_bytes).sum();
    let memory = match budgets.memory {
        // What is shared counts for each: before it is told, it is counted once.
        Some(limit) if resident > limit => proportional(stack, limit).unwrap_or(resident),
        Some(_) | None => resident,
    };
    budgets.stack(count, memory)
}

fn proportional(stack: &Stack, limit: u64) -> Option<u64> {
    let measured = supervisor::measured(&stack.dir, &stack.file).ok()?;
    let subjects: Vec<_> = measured.iter().map(supervisor::Measured::subject).collect();
    let sample = Meter::default().sample(&subjects, Some(limit), clock::moment());
    Some(sample.lives.iter().map(|life| life.memory).sum())
}

fn slow_starts(stack: &Stack, report: &UpReport, view: &StackView) -> Vec<SlowStart> {
    let path = stack.dir.starts();
    let mut starts = Starts::read(&path);
    let mut slow = Vec::new();
    for (name, outcome) in &report.units {
        let unit = view.services.iter().find(|unit| unit.name == *name);
        let began = matches!(outcome, UnitOutcome::Started | UnitOutcome::Recreated);
        let Some(took) = unit.and_then(|unit| unit.ready_ms).filter(|_| began) else { continue };
        let usual = far_slower(&starts.of(name), took);
        slow.extend(usual.map(|usual| SlowStart { unit: name.clone(), took, usual }));
        starts.note(name, took);
    }
    starts.keep(|name| view.services.iter().any(|unit| unit.name == *name));
    // Where there is no room, the next start has less to be compared with.
    let _ = starts.write(&path);
    slow
}

fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
