//! `status`: the stack on one screen, and what it comes to.

use super::paint::{Paint, Tone, state_word};
use super::table::{Align, Cell, Table};
use super::{container, ps, text};
use crate::domain::{Health, StackView, State, UnitKind, UnitView, WallTime};

/// What a stack's state comes to; the exit code of `status` follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overall {
    /// All that is wanted is ready.
    Ready,
    /// Something runs, and something is not as wanted.
    Degraded,
    /// Nothing runs.
    NotRunning,
}

/// Sums up a view. A unit that is stopped as wanted does not count, unless all are.
#[must_use]
pub fn overall(view: &StackView) -> Overall {
    let good = |unit: &UnitView| matches!(unit.state, State::Ready | State::Completed | State::Stopped);
    let lives = |unit: &UnitView| {
        !unit.processes.is_empty() || !matches!(unit.state, State::Stopped | State::Completed | State::Failed)
    };
    let failed = view.services.iter().any(|unit| unit.state == State::Failed);
    // Without a supervisor a failure is history: nothing of the stack is there to be degraded.
    let over = view.supervisor.is_none() || !failed;
    if !view.services.iter().any(lives) && view.strays.is_empty() && over {
        Overall::NotRunning
    } else if view.services.iter().all(good) && view.strays.is_empty() && unheld(view).is_none() {
        Overall::Ready
    } else {
        Overall::Degraded
    }
}

/// What runs and is not held any more, and what mends that.
fn unheld(view: &StackView) -> Option<&'static str> {
    let lives = |unit: &&UnitView| !unit.processes.is_empty();
    let (jobs, services): (Vec<_>, Vec<_>) =
        view.services.iter().filter(lives).partition(|unit| unit.kind == UnitKind::Job);
    if view.supervisor.is_none() && !services.is_empty() {
        // Neither health, restarts nor limits.
        return Some("nobody watches what runs: devstack up does again");
    }
    // Only of one that is not held there is something to say.
    jobs.iter().any(|job| job.note.is_some()).then_some("a job is not held: devstack down ends it")
}

/// One row for each unit and a line that sums up.
#[must_use]
pub fn screen(paint: &Paint, view: &StackView, now: WallTime) -> String {
    let columns = [
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Left,
    ];
    let header = ["", "SERVICE", "STATE", "PID", "PORTS", "UP", "RESTARTS", ""];
    let mut table = Table::new(&columns).header(&header);
    for unit in &view.services {
        let (symbol, tone) = paint.state(unit.state);
        let restarts = if unit.restarts > 0 { unit.restarts.to_string() } else { String::new() };
        table.row(vec![
            Cell::new(tone, symbol),
            Cell::new(Tone::Strong, unit.name.as_str()),
            Cell::new(tone, state_word(unit.state, unit.health, unit.note.is_some())),
            unit.pid.map(|pid| pid.to_string()).unwrap_or_default().into(),
            ports(unit).into(),
            uptime(unit, now).into(),
            Cell::new(Tone::Warn, restarts),
            Cell::new(Tone::Dim, remark(unit)),
        ]);
    }
    format!("{}{}{}", ps::stack_line(paint, view), table.render(paint), summary(paint, view))
}

/// All about one unit.
#[must_use]
pub fn unit(paint: &Paint, unit: &UnitView, now: WallTime) -> String {
    let (symbol, tone) = paint.state(unit.state);
    let word = state_word(unit.state, unit.health, unit.note.is_some());
    let mut table = Table::new(&[Align::Left, Align::Left]);
    table.across(vec![
        Cell::new(tone, symbol),
        Cell::new(Tone::Strong, unit.name.as_str()),
        Cell::new(tone, word),
    ]);
    let mut fact = |label: &str, text: String| {
        if !text.is_empty() {
            table.row(vec![Cell::new(Tone::Dim, format!("  {label}")), text.into()]);
        }
    };
    fact("note", unit.note.clone().unwrap_or_default());
    fact(
        "kind",
        match unit.kind {
            UnitKind::Service => "service".to_owned(),
            UnitKind::Task => "task".to_owned(),
            UnitKind::Job => "job".to_owned(),
        },
    );
    fact(
        "health",
        match unit.health {
            Health::None => "no check".to_owned(),
            Health::Unknown => "not known yet".to_owned(),
            Health::Healthy => "healthy".to_owned(),
            Health::Unhealthy => "unhealthy".to_owned(),
        },
    );
    if let Some(pid) = unit.pid {
        let group = |number: Option<i32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        fact("pid", format!("{pid} (group {}, session {})", group(unit.pgid), group(unit.sid)));
    }
    for (label, text) in unit.container.iter().flat_map(container::facts) {
        fact(label, text);
    }
    fact("up", uptime(unit, now));
    fact("ready in", unit.ready_ms.map(text::span).unwrap_or_default());
    fact("ports", ports(unit));
    fact("restarts", unit.restarts.to_string());
    fact("last end", unit.exit.map(|exit| exit.to_string()).unwrap_or_default());
    let memory: u64 = unit.processes.iter().map(|process| process.memory_bytes).sum();
    if !unit.processes.is_empty() {
        fact("processes", format!("{}, {}", unit.processes.len(), text::bytes(memory)));
    }
    for (key, value) in &unit.labels {
        fact("label", format!("{key}={value}"));
    }
    table.render(paint)
}

fn summary(paint: &Paint, view: &StackView) -> String {
    let ready =
        view.services.iter().filter(|unit| matches!(unit.state, State::Ready | State::Completed)).count();
    let wanted = view.services.iter().filter(|unit| unit.state != State::Stopped).count();
    let processes = || view.services.iter().flat_map(|unit| &unit.processes).chain(&view.strays);
    let memory: u64 = processes().map(|process| process.memory_bytes).sum();
    let head = match overall(view) {
        Overall::Ready => paint.tone(Tone::Good, &format!("{} all as wanted", paint.marks().good)),
        Overall::Degraded => paint.tone(Tone::Bad, &format!("{} degraded", paint.marks().bad)),
        Overall::NotRunning => paint.tone(Tone::Dim, &format!("{} not running", paint.marks().halt)),
    };
    let mut parts = vec![head, format!("{ready} of {wanted} ready")];
    let number = processes().count();
    if number > 0 {
        parts.push(format!("{}, {}", text::count(number, "process", "processes"), text::bytes(memory)));
    }
    parts.extend(unheld(view).map(|what| paint.tone(Tone::Warn, what)));
    if !view.strays.is_empty() {
        parts.push(paint.tone(Tone::Warn, &text::count(view.strays.len(), "stray", "strays")));
    }
    format!("{}\n", parts.join(&format!(" {} ", paint.marks().dot)))
}

/// What is to be said of it; of a container whose state says all, what it is made of.
fn remark(unit: &UnitView) -> String {
    let made_of = || unit.container.as_ref().map(container::beside);
    unit.note.clone().or_else(made_of).unwrap_or_default()
}

fn ports(unit: &UnitView) -> String {
    unit.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
}

fn uptime(unit: &UnitView, now: WallTime) -> String {
    let running = unit.started_at.filter(|_| unit.pid.is_some());
    running.map(|since| text::rough_span(u64::try_from(now.0 - since.0).unwrap_or(0))).unwrap_or_default()
}
