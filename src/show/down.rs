//! The answer of `down`: what was asked of whom, what the sweep found, and what is proven.

use super::error::{self, Problem};
use super::paint::{Paint, Tone};
use super::table::{Align, Cell, Table};
use super::{container, text};
use crate::domain::{DownReport, Ended, EndedUnit, Exit, PortStatus, StackView, Survivor};

const UNPROVEN: &str = "nothing proves that all is gone";

/// What became of a stack's named volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volumes {
    /// Still there, by their names in the manifest.
    pub kept: Vec<String>,
    /// Removed, by their engines' names.
    pub removed: Vec<String>,
    /// To be removed and still there, each with the reason.
    pub left: Vec<(String, String)>,
}

/// The lines about volumes; nothing where there are none.
#[must_use]
pub fn volumes(paint: &Paint, volumes: &Volumes) -> String {
    let mut out = String::new();
    let names = |names: &[String]| names.iter().map(|name| paint.clean(name)).collect::<Vec<_>>().join(", ");
    if !volumes.removed.is_empty() {
        out += &["volumes removed: ", &names(&volumes.removed), "\n"].concat();
    }
    for (name, why) in &volumes.left {
        let line = format!("volume not removed: {} ({})", paint.clean(name), paint.clean(why));
        out += &(paint.tone(Tone::Bad, &line) + "\n");
    }
    if !volumes.kept.is_empty() {
        let line = format!("volumes kept: {} (devstack down --volumes removes them)", names(&volumes.kept));
        out += &(paint.tone(Tone::Dim, &line) + "\n");
    }
    out
}

/// The rows and the line below them.
#[must_use]
pub fn report(paint: &Paint, report: &DownReport) -> String {
    let mut out = rows(paint, report);
    out.push_str(&summary(paint, report));
    out
}

/// The same where nothing is said about what went well: a problem for standard error, or none.
#[must_use]
pub fn problem(report: &DownReport) -> Option<Problem> {
    if report.clean {
        return None;
    }
    let held: Vec<String> = report
        .ports
        .iter()
        .filter(|port| !port.free)
        .map(|port| format!("port {} held", port.port))
        .collect();
    let count = report.survivors.len();
    let mut facts = Vec::new();
    if count > 0 {
        facts.push(format!("{} left", text::count(count, "process", "processes")));
    }
    facts.extend(report.containers.iter().flat_map(|proof| container::summary(proof)));
    facts.extend(held);
    let unproven = facts.is_empty();
    if unproven {
        facts.push(UNPROVEN.to_owned());
    }
    let what = format!("the stop is not clean: {}", facts.join(", "));
    let ports = report.ports.iter().filter(|port| !port.free);
    let mut problem = Problem::new("DS048", what)
        .saw_lines("left", report.survivors.iter().map(left))
        .saw_lines("held", ports.map(|port| format!("{} by {}", port.port, owner(port))));
    if unproven {
        problem = problem.saw("seen", "no survivor and no held port, but not every look was possible");
    }
    if let Some(proof) = &report.containers {
        problem = container::explain(problem, proof);
    }
    // Another user's devstack has another state directory: `sudo devstack down` would find nothing.
    let foreign = report.survivors.iter().filter(|who| who.reason.contains("permitted"));
    let foreign: Vec<String> = foreign.map(|who| who.process.pid.to_string()).collect();
    if !foreign.is_empty() {
        problem = problem.hint(format!("sudo kill -KILL {}", foreign.join(" ")));
    }
    Some(problem.hint("devstack down  (ends what it may and verifies anew)"))
}

/// What `down` would end.
#[must_use]
pub fn dry_run(paint: &Paint, view: &StackView) -> String {
    let mut table = columns();
    for unit in view.services.iter().rev().filter(|unit| !unit.processes.is_empty()) {
        table.row(row(
            (paint.marks().idle, Tone::Dim),
            unit.name.as_str(),
            "would be stopped".to_owned(),
            text::count(unit.processes.len(), "process", "processes"),
        ));
    }
    for stray in &view.strays {
        let what = format!(
            "would be ended: {} {} (found by {})",
            text::program(&stray.command),
            stray.pid,
            super::ps::reason(stray.found_by)
        );
        table.row(row((paint.marks().idle, Tone::Dim), "sweep", what, String::new()));
    }
    let text = table.render(paint);
    if text.is_empty() { "nothing is running\n".to_owned() } else { text }
}

fn rows(paint: &Paint, report: &DownReport) -> String {
    let marks = paint.marks();
    let good = (marks.good, Tone::Good);
    let bad = (marks.bad, Tone::Bad);
    let mut table = columns();
    for unit in &report.units {
        let survived = report.survivors.iter().any(|survivor| survivor.unit.as_ref() == Some(&unit.name));
        let mut processes = text::count(unit.processes as usize, "process", "processes");
        if !unit.deaf.is_empty() {
            let deaf = unit
                .deaf
                .iter()
                .map(|(process, command)| format!("{} {}", text::program(command), process.pid));
            processes = format!("{processes} (deaf: {})", list(deaf));
        }
        let unseen = report.is_unproven() && matches!(unit.exit, None | Some(Exit::Unknown));
        let mark = if survived || unseen { bad } else { good };
        let how = match unit.signal.filter(|_| unseen) {
            Some(signal) => format!("{signal}, not seen to end in {}", text::span(unit.millis)),
            None => how(unit),
        };
        table.row(row(mark, unit.name.as_str(), how, processes));
    }
    if !report.swept.is_empty() {
        table.row(row(good, "sweep", swept(&report.swept), String::new()));
    }
    for alike in &report.left_alone {
        let what = format!("{} ({})", alike.command, alike.evidence);
        let what = format!("resembles ours, left alone: pid {} {what}", alike.process.pid);
        table.row(row((marks.idle, Tone::Dim), "sweep", what, String::new()));
    }
    for job in &report.spared {
        let what = format!("goes on: {} (pid {})", job.evidence, job.process.pid);
        table.row(row((marks.idle, Tone::Dim), "spared", what, String::new()));
    }
    for survivor in &report.survivors {
        table.row(row(bad, "left", left(survivor), String::new()));
    }
    for (label, what) in report.containers.iter().flat_map(|proof| container::rows(proof)) {
        table.row(row(bad, label, what, String::new()));
    }
    for port in report.ports.iter().filter(|port| !port.free) {
        let what = format!("held by {}", owner(port));
        table.row(row(bad, &format!("port {}", port.port), what, String::new()));
    }
    table.render(paint)
}

