//! The answer of `sweep`: each process with the reason it is ours, before anything is done; then what was done.

use serde::Serialize;

use super::json::{SurvivorDoc, document, rounded};
use super::paint::{Paint, Tone};
use super::table::{Align, Cell, Table};
use super::{progress, text};
use crate::domain::{Fate, ProcId, SweepReport, SweepRow};

/// What was found, and what will be done with it. Nothing where nothing was found.
#[must_use]
pub fn found(paint: &Paint, report: &SweepReport) -> String {
    if report.rows.is_empty() {
        return String::new();
    }
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[left, right, right, right, left, left, left, left])
        .header(&["", "PID", "AGE", "MEMORY", "PORT", "WHAT", "WHY", "COMMAND"])
        .uncut();
    let mut of = None;
    for row in &report.rows {
        let stack = (&row.stack, &row.dir);
        if of.replace(stack) != Some(stack) && report.rows.iter().any(|other| other.dir != row.dir) {
            table.across(vec![
                Cell::new(Tone::Dim, paint.marks().dot),
                Cell::new(Tone::Strong, row.stack.as_str()),
                Cell::new(Tone::Dim, row.dir.as_str()),
            ]);
        }
        table.row(cells(paint, row));
    }
    table.render(paint)
}

fn cells(paint: &Paint, row: &SweepRow) -> Vec<Cell> {
    let marks = paint.marks();
    let (symbol, tone, word) = match row.fate {
        Fate::End => (marks.warn, Tone::Warn, "will be ended"),
        Fate::Leave => (marks.idle, Tone::Dim, "left alone"),
        Fate::Ended => (marks.good, Tone::Good, "ended"),
        Fate::Killed => (marks.good, Tone::Good, "killed"),
        Fate::Survived => (marks.bad, Tone::Bad, "lives"),
    };
    let trace = &row.trace;
    vec![
        Cell::new(tone, symbol),
        trace.process.pid.to_string().into(),
        text::rough_span(trace.age_ms).into(),
        text::bytes(trace.memory_bytes).into(),
        progress::ports(&trace.ports).into(),
        Cell::new(tone, word),
        trace.evidence.as_str().into(),
        trace.command.as_str().into(),
    ]
}

/// The line below: what would be done, or what was done and proven.
#[must_use]
pub fn summary(paint: &Paint, report: &SweepReport) -> String {
    let alike = report.rows.iter().filter(|row| row.fate == Fate::Leave).count();
    let strays = report.rows.len() - alike;
    let mut facts = Vec::new();
    match (strays, report.dry_run) {
        (0, _) => facts.push("no strays".to_owned()),
        (_, true) => facts.push(format!("{} would be ended", text::count(strays, "process", "processes"))),
        (_, false) => {
            facts.push(format!("swept in {}", text::span_of_seconds(report.seconds)));
            let mut ended = format!("{} ended", text::count(report.ended as usize, "process", "processes"));
            if report.forced > 0 {
                ended = format!("{ended}, {} by force", report.forced);
            }
            facts.push(ended);
            let left = report.survivors.len();
            let tone = if report.clean { Tone::Good } else { Tone::Bad };
            facts.push(paint.tone(tone, &format!("{left} left")));
        }
    }
    if alike > 0 {
        facts.push(format!("{alike} left alone"));
    }
    format!("{}\n", facts.join(&format!(" {} ", paint.marks().dot)))
}

/// `sweep --json`.
pub fn json(report: &SweepReport) -> serde_json::Result<String> {
    document(&Doc {
        clean: report.clean,
        dry_run: report.dry_run,
        ended: report.ended,
        forced: report.forced,
        seconds: rounded(report.seconds),
        strays: report.rows.iter().map(RowDoc::new).collect(),
        survivors: report.survivors.iter().map(SurvivorDoc::new).collect(),
    })
}

#[derive(Serialize)]
struct Doc<'a> {
    clean: bool,
    dry_run: bool,
    ended: u32,
    forced: u32,
    seconds: f64,
    strays: Vec<RowDoc<'a>>,
    survivors: Vec<SurvivorDoc<'a>>,
}

#[derive(Serialize)]
struct RowDoc<'a> {
    stack: &'a str,
    dir: &'a str,
    pid: i32,
    start: u64,
    command: &'a str,
    age_ms: u64,
    memory_bytes: u64,
    ports: &'a [u16],
    evidence: &'a str,
    fate: Fate,
}

impl<'a> RowDoc<'a> {
    fn new(row: &'a SweepRow) -> Self {
        let ProcId { pid, start } = row.trace.process;
        Self {
            stack: row.stack.as_str(),
            dir: &row.dir,
            pid: pid.get(),
            start,
            command: &row.trace.command,
            age_ms: row.trace.age_ms,
            memory_bytes: row.trace.memory_bytes,
            ports: &row.trace.ports,
            evidence: &row.trace.evidence,
            fate: row.fate,
        }
    }
}
