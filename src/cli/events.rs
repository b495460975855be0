//! `events`: the journal in plain words; every start, health change, exit, and the receipt of every signal.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use jiff::tz::TimeZone;

use super::args::{EventsArgs, Since};
use super::exit::{CliError, Code};
use super::place::{Place, Stack};
use crate::domain::{
    Breach, ContainerState, ContainerStep, Exit, Life, OnBreach, OwnHealth, ProcId, UnitName, WallTime,
};
use crate::machine::{Answer, Event, Request, Target};
use crate::show::error::short;
use crate::show::event::{clock as time_of_day, line};
use crate::show::{Door, Tone, text};
use crate::store::{Entry, JournalReader, Line, Receipt, read_private};
use crate::sys::clock;
use crate::sys::watch::Watch;

/// Runs the verb.
pub(super) fn run(place: &Place, door: &Door, args: &EventsArgs) -> Result<Code, CliError> {
    let stack = place.stack(door)?;
    let since = args.since.map(|since| match since {
        Since::At(time) => time,
        Since::Ago(span) => {
            WallTime(clock::wall().0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
        }
    });
    let (zone, names) = (TimeZone::system(), widest_name(&stack));
    let mut teller = Teller { door, args, since, zone, names, contained: BTreeMap::new() };
    let path = stack.dir.journal();
    let unreadable = |source| CliError::Io { what: format!("{} cannot be read", path.display()), source };
    let mut journal = JournalReader::open(&path).map_err(unreadable)?;
    // Watched before it is read: what is written in between is told once and not lost.
    let watch = if args.follow { Some(Watch::new()?) } else { None };
    if let Some(watch) = &watch {
        watch.dir(&stack.dir.state)?;
        watch.file(&read_private(&stack.dir.journal())?)?;
    }
    loop {
        let mut news = String::new();
        let torn = journal.read(|line| teller.tell(&line, &mut news))?;
        if !door.stream(&news)? {
            return Ok(Code::Done);
        }
        if torn > 0 {
            door.say(&format!("{} could not be read\n", text::count(torn, "torn line", "torn lines")));
        }
        let Some(watch) = &watch else { return Ok(Code::Done) };
        if !watch.wait(std::io::stdout().as_fd())? {
            return Ok(Code::Done);
        }
        watch.drain(|_| {})?;
    }
}

struct Teller<'a> {
    door: &'a Door,
    args: &'a EventsArgs,
    since: Option<WallTime>,
    zone: TimeZone,
    names: usize,
    /// What was told last of the container of a life: its shim tells more of it than words have.
    contained: BTreeMap<(UnitName, Life), String>,
}

impl Teller<'_> {
    fn tell(&mut self, told: &Line, into: &mut String) {
        let unit = unit_of(&told.entry);
        let early = self.since.is_some_and(|since| told.at < since);
        let other =
            !self.args.services.is_empty() && !unit.is_some_and(|unit| self.args.services.contains(unit));
        if early || other {
            return;
        }
        if self.args.json {
            // A line that was read can be written.
            into.push_str(&crate::show::json::line(told).unwrap_or_default());
            return;
        }
        let Some((tone, what)) = words(&told.entry) else { return };
        if let Entry::Event(Event::Contained { unit, life, .. }) = &told.entry {
            let before = self.contained.insert((unit.clone(), *life), what.clone());
            if before.as_ref() == Some(&what) {
                return;
            }
        }
        let when = time_of_day(told.at, clock::wall(), &self.zone);
        into.push_str(&line(&self.door.out, &when, unit, self.names, tone, &what));
    }
}

fn widest_name(stack: &Stack) -> usize {
    let units = stack.file.plan.iter().flat_map(|plan| &plan.units);
    units.map(|unit| text::width(unit.name.as_str())).max().unwrap_or(8)
}

fn unit_of(entry: &Entry) -> Option<&UnitName> {
    match entry {
        Entry::Supervisor { .. } | Entry::Lost { .. } => None,
        Entry::Receipt(receipt) => receipt.unit.as_ref(),
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

/// An entry in words; none for what only the machine cares for.
fn words(entry: &Entry) -> Option<(Tone, String)> {
    match entry {
        Entry::Supervisor { pid, version } => {
            Some((Tone::Dim, format!("supervisor {version} began (pid {pid})")))
        }
        Entry::Receipt(receipt) => Some(receipt_words(receipt)),
        Entry::Alert(alert) => Some((if alert.over { Tone::Good } else { Tone::Warn }, alert.to_string())),
        Entry::Lost { lines, reason } => {
            Some((Tone::Bad, format!("{lines} lines of this journal were lost: {reason}")))
        }
        Entry::Event(event) => event_words(event),
    }
}

fn receipt_words(receipt: &Receipt) -> (Tone, String) {
    let Receipt { signal, process, command, evidence, refused, .. } = receipt;
    let whom = format!("{} (pid {})", text::truncate(command, 60, "…"), process.pid);
    match refused {
        None => (Tone::Plain, format!("{signal} to {whom}, ours by {evidence}")),
        Some(reason) => (Tone::Bad, format!("{signal} refused for {whom}: {reason}")),
    }
}

/// What became of a container; what is only on the way is shown while it is.
fn contained_words(state: &ContainerState) -> (Tone, String) {
    match (&state.trouble, &state.step, &state.health) {
        (Some(trouble), _, _) => (Tone::Bad, trouble.to_string()),
        (None, ContainerStep::Asking, _) => (Tone::Plain, "asks its container engine".to_owned()),
        (None, ContainerStep::Pulling(how_far), _) => {
            (Tone::Plain, format!("pulls its image {how_far}").trim_end().to_owned())
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

fn event_words(event: &Event) -> Option<(Tone, String)> {
    let told = match event {
        Event::Requested { request, .. } => (Tone::Strong, request_words(request)),
        Event::Cancelled { force: false, .. } => (Tone::Strong, "the request was taken back".to_owned()),
        Event::Cancelled { force: true, .. } => (Tone::Strong, "by force".to_owned()),
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
        Event::Contained { state, .. } => contained_words(state),
        Event::OutOfMemory { what, .. } => (Tone::Bad, what.to_string()),
        Event::Breached { breach, ended, refused, .. } => (Tone::Bad, breach_words(breach, ended, refused)),
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

/// A broken limit, and what was done.
fn breach_words(breach: &Breach, ended: &[(ProcId, String)], refused: &[(ProcId, String)]) -> String {
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

fn answer_words(answer: &Answer) -> (Tone, String) {
    match answer {
        Answer::Good => (Tone::Good, "its gate holds".to_owned()),
        Answer::Bad { asked, got } => (Tone::Warn, format!("{asked} → {got}")),
        Answer::Foreign { port, holder } => {
            (Tone::Bad, format!("port {port} is answered by {}", crate::show::error::holder(holder)))
        }
    }
}
