//! What the journal tells of one unit: its present life, what ended the one before, and who asked.

use crate::domain::{
    Asker, Breach, ContainerTrouble, Exit, Failure, Life, OnBreach, OutOfMemory, ProcId, Signal, UnitKind,
    UnitName, WallTime, Why,
};
use crate::machine::{Answer, Event, Request};
use crate::plan::UnitPlan;
use crate::store::{Entry, Line, Outcome, Receipt};

/// The last things that happened to a unit.
#[derive(Debug, Default)]
pub(super) struct Story<'a> {
    /// The last request that named it: when, by whom, and whether it was to run.
    pub(super) asked: Option<(WallTime, Option<&'a Asker>, Wish)>,
    /// How often its leader has ended since somebody asked for it.
    pub(super) deaths: usize,
    /// Its present or last life.
    pub(super) now: Chapter<'a>,
    /// The life before that one.
    pub(super) before: Option<Chapter<'a>>,
}

/// What a request wanted of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Up,
    Down,
}

/// One life of a unit.
#[derive(Debug, Default)]
pub(super) struct Chapter<'a> {
    pub(super) started: Option<(WallTime, Life, i32)>,
    /// It was there before the supervisor.
    pub(super) adopted: bool,
    pub(super) not_started: Option<(WallTime, &'a Failure)>,
    /// The last answer of its gate that was good.
    pub(super) gated: Option<WallTime>,
    /// Health checks that failed in a row: how many, the first, and the last answer.
    pub(super) bad: Option<(usize, WallTime, &'a Answer)>,
    /// The first signal of its end.
    pub(super) signalled: Option<Signalled<'a>>,
    pub(super) exit: Option<(WallTime, Exit, &'a [String])>,
    pub(super) outcome: Option<&'a Outcome>,
    /// Why there is no container, where its engine is the reason: then its exit code says nothing.
    pub(super) trouble: Option<&'a ContainerTrouble>,
    /// The limits that it broke: how often, and the last time.
    pub(super) broken: Option<(usize, Broken<'a>)>,
    /// What the kernel ended of it, as it told last.
    pub(super) out_of_memory: Option<(WallTime, OutOfMemory)>,
}

/// A broken limit, and what was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken<'a> {
    pub(super) at: WallTime,
    pub(super) life: Life,
    pub(super) breach: &'a Breach,
    pub(super) ended: &'a [(ProcId, String)],
    pub(super) refused: &'a [(ProcId, String)],
}

/// The first receipt of an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signalled<'a> {
    pub(super) at: WallTime,
    pub(super) by: Option<&'a Asker>,
    pub(super) why: Why,
    pub(super) signal: Signal,
    pub(super) process: ProcId,
}

impl<'a> Story<'a> {
    /// The story of a unit, from the lines in their order.
    pub(super) fn of(name: &UnitName, lines: &'a [Line]) -> Self {
        let mut story = Self::default();
        for line in lines {
            story.hear(name, line);
        }
        story
    }

    fn hear(&mut self, name: &UnitName, line: &'a Line) {
        match &line.entry {
            Entry::Event(event) => self.event(name, line, event),
            Entry::Receipt(receipt) if receipt.unit.as_ref() == Some(name) => self.receipt(line, receipt),
            // Of a culprit that was ended while its life went on, no end of that life is to be told.
            Entry::Outcome(outcome)
                if outcome.unit.as_ref() == Some(name)
                    && (self.now.signalled.is_some() || self.now.exit.is_some()) =>
            {
                self.now.outcome = Some(outcome);
            }
            Entry::Receipt(_)
            | Entry::Outcome(_)
            | Entry::Alert(_)
            | Entry::Supervisor { .. }
            | Entry::Lost(_) => {}
        }
    }

    fn event(&mut self, name: &UnitName, line: &'a Line, event: &'a Event) {
        let at = line.at;
        match event {
            Event::Requested { request, .. } => {
                if let Some(wish) = wish(name, request) {
                    self.asked = Some((at, line.by.as_ref(), wish));
                    self.deaths = 0;
                }
            }
            Event::Started { unit, life, leader } if unit == name => {
                self.turn_page();
                self.now.started = Some((at, *life, leader.pid.get()));
            }
            Event::Adopted(adopted) if adopted.plan.name == *name => {
                if self.now.started.is_none_or(|(_, life, _)| life != adopted.life) {
                    // Of a job the journal knows no start: what it has broken belongs to this life.
                    if self.now.broken.is_none_or(|(_, broken)| broken.life != adopted.life) {
                        self.turn_page();
                    }
                    self.now.started = Some((at, adopted.life, adopted.leader.pid.get()));
                }
                self.now.adopted = true;
            }
            Event::NotStarted { unit, why, .. } if unit == name => {
                self.turn_page();
                self.now.not_started = Some((at, why));
            }
            Event::Gated { unit, answer: Answer::Good, .. } if unit == name => self.now.gated = Some(at),
            Event::Checked { unit, answer: Answer::Good, .. } if unit == name => self.now.bad = None,
            Event::Checked { unit, answer, .. } if unit == name => {
                let (count, since, _) = self.now.bad.unwrap_or((0, at, answer));
                self.now.bad = Some((count + 1, since, answer));
            }
            Event::Contained { unit, state, .. } if unit == name => self.now.trouble = state.trouble.as_ref(),
            Event::Exited { unit, exit, tail, .. } if unit == name => {
                self.now.exit = Some((at, *exit, tail));
                self.deaths += 1;
            }
            Event::OutOfMemory { unit, what, .. } if unit == name => {
                self.now.out_of_memory = Some((at, *what));
            }
            Event::Breached { unit, life, breach, ended, refused } if unit == name => {
                self.broken(Broken { at, life: *life, breach, ended, refused });
            }
            _ => {}
        }
    }

    fn broken(&mut self, broken: Broken<'a>) {
        if self.now.broken.is_some_and(|(_, last)| last.life != broken.life) {
            self.turn_page();
        }
        let count = self.now.broken.map_or(0, |(count, _)| count);
        self.now.broken = Some((count + 1, broken));
        // The receipts before it were of the culprit, and not of the life's end.
        let culprit = |first: &Signalled<'_>| {
            broken.breach.action == OnBreach::KillCulprit
                && broken.ended.iter().any(|(process, _)| *process == first.process)
        };
        self.now.signalled = self.now.signalled.filter(|first| !culprit(first));
    }

    fn receipt(&mut self, line: &'a Line, receipt: &Receipt) {
        let Receipt { signal, why, process, .. } = receipt;
        let (signal, why, process) = (*signal, *why, *process);
        let first = Signalled { at: line.at, by: line.by.as_ref(), why, signal, process };
        self.now.signalled.get_or_insert(first);
    }

    fn turn_page(&mut self) {
        let last = std::mem::take(&mut self.now);
        self.before = Some(last).filter(|last| last.started.is_some());
    }
}

impl Chapter<'_> {
    /// What it ended of, in words.
    pub(super) fn end(&self, exit: Exit) -> String {
        self.trouble.map_or_else(|| exit.to_string(), ToString::to_string)
    }

    /// Whether it had been ready, as far as its plan says when that is.
    pub(super) fn was_ready(&self, plan: Option<&UnitPlan>) -> bool {
        let gate = plan.is_none_or(|plan| !plan.gate.is_empty());
        let task = plan.is_some_and(|plan| plan.kind == UnitKind::Task);
        !task && (!gate || self.gated.is_some())
    }
}

fn wish(name: &UnitName, request: &Request) -> Option<Wish> {
    match request {
        Request::Up(up) => (up.units.contains(name) || up.recreate.contains(name)).then_some(Wish::Up),
        Request::Down(down) => {
            down.units.as_ref().is_none_or(|units| units.contains(name)).then_some(Wish::Down)
        }
    }
}
