//! Progress of `up` and `down` as text: what changed, and the block of lines that a terminal shows.

use std::collections::BTreeMap;

use super::paint::{Paint, Tone, state_word};
use super::table::{Align, Cell, Table};
use super::{container, text};
use crate::domain::{ContainerStep, State, UnitName, UnitView, WallTime};

/// Milliseconds between two lines about an image, where there is no terminal.
const FETCHED_EACH: u64 = 5000;

/// What is shown while it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Units are started.
    Up,
    /// Units are ended.
    Down,
    /// Strays are ended: units are no news.
    Sweep,
}

/// Remembers what was seen, so that changes can be told from repetitions.
#[derive(Clone, Debug)]
pub struct Track {
    verb: Verb,
    seen: BTreeMap<UnitName, Seen>,
    /// How far the image of a unit was when that was told last, and when.
    fetched: BTreeMap<UnitName, (String, WallTime)>,
    views: Vec<UnitView>,
    frame: usize,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    state: State,
    since: WallTime,
    /// How long the way to it took, where there was one.
    took: Option<u64>,
    /// Since when it is on that way: what is ended before it was ready goes on from its start.
    way: WallTime,
    /// It was stopped when it was first seen: no news.
    at_rest: bool,
}

impl Track {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(verb: Verb) -> Self {
        Self { verb, seen: BTreeMap::new(), fetched: BTreeMap::new(), views: Vec::new(), frame: 0 }
    }

    /// Takes the next view. Gives the lines to print where there is no terminal: one for each unit whose state changed, and
    /// now and then one for an image that is being fetched.
    ///
    /// Units that were at rest from the beginning and those that only wait in line are not told.
    pub fn update(&mut self, views: &[UnitView], now: WallTime, paint: &Paint) -> String {
        if self.verb == Verb::Sweep {
            return String::new();
        }
        let first = self.seen.is_empty();
        let mut table = lines_table(views);
        for view in views {
            let before = self.seen.get(&view.name).copied();
            if before.is_some_and(|before| before.state == view.state) {
                if self.is_further(view, now) {
                    table.row(cells(view, self.time_of(view, now), None, paint));
                }
                continue;
            }
            let took = before.filter(|before| matches!(before.state, State::Starting | State::Stopping));
            let since = view.started_at.filter(|_| view.state == State::Starting).unwrap_or(now);
            let turned = took.filter(|_| matches!(view.state, State::Stopping | State::Failed));
            let from = |before: Seen| if view.state == State::Failed { before.way } else { before.since };
            let seen = Seen {
                state: view.state,
                since,
                took: took.map(|before| between(from(before), now)),
                way: turned.map_or(since, |before| before.way),
                at_rest: before.is_none() && view.state == State::Stopped,
            };
            self.seen.insert(view.name.clone(), seen);
            let news = match view.state {
                State::Queued => false,
                State::Ready | State::Stopped | State::Completed | State::Failed => !first,
                State::Starting | State::Unhealthy | State::Backoff | State::Stopping => true,
            };
            if news {
                table.row(cells(view, self.time_of(view, now), None, paint));
            }
        }
        self.views = views.to_vec();
        table.render(paint)
    }

    /// Its image is being fetched, and that has gone on for long enough to be told once more.
    fn is_further(&mut self, view: &UnitView, now: WallTime) -> bool {
        let state = view.container.as_ref().and_then(|container| container.state.as_ref());
        let fetching = state.is_some_and(|state| {
            matches!(state.step, ContainerStep::Pulling(_) | ContainerStep::Building(_))
        });
        let Some(note) = view.note.as_ref().filter(|_| fetching) else { return false };
        let told = self.fetched.get(&view.name);
        let due = told.is_none_or(|(before, at)| before != note && between(*at, now) >= FETCHED_EACH);
        if due {
            self.fetched.insert(view.name.clone(), (note.clone(), now));
        }
        due
    }