fn summary(paint: &Paint, report: &DownReport) -> String {
    let nothing = report.units.is_empty() && report.ended == 0 && report.survivors.is_empty();
    let took = text::span_of_seconds(report.seconds);
    let mut facts = Vec::new();
    if !report.clean {
        facts.push(paint.tone(Tone::Bad, &format!("not clean after {took}")));
    } else if nothing {
        facts.push("nothing was running".to_owned());
    } else {
        facts.push(format!("stopped in {took}"));
    }
    if !nothing {
        let mut ended = format!("{} ended", text::count(report.ended as usize, "process", "processes"));
        if report.forced > 0 {
            ended = format!("{ended}, {} by force", report.forced);
        }
        facts.push(ended);
    }
    let proof = report.containers.as_deref();
    if let Some(removed) = proof.map(|proof| proof.removed).filter(|removed| *removed > 0) {
        facts.push(format!("{} removed", text::count(removed as usize, "container", "containers")));
    }
    let left = report.survivors.len();
    if report.is_unproven() {
        facts.push(paint.tone(Tone::Bad, UNPROVEN));
    } else {
        facts.push(paint.tone(if left == 0 { Tone::Good } else { Tone::Bad }, &format!("{left} left")));
    }
    facts.extend(proof.into_iter().flat_map(container::summary).map(|fact| paint.tone(Tone::Bad, &fact)));
    for (free, word, tone) in [(false, "held", Tone::Bad), (true, "free", Tone::Plain)] {
        let ports: Vec<String> =
            report.ports.iter().filter(|port| port.free == free).map(|port| port.port.to_string()).collect();
        if !ports.is_empty() {
            let noun = if ports.len() == 1 { "port" } else { "ports" };
            facts.push(paint.tone(tone, &format!("{noun} {} {word}", ports.join(" "))));
        }
    }
    format!("{}\n", facts.join(&format!(" {} ", paint.marks().dot)))
}

fn columns() -> Table {
    Table::new(&[Align::Left, Align::Left, Align::Left, Align::Left])
        .spaced(2, 1)
        .at_least(&[1, 16, 37])
        .uncut()
}

fn row(symbol: (&str, Tone), name: &str, what: String, rest: String) -> Vec<Cell> {
    let gap = |text: String| if text.is_empty() { text } else { format!("  {text}") };
    let mut cells = vec![Cell::new(symbol.1, symbol.0), Cell::new(Tone::Strong, name), Cell::from(gap(what))];
    if !rest.is_empty() {
        cells.push(Cell::new(Tone::Dim, gap(rest)));
    }
    cells
}

/// How a unit was ended, in the order of the ladder.
fn how(unit: &EndedUnit) -> String {
    if let Some(container) = &unit.container {
        return container::how(unit, container);
    }
    let took = text::span(unit.millis);
    let force = !unit.deaf.is_empty();
    match (unit.signal, unit.exit) {
        (Some(signal), _) if force => format!("{signal} {took} → SIGKILL"),
        (Some(signal), Some(Exit::Signal(by))) if by == signal => {
            format!("{signal} → exit {} in {took}", Exit::Signal(by).shell_code())
        }
        (Some(signal), Some(Exit::Unknown) | None) => format!("{signal} → gone in {took}"),
        (Some(signal), Some(exit)) => format!("{signal} → {exit} in {took}"),
        (None, _) if force => format!("SIGKILL in {took}"),
        (None, Some(exit)) => format!("had ended: {exit}"),
        (None, None) => "had ended".to_owned(),
    }
}

fn swept(swept: &[Ended]) -> String {
    let head = format!("{} ended", text::count(swept.len(), "stray", "strays"));
    let name = |stray: &Ended| {
        let by_force = if stray.forced { " by force" } else { "" };
        format!("{} {}{by_force}", text::program(&stray.command), stray.process.pid)
    };
    match swept {
        [first, rest @ ..] if rest.iter().all(|stray| stray.evidence == first.evidence) => {
            format!("{head}: {} ({})", list(swept.iter().map(name)), first.evidence)
        }
        _ => format!(
            "{head}: {}",
            list(swept.iter().map(|stray| format!("{} ({})", name(stray), stray.evidence)))
        ),
    }
}

fn left(survivor: &Survivor) -> String {
    let Survivor { process, command, user, evidence, reason, unit } = survivor;
    let of = unit.as_ref().map(|unit| format!(" of {unit}")).unwrap_or_default();
    format!("pid {}{of}, user {user}: {reason} (evidence: {evidence}): {command}", process.pid)
}

/// Who holds a port: the container, where an engine's proxy only stands for it.
fn owner(port: &PortStatus) -> String {
    if let Some(name) = &port.container {
        return format!("container {name}, which publishes it");
    }
    port.owner.as_ref().map_or_else(|| "a process that this user may not see".to_owned(), error::holder)
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
