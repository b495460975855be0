//! Figures: medians, the table, the JSON document.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Trouble, say};

/// What a figure should reach.
pub(crate) enum Goal {
    /// At most this, in the figure's own unit.
    AtMost(f64),
    /// At most the bare launcher's figure and this.
    AboveBare(f64),
    /// At most this many times the bare launcher's figure.
    TimesBare(f64),
    /// At least this share of the bare speed.
    SpeedOfBare(f64),
    None,
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// Each run of devstack.
    pub(crate) devstack: Vec<f64>,
    /// Each run of what it is measured against; empty where there is nothing.
    pub(crate) bare: Vec<f64>,
    pub(crate) goal: Goal,
    /// What else was seen.
    pub(crate) note: String,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, goal: Goal) -> Self {
        Self { what: what.into(), unit, devstack: Vec::new(), bare: Vec::new(), goal, note: String::new() }
    }

    /// Whether the goal is reached; nothing where there is none.
    fn met(&self) -> Option<bool> {
        let (ours, bare) = (median(&self.devstack)?, median(&self.bare));
        match self.goal {
            Goal::AtMost(limit) => Some(ours <= limit),
            Goal::AboveBare(more) => Some(ours <= bare? + more),
            Goal::TimesBare(times) => Some(ours <= bare? * times),
            Goal::SpeedOfBare(share) => Some(bare? / ours >= share),
            Goal::None => None,
        }
    }

    fn goal_text(&self) -> String {
        let unit = self.unit;
        match self.goal {
            Goal::AtMost(limit) => format!("≤ {limit} {unit}"),
            Goal::AboveBare(more) => format!("≤ bare + {more} {unit}"),
            Goal::TimesBare(times) => format!("≤ {times} × bare"),
            Goal::SpeedOfBare(share) => format!("≥ {share} of bare speed"),
            Goal::None => String::new(),
        }
    }

    fn json(&self) -> Value {
        let side = |runs: &[f64]| median(runs).map(|median| json!({"median": median, "runs": runs}));
        json!({
            "what": self.what,
            "unit": self.unit,
            "devstack": side(&self.devstack),
            "bare": side(&self.bare),
            "ratio": ratio(self),
            "goal": self.goal_text(),
            "met": self.met(),
            "note": self.note,
        })
    }
}

/// All figures of one run.
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// Takes a figure and shows it at once: a run takes minutes.
    pub(crate) fn add(&mut self, row: Row) {
        if self.rows.is_empty() {
            let head = format!(
                "{:<34} {:>10} {:>10} {:>7}  {:<22} {}",
                "", "devstack", "bare", "ratio", "goal", "runs (min to max)"
            );
            say(&head);
        }
        say(&line(&row));
        self.rows.push(row);
    }

    /// Writes the document; tells whether every goal was reached.
    pub(crate) fn finish(self, path: &Path) -> Result<bool, Trouble> {
        let met = self.rows.iter().all(|row| row.met() != Some(false));
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cores = std::thread::available_parallelism()?.get();
        let document = json!({
            "schema": "devstack-bench/v1",
            "kernel": kernel.trim(),
            "cores": cores,
            "rows": rows,
        });
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, format!("{document:#}\n"))?;
        say(&format!("\n{cores} cores, Linux {}; figures in {}", kernel.trim(), path.display()));
        Ok(met)
    }
}

/// Milliseconds.
pub(crate) fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

pub(crate) fn median(runs: &[f64]) -> Option<f64> {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

fn ratio(row: &Row) -> Option<f64> {
    Some(median(&row.devstack)? / median(&row.bare)?)
}

fn line(row: &Row) -> String {
    let figure =
        |runs: &[f64]| median(runs).map_or(String::new(), |value| format!("{value:.2} {}", row.unit));
    let ratio = ratio(row).map_or(String::new(), |ratio| format!("{ratio:.2}"));
    let verdict = match row.met() {
        Some(true) => "✓ ",
        Some(false) => "✗ ",
        None => "",
    };
    let goal = format!("{verdict}{}", row.goal_text());
    let least = row.devstack.iter().copied().fold(f64::INFINITY, f64::min);
    let most = row.devstack.iter().copied().fold(0.0, f64::max);
    let runs = format!("{} ({least:.2} to {most:.2})", row.devstack.len());
    let note = if row.note.is_empty() { String::new() } else { format!("  {}", row.note) };
    let (ours, bare) = (figure(&row.devstack), figure(&row.bare));
    format!("{:<34} {ours:>10} {bare:>10} {ratio:>7}  {goal:<22} {runs}{note}", row.what)
}
