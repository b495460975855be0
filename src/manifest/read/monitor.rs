//! `monitor` and `budgets`: what is told when it is exceeded.

use crate::manifest::node::Entry;
use crate::manifest::{Budgets, Monitor};

use super::reader::{Line, Reader, Use};

const MONITOR: &[Line<Monitor>] =
    &[("interval", Use::Read(|r, m, e| m.interval = r.text(e))), ("alert", Use::Read(alert))];

const ALERT: &[Line<Monitor>] = &[
    ("memory", Use::Read(|r, m, e| m.memory = r.text(e))),
    ("pids", Use::Read(|r, m, e| m.pids = r.text(e))),
];

const BUDGETS: &[Line<Budgets>] = &[
    ("up", Use::Read(|r, b, e| b.up = r.text(e))),
    ("down", Use::Read(|r, b, e| b.down = r.text(e))),
    ("memory", Use::Read(|r, b, e| b.memory = r.text(e))),
    ("processes", Use::Read(|r, b, e| b.processes = r.text(e))),
];

pub(super) fn monitor(reader: &mut Reader<'_>, entry: &Entry) -> Monitor {
    let mut monitor = Monitor::default();
    if let Some(entries) = reader.map("monitor", &entry.value) {
        reader.entries(entries, "`monitor`", &[MONITOR], &mut monitor);
    }
    monitor
}

fn alert(reader: &mut Reader<'_>, monitor: &mut Monitor, entry: &Entry) {
    if let Some(entries) = reader.map("alert", &entry.value) {
        reader.entries(entries, "`alert`", &[ALERT], monitor);
    }
}

pub(super) fn budgets(reader: &mut Reader<'_>, entry: &Entry) -> Budgets {
    let mut budgets = Budgets::default();
    if let Some(entries) = reader.map("budgets", &entry.value) {
        reader.entries(entries, "`budgets`", &[BUDGETS], &mut budgets);
    }
    budgets
}
