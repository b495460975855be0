//! A line of the journal in plain words.

use std::time::Duration;

use crate::domain::{
    Asker, Breach, ContainerState, ContainerStep, Exit, OnBreach, OwnHealth, ProcId, Signal, UnitName,
    format_duration,
};
use crate::machine::{Answer, Event, Request, Target};
use crate::show::error::short;
use crate::show::{Tone, text};
use crate::store::{End, Entry, Line, Lost, Outcome, Receipt};

/// The unit that an entry is about.
#[must_use]
pub fn unit_of(entry: &Entry) -> Option<&UnitName> {
    match entry {
        Entry::Supervisor { .. } | Entry::Lost(_) => None,
        Entry::Receipt(receipt) => receipt.unit.as_ref(),
        Entry::Outcome(outcome) => outcome.unit.as_ref(),
        Entry::Alert(alert) => alert.sign.suspect().map(|who| &who.unit),
        Entry::Event(event) => match event {
            Event::Started { unit, .. }
            | Event::NotStarted { unit, .. }
            | Event::Gated { unit, .. }
            | Event::Checked { unit, .. }
            | Event::Contained { unit, .. }
            | Event::Exited { unit, .. }
            | Event::StopCommandEnded { unit, .. }
            | Event::Examined { unit, .. }
            | Event::Bounded { unit, .. }
            | Event::Idle { unit, .. }
            | Event::OutOfMemory { unit, .. }
            | Event::Breached { unit, .. } => Some(unit),
            Event::Emptied { target }
            | Event::Asked { target, .. }
            | Event::Stirred { target }
            | Event::Killed { target, .. } => match target {
                Target::Life { unit, .. } => Some(unit),
                Target::Strays => None,
            },
            Event::Adopted(adopted) => Some(&adopted.plan.name),
            Event::Requested { .. }
            | Event::Cancelled { .. }
            | Event::Remembered { .. }
            | Event::Sought { .. }
            | Event::Verified { .. }
            | Event::Sampled { .. }
            | Event::Limited { .. }
            | Event::Tick => None,
        },
    }
}

/// A line in words; none for what only the machine cares for.
#[must_use]
pub fn words(line: &Line) -> Option<(Tone, String)> {
    let by = line.by.as_ref();
    match &line.entry {
        Entry::Supervisor { pid, version } => {
            Some((Tone::Dim, format!("supervisor {version} began (pid {pid})")))
        }
        Entry::Receipt(receipt) => Some(receipt_words(receipt, by)),
        Entry::Outcome(outcome) => Some(outcome_words(outcome)),
        Entry::Alert(alert) => Some((if alert.over { Tone::Good } else { Tone::Warn }, alert.to_string())),
        Entry::Lost(Lost { lines, reason }) => {
            Some((Tone::Bad, format!("{lines} lines of this journal were lost: {reason}")))
        }
        Entry::Event(event) => event_words(event, by),
    }
}

/// The key of what has no words, for a replay that shows it.
#[must_use]
pub fn key(line: &Line) -> &'static str {
    match &line.entry {
        Entry::Event(Event::Asked { .. }) => "asked",
        Entry::Event(Event::Stirred { .. }) => "stirred",
        Entry::Event(Event::Examined { .. }) => "examined",
        Entry::Event(Event::Sought { .. }) => "no stray was found",
        Entry::Event(Event::Remembered { .. }) => "what was before",
        Entry::Event(Event::Sampled { .. }) => "usage was measured",
        Entry::Event(Event::Tick) => "a deadline",
        _ => "event",
    }
}

fn receipt_words(receipt: &Receipt, by: Option<&Asker>) -> (Tone, String) {
    let Receipt { signal, process, command, evidence, refused, why, .. } = receipt;
    let whom = format!("{} (pid {})", text::truncate(command, 60, "…"), process.pid);
    let who = by.map_or_else(String::new, |by| match (why.words(), receipt.request) {
        (Some(why), Some(_)) => format!("; {by} asked {why}"),
        (Some(why), None) => format!("; {by}: {why}"),
        (None, _) => format!("; {by}"),
    });
    match refused {
        None => (Tone::Plain, format!("{signal} to {whom}, ours by {evidence}{who}")),
        Some(reason) => (Tone::Bad, format!("{signal} refused for {whom}: {reason}{who}")),
    }
}

