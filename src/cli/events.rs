//! `events`: the journal in plain words; every start, health change, exit, and the receipt of every signal.

mod known;
mod replay;
mod why;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;

use jiff::tz::TimeZone;

use super::args::{EventsArgs, Since};
use super::exit::{CliError, Code};
use super::place::{Place, Stack};
use crate::domain::{Life, UnitName, WallTime};
use crate::history::{Filter, unit_of, words};
use crate::machine::Event;
use crate::show::event::{clock as time_of_day, line};
use crate::show::{Door, text};
use crate::store::{Entry, JournalReader, Line, read_line, read_private};
use crate::sys::clock;
use crate::sys::watch::Watch;

/// Runs the verb.
pub(super) fn run(place: &Place, door: &Door, args: &EventsArgs) -> Result<Code, CliError> {
    let stack = place.stack(door)?;
    let path = stack.dir.journal();
    let unreadable = |source| CliError::Io { what: format!("{} cannot be read", path.display()), source };
    let journal = JournalReader::open(&path).map_err(unreadable)?;
    let named = args.services.iter().chain(&args.why);
    known::check(place, door, &stack, named).map_err(|error| match error {
        known::Unfit::Unreadable(source) => unreadable(source),
        known::Unfit::Unknown(error) => error,
    })?;
    match &args.why {
        Some(unit) => why::run(&stack, door, journal, unit, args.json),
        None if args.replay => replay::run(&stack, door, journal, args.json),
        None => list(&stack, door, journal, args),
    }
}

fn list(stack: &Stack, door: &Door, mut journal: JournalReader, args: &EventsArgs) -> Result<Code, CliError> {
    let filter = Filter::new(&args.kinds, &args.services, args.since.map(moment), args.until.map(moment));
    let teller =
        Teller { filter, look: Look::new(door, stack), json: args.json, contained: RefCell::default() };
    // Watched before it is read: what is written in between is told once and not lost.
    let watch = if args.follow { Some(Watch::new()?) } else { None };
    if let Some(watch) = &watch {
        watch.dir(&stack.dir.state)?;
        watch.file(&read_private(&stack.dir.journal())?)?;
    }
    let mut news = String::new();
    let mut torn = match args.tail {
        Some(most) => last(&mut journal, &teller, most, &mut news)?,
        None => 0,
    };
    loop {
        torn += journal.read_bytes(|line| teller.tell(line, &mut news))?;
        if !door.stream(&std::mem::take(&mut news))? {
            return Ok(Code::Done);
        }
        let unread = std::mem::take(&mut torn);
        if unread > 0 {
            door.say(&format!("{} could not be read\n", text::count(unread, "torn line", "torn lines")));
        }
        let Some(watch) = &watch else { return Ok(Code::Done) };
        if !watch.wait(std::io::stdout().as_fd())? {
            return Ok(Code::Done);
        }
        watch.drain(|_| {})?;
    }
}

/// The last lines that are told; returns how many were met that cannot be read.
fn last(
    journal: &mut JournalReader,
    teller: &Teller,
    most: usize,
    into: &mut String,
) -> Result<usize, CliError> {
    let (mut told, mut torn) = (Vec::new(), 0);
    journal.read_back(|line| {
        if told.len() >= most {
            return ControlFlow::Break(());
        }
        let mut text = String::new();
        torn += usize::from(!teller.tell(line, &mut text));
        told.extend(Some(text).filter(|text| !text.is_empty()));
        ControlFlow::Continue(())
    })?;
    told.iter().rev().for_each(|text| into.push_str(text));
    Ok(torn)
}

fn moment(since: Since) -> WallTime {
    match since {
        Since::At(time) => time,
        Since::Ago(span) => {
            WallTime(clock::wall().0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
        }
    }
}

struct Teller<'a> {
    filter: Filter,
    look: Look<'a>,
    json: bool,
    /// What was told last of the container of a life: its shim tells more of it than words have.
    contained: RefCell<BTreeMap<(UnitName, Life), String>>,
}

impl Teller<'_> {
    /// Tells a line if it is meant; false where it cannot be read.
    fn tell(&self, bytes: &[u8], into: &mut String) -> bool {
        if !self.filter.may_pass(bytes) {
            return true;
        }
        let Some(told) = read_line(bytes) else { return false };
        if !self.filter.passes(&told) {
            return true;
        }
        if self.json {
            // A line that was read can be written.
            into.push_str(&crate::show::json::line(&told).unwrap_or_default());
        } else if let Some((tone, what)) = words(&told).filter(|(_, what)| !self.is_told(&told, what)) {
            into.push_str(&self.look.line(&told, tone, &what));
        }
        true
    }

    fn is_told(&self, line: &Line, what: &str) -> bool {
        let Entry::Event(Event::Contained { unit, life, .. }) = &line.entry else { return false };
        let before = self.contained.borrow_mut().insert((unit.clone(), *life), what.to_owned());
        before.as_deref() == Some(what)
    }
}

/// How lines look on this terminal.
struct Look<'a> {
    door: &'a Door,
    zone: TimeZone,
    names: usize,
}

impl<'a> Look<'a> {
    fn new(door: &'a Door, stack: &Stack) -> Self {
        let units = stack.file.plan.iter().flat_map(|plan| &plan.units);
        let names = units.map(|unit| text::width(unit.name.as_str())).max().unwrap_or(8);
        Self { door, zone: TimeZone::system(), names }
    }

    fn time(&self, at: WallTime) -> String {
        time_of_day(at, clock::wall(), &self.zone)
    }

    fn line(&self, told: &Line, tone: crate::show::Tone, what: &str) -> String {
        line(&self.door.out, &self.time(told.at), unit_of(&told.entry), self.names, tone, what)
    }
}