    /// The block that a terminal shows now, at most so many lines; the spinner turns with each call.
    pub fn block(&mut self, now: WallTime, paint: &Paint) -> Vec<String> {
        self.frame = self.frame.wrapping_add(1);
        let most = paint.lines().map_or(usize::MAX, |lines| lines.saturating_sub(2).max(1));
        let mut shown: Vec<&UnitView> = self.views.iter().filter(|view| self.concerns(view)).collect();
        let hidden = if shown.len() > most { shown.len() - (most - 1) } else { 0 };
        let mut omitted = Vec::new();
        if hidden > 0 {
            // What needs a look stays; what is done or only waits gives way. The order within each is kept.
            let mut ranked: Vec<usize> = (0..shown.len()).collect();
            ranked.sort_by_key(|at| rank(shown[*at].state));
            let mut kept: Vec<usize> = ranked[..most - 1].to_vec();
            kept.sort_unstable();
            omitted = ranked[most - 1..].iter().map(|at| shown[*at].state).collect();
            shown = kept.into_iter().map(|at| shown[at]).collect();
        }
        let spinner = paint.marks().spinner[self.frame % paint.marks().spinner.len()];
        let mut table = lines_table(&self.views);
        for view in shown {
            table.row(cells(view, self.time_of(view, now), Some(spinner), paint));
        }
        let mut lines: Vec<String> = table.render(paint).lines().map(str::to_owned).collect();
        if !omitted.is_empty() {
            lines.push(paint.tone(Tone::Dim, &format!("  {}", more(&omitted, paint))));
        }
        lines
    }

    fn concerns(&self, view: &UnitView) -> bool {
        let at_rest = self.seen.get(&view.name).is_some_and(|seen| seen.at_rest);
        view.state != State::Stopped || (self.verb == Verb::Down && !at_rest)
    }

    /// Milliseconds to show: what the way to this state took, or for how long it is on its way.
    fn time_of(&self, view: &UnitView, now: WallTime) -> Option<u64> {
        let seen = self.seen.get(&view.name)?;
        match view.state {
            State::Ready | State::Completed => view.ready_ms.filter(|_| self.verb == Verb::Up),
            State::Starting | State::Stopping => Some(between(seen.since, now)),
            State::Stopped | State::Failed => seen.took,
            State::Queued | State::Unhealthy | State::Backoff => None,
        }
    }
}

/// The columns of progress lines; wide enough for all units, so that later lines stand under earlier ones.
fn lines_table(views: &[UnitView]) -> Table {
    let names = views.iter().map(|view| text::width(view.name.as_str())).max().unwrap_or(0);
    Table::new(&[Align::Left, Align::Left, Align::Left, Align::Right, Align::Left]).spaced(2, 1).at_least(&[
        1,
        names + 2,
        9,
        5,
    ])
}

fn cells(view: &UnitView, time: Option<u64>, spinner: Option<&str>, paint: &Paint) -> Vec<Cell> {
    let (symbol, tone) = paint.state(view.state);
    let turning = matches!(view.state, State::Starting | State::Stopping);
    let symbol = spinner.filter(|_| turning).unwrap_or(symbol);
    let note = match (&view.note, view.state) {
        (
            Some(note),
            State::Queued
            | State::Starting
            | State::Unhealthy
            | State::Backoff
            | State::Stopping
            | State::Failed,
        ) => note.clone(),
        (_, State::Ready | State::Unhealthy) => {
            let container = view.container.iter().map(container::beside);
            let parts = container.chain(Some(ports(&view.ports)).filter(|ports| !ports.is_empty()));
            parts.collect::<Vec<_>>().join("  ")
        }
        _ => String::new(),
    };
    let note_tone = if view.state == State::Failed { Tone::Plain } else { Tone::Dim };
    let waits = view.note.is_some() && spinner.is_some();
    vec![
        Cell::new(tone, symbol),
        Cell::new(Tone::Strong, view.name.as_str()),
        Cell::new(tone, state_word(view.state, view.health, waits)),
        Cell::new(Tone::Plain, time.map(text::span).unwrap_or_default()),
        Cell::new(note_tone, if note.is_empty() { note } else { format!("  {note}") }),
    ]
}

/// `:3000 :3001`.
pub(super) fn ports(ports: &[u16]) -> String {
    ports.iter().map(|port| format!(":{port}")).collect::<Vec<_>>().join(" ")
}

fn between(earlier: WallTime, later: WallTime) -> u64 {
    u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0)
}

/// What a person must see first when not all fits.
fn rank(state: State) -> u8 {
    match state {
        State::Failed => 0,
        State::Unhealthy | State::Backoff => 1,
        State::Stopping | State::Starting => 2,
        State::Queued => 3,
        State::Ready | State::Completed | State::Stopped => 4,
    }
}

fn more(omitted: &[State], paint: &Paint) -> String {
    let mut counts: Vec<(State, usize)> = Vec::new();
    for state in omitted {
        match counts.iter_mut().find(|(known, _)| known == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((*state, 1)),
        }
    }
    let parts: Vec<String> =
        counts.iter().map(|(state, count)| format!("{count} {}", state.word())).collect();
    format!("{} and {} more: {}", paint.marks().ellipsis, omitted.len(), parts.join(", "))
}