/// What became of those who were signalled; those that had to be forced come first.
fn outcome_words(outcome: &Outcome) -> (Tone, String) {
    const NAMED: usize = 3;
    let mut ends: Vec<&End> = outcome.ends.iter().collect();
    ends.sort_by_key(|end| !end.forced);
    let mut words: Vec<String> = ends.iter().take(NAMED).map(|end| end_words(end)).collect();
    if ends.len() > NAMED {
        words.push(format!("and {} more", ends.len() - NAMED));
    }
    let tone = if ends.iter().any(|end| end.forced) { Tone::Warn } else { Tone::Plain };
    (tone, words.join(", "))
}

/// `pid 4242: SIGTERM → exit 143 in 0.1s`.
fn end_words(end: &End) -> String {
    let took = format_duration(Duration::from_millis(end.after_ms));
    let forced = if end.forced && end.signal != Signal::KILL { " → SIGKILL" } else { "" };
    let exit = end.exit.map_or_else(|| "ended".to_owned(), |exit| exit.to_string());
    format!("pid {}: {}{forced} → {exit} in {took}", end.process.pid, end.signal)
}

/// What became of a container; what is only on the way is shown while it is.
fn contained_words(state: &ContainerState) -> (Tone, String) {
    match (&state.trouble, &state.step, &state.health) {
        (Some(trouble), _, _) => (Tone::Bad, trouble.to_string()),
        (None, ContainerStep::Asking, _) => (Tone::Plain, "asks its container engine".to_owned()),
        (None, ContainerStep::Pulling(how_far), _) => {
            (Tone::Plain, format!("pulls its image {how_far}").trim_end().to_owned())
        }
        (None, ContainerStep::Building(last), _) if last.is_empty() => {
            (Tone::Plain, "builds its image".to_owned())
        }
        (None, ContainerStep::Building(last), _) => (Tone::Plain, format!("builds its image: {last}")),
        (None, ContainerStep::Starting, _) => (Tone::Plain, "starts its container".to_owned()),
        (None, ContainerStep::Running, OwnHealth::Healthy) => {
            (Tone::Good, "its container is healthy".to_owned())
        }
        (None, ContainerStep::Running, OwnHealth::Unhealthy(last)) => {
            (Tone::Bad, format!("its container is unhealthy: {last}"))
        }
        (None, ContainerStep::Running, _) => (Tone::Plain, "its container runs".to_owned()),
        (None, ContainerStep::Stopping, _) => (Tone::Plain, "its container is asked to end".to_owned()),
        (None, ContainerStep::Ended, _) if state.forced => {
            (Tone::Warn, "its engine killed the container after its grace".to_owned())
        }
        (None, ContainerStep::Ended, _) => (Tone::Plain, "its container has ended".to_owned()),
    }
}

