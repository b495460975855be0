//! `ps`: every process of every service, as a tree by parentage or as a flat table.

use std::collections::{BTreeMap, BTreeSet};

use super::paint::{Paint, Tone, state_word};
use super::table::{Align, Cell, Table};
use super::{container, progress, text};
use crate::domain::{FoundBy, ProcessView, StackView, State, UnitView};

/// The processes under their services, children under their parents, with the reason where it is not parentage.
#[must_use]
pub fn tree(paint: &Paint, view: &StackView) -> String {
    let reasons = all(view).any(|process| !is_plain(process.found_by));
    let mut columns = vec![Align::Right; 6];
    let mut header = vec!["PID", "PGID", "SID", "CPU", "MEMORY", "AGE"];
    if reasons {
        columns.push(Align::Left);
        header.push("FOUND BY");
    }
    columns.push(Align::Left);
    header.push("COMMAND");
    let mut table = Table::new(&columns).spaced(2, 2);
    if all(view).next().is_some() {
        table = table.header(&header);
    }
    for unit in &view.services {
        table.across(unit_line(paint, unit));
        rows(paint, &mut table, &unit.processes, reasons);
    }
    if !view.strays.is_empty() {
        let count = text::count(view.strays.len(), "process", "processes");
        table.across(vec![
            Cell::new(Tone::Warn, paint.marks().warn),
            Cell::new(Tone::Strong, "strays"),
            Cell::new(Tone::Warn, format!("{count} outside every service")),
        ]);
        rows(paint, &mut table, &view.strays, reasons);
    }
    format!("{}{}", stack_line(paint, view), table.render(paint))
}

/// One row for each process, for `grep` and `awk`.
#[must_use]
pub fn flat(paint: &Paint, view: &StackView) -> String {
    let right = Align::Right;
    let columns = [Align::Left, right, right, right, right, right, right, right, Align::Left, Align::Left];
    let header = ["SERVICE", "PID", "PPID", "PGID", "SID", "CPU", "MEMORY", "AGE", "FOUND BY", "COMMAND"];
    let mut table = Table::new(&columns).header(&header);
    let of_units =
        view.services.iter().flat_map(|unit| unit.processes.iter().map(|p| (unit.name.as_str(), p)));
    for (service, process) in of_units.chain(view.strays.iter().map(|process| ("(stray)", process))) {
        let mut cells = vec![
            Cell::new(Tone::Strong, service),
            process.pid.to_string().into(),
            process.ppid.to_string().into(),
        ];
        cells.extend([process.pgid, process.sid].map(|number| number.to_string().into()));
        cells.extend(figures(process));
        cells.push(reason(process.found_by).into());
        cells.push(process.command.clone().into());
        table.row(cells);
    }
    table.render(paint)
}

/// The word for a reason, the same as in JSON.
#[must_use]
pub fn reason(found_by: FoundBy) -> &'static str {
    match found_by {
        FoundBy::Leader => "leader",
        FoundBy::Parentage => "parentage",
        FoundBy::Cgroup => "cgroup",
        FoundBy::Ledger => "ledger",
        FoundBy::Session => "session",
        FoundBy::Mark => "mark",
        FoundBy::Pattern => "pattern",
        FoundBy::Container => "container",
    }
}

/// Name, directory and supervisor of the stack.
pub(super) fn stack_line(paint: &Paint, view: &StackView) -> String {
    let supervisor = match view.supervisor {
        Some(pid) => Cell::new(Tone::Dim, format!("supervisor {pid}")),
        None => Cell::new(Tone::Warn, "no supervisor"),
    };
    let mut table = Table::new(&[]);
    table.across(vec![
        Cell::new(Tone::Strong, view.stack.as_str()),
        Cell::from(format!(" {}", view.dir)),
        supervisor,
    ]);
    table.render(paint)
}

fn unit_line(paint: &Paint, unit: &UnitView) -> Vec<Cell> {
    let (symbol, tone) = paint.state(unit.state);
    let word = state_word(unit.state, unit.health, unit.note.is_some());
    let mut line =
        vec![Cell::new(tone, symbol), Cell::new(Tone::Strong, unit.name.as_str()), Cell::new(tone, word)];
    if let Some(container) = &unit.container {
        line.push(Cell::new(Tone::Plain, container::beside(container)));
        if !unit.processes.is_empty() {
            line.push(Cell::new(Tone::Dim, container.name.as_str()));
        }
    }
    if !unit.ports.is_empty() && !unit.processes.is_empty() {
        line.push(progress::ports(&unit.ports).into());
    }
    if unit.restarts > 0 {
        line.push(Cell::new(Tone::Warn, text::count(unit.restarts as usize, "restart", "restarts")));
    }
    let end = unit.exit.filter(|_| unit.processes.is_empty() && unit.state != State::Completed);
    if let Some(note) = unit.note.clone().or_else(|| end.map(|exit| exit.to_string())) {
        line.push(Cell::new(Tone::Dim, note));
    }
    line
}

fn rows(paint: &Paint, table: &mut Table, processes: &[ProcessView], reasons: bool) {
    for (depth, process) in in_order(paint, processes) {
        let mut cells: Vec<Cell> =
            [process.pid, process.pgid, process.sid].map(|number| number.to_string().into()).into();
        cells.extend(figures(process));
        if reasons {
            let why = if is_plain(process.found_by) { "" } else { reason(process.found_by) };
            cells.push(Cell::new(Tone::Warn, why));
        }
        cells.push(Cell::from(format!("{depth}{}", process.command)));
        table.row(cells);
    }
}

/// Deeper than this, the branches in front of a command line grow no more.
const MAX_DEPTH: usize = 24;

/// Parents before their children, each with the branches in front of it.
fn in_order<'a>(paint: &Paint, processes: &'a [ProcessView]) -> Vec<(String, &'a ProcessView)> {
    let known: BTreeSet<i32> = processes.iter().map(|process| process.pid).collect();
    let mut children: BTreeMap<i32, Vec<&ProcessView>> = BTreeMap::new();
    let mut open: Vec<(String, String, usize, &ProcessView)> = Vec::new();
    for process in processes {
        if !known.contains(&process.ppid) || process.ppid == process.pid {
            open.push((String::new(), String::new(), 0, process));
        } else {
            children.entry(process.ppid).or_default().push(process);
        }
    }
    open.reverse();
    let marks = paint.marks();
    let mut out = Vec::with_capacity(processes.len());
    // A stack and not a recursion: a chain of ten thousand parents is a fork bomb's normal shape.
    while let Some((own, below, depth, process)) = open.pop() {
        let born = children.remove(&process.pid).unwrap_or_default();
        let last = born.len().saturating_sub(1);
        for (at, child) in born.into_iter().enumerate().rev() {
            let (branch, bar) = if at == last { (marks.last, "   ") } else { (marks.branch, marks.pipe) };
            let deeper = if depth < MAX_DEPTH { format!("{below}{bar}") } else { below.clone() };
            open.push((format!("{below}{branch}"), deeper, depth + 1, child));
        }
        out.push((own, process));
    }
    // Two snapshots of a changing world can hold a circle: nothing of it may be lost.
    let circle = children.into_values().flatten();
    out.extend(circle.map(|process| (String::new(), process)));
    out
}

fn figures(process: &ProcessView) -> [Cell; 3] {
    [
        format!("{:.1}%", process.cpu_percent).into(),
        text::bytes(process.memory_bytes).into(),
        text::rough_span(process.age_ms).into(),
    ]
}

fn is_plain(found_by: FoundBy) -> bool {
    matches!(found_by, FoundBy::Leader | FoundBy::Parentage)
}

fn all(view: &StackView) -> impl Iterator<Item = &ProcessView> {
    view.services.iter().flat_map(|unit| &unit.processes).chain(&view.strays)
}