fn event_words(event: &Event, by: Option<&Asker>) -> Option<(Tone, String)> {
    let told = match event {
        Event::Requested { request, .. } => (Tone::Strong, request_words(request) + &asked_by(by)),
        Event::Cancelled { force: false, .. } => {
            (Tone::Strong, "the request was taken back".to_owned() + &asked_by(by))
        }
        Event::Cancelled { force: true, .. } => (Tone::Strong, "by force".to_owned() + &asked_by(by)),
        Event::Started { leader, life, .. } => {
            (Tone::Plain, format!("started (pid {}, life {life})", leader.pid))
        }
        Event::NotStarted { why, .. } => (Tone::Bad, format!("not started: {}", short(why))),
        Event::Gated { answer, .. } | Event::Checked { answer, .. } => answer_words(answer),
        Event::Exited { exit: Exit::Code(0), .. } => (Tone::Plain, "ended: exit 0".to_owned()),
        Event::Exited { exit, .. } => (Tone::Warn, format!("ended: {exit}")),
        Event::Emptied { target: Target::Life { life, .. } } => {
            (Tone::Good, format!("nothing is left of life {life}"))
        }
        Event::Emptied { target: Target::Strays } => (Tone::Good, "no stray is left".to_owned()),
        Event::Adopted(adopted) => (Tone::Plain, format!("taken over (pid {})", adopted.leader.pid)),
        Event::StopCommandEnded { exit, .. } => (Tone::Plain, format!("its stop command ended: {exit}")),
        Event::Killed { forced, survivors, .. } => {
            let forced = text::count(forced.len(), "process", "processes");
            match survivors.len() {
                0 => (Tone::Warn, format!("{forced} ended by force")),
                left => (Tone::Bad, format!("{forced} ended by force, {left} could not be ended")),
            }
        }
        Event::Sought { strays, left_alone } if !strays.is_empty() || !left_alone.is_empty() => {
            let strays = text::count(strays.len(), "stray", "strays");
            (Tone::Plain, format!("{strays} found, {} left alone", left_alone.len()))
        }
        Event::OutOfMemory { what, .. } => (Tone::Bad, what.to_string()),
        Event::Breached { breach, ended, refused, .. } => (Tone::Bad, breach_words(breach, ended, refused)),
        Event::Contained { state, .. } => contained_words(state),
        Event::Verified { survivors, ports, containers } => {
            let held = ports.iter().filter(|port| !port.free).count();
            let gone = containers.as_ref().is_none_or(|proof| proof.is_clean());
            match (survivors.len(), held) {
                (0, 0) if !gone => (Tone::Bad, "verified: containers may be left".to_owned()),
                (0, 0) => (Tone::Good, "verified: nothing is left".to_owned()),
                (left, held) => (Tone::Bad, format!("verified: {left} left, {held} ports held")),
            }
        }
        Event::Asked { .. }
        | Event::Stirred { .. }
        | Event::Examined { .. }
        | Event::Sought { .. }
        | Event::Remembered { .. }
        | Event::Sampled { .. }
        | Event::Limited { .. }
        | Event::Bounded { .. }
        | Event::Idle { .. }
        | Event::Tick => return None,
    };
    Some(told)
}

fn request_words(request: &Request) -> String {
    let names = |units: &[UnitName]| units.iter().map(UnitName::as_str).collect::<Vec<_>>().join(", ");
    match request {
        Request::Up(up) => format!("up asked for: {}", names(&up.units)),
        Request::Down(down) => {
            let whom = down.units.as_ref().map_or_else(|| "the whole stack".to_owned(), |units| names(units));
            let force = if down.force { ", by force" } else { "" };
            match (down.units.as_deref(), down.strays) {
                (Some([]), true) => format!("sweep asked for{force}"),
                _ => format!("down asked for: {whom}{force}"),
            }
        }
    }
}

fn asked_by(by: Option<&Asker>) -> String {
    by.map_or_else(String::new, |by| format!(", by {by}"))
}

pub(super) fn answer_words(answer: &Answer) -> (Tone, String) {
    match answer {
        Answer::Good => (Tone::Good, "its gate holds".to_owned()),
        Answer::Bad { asked, got } => (Tone::Warn, format!("{asked} → {got}")),
        Answer::Foreign { port, holder } => {
            (Tone::Bad, format!("port {port} is answered by {}", crate::show::error::holder(holder)))
        }
    }
}

/// A broken limit, and what was done.
pub(super) fn breach_words(
    breach: &Breach,
    ended: &[(ProcId, String)],
    refused: &[(ProcId, String)],
) -> String {
    let others = match ended.len() {
        0 | 1 => String::new(),
        more => format!(" with {}", text::count(more - 1, "other", "others")),
    };
    let what = match (breach.action, &breach.culprit) {
        (OnBreach::Warn, _) => "only told".to_owned(),
        (OnBreach::KillCulprit, Some(culprit)) if !ended.is_empty() => {
            format!("killed pid {}{others}", culprit.process.pid)
        }
        (OnBreach::KillCulprit, _) => match refused.first() {
            Some((process, why)) => format!("pid {} could not be killed: {why}", process.pid),
            None => "it had ended by itself".to_owned(),
        },
        (OnBreach::Restart, _) => "it is restarted".to_owned(),
        (OnBreach::Stop | OnBreach::AsKernel, _) => "it is ended".to_owned(),
    };
    format!("{breach}: {what}")
}
