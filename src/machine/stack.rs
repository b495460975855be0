//! The whole stack as a value: every event goes in here, every action comes out here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::closing::{DownWork, Questions, Verified};
use super::limits::Overruns;
use super::request::{UpWork, Waiting};
use super::standing::Fact;
use super::turn::Turn;
use super::unit::Unit;
use super::{Action, Adopted, Answer, Event, Request, Target};
use crate::domain::{Life, Moment, UnitName};
use crate::plan::{StackLimits, UnitPlan};

/// All that is known and intended of one stack.
///
/// At most one `up` and one `down` are in work. A further `up` waits in line, a further `down` joins; see the modules
/// `request` and `closing`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    pub(super) units: BTreeMap<UnitName, Unit>,
    /// Start order.
    pub(super) order: Vec<UnitName>,
    /// The last life of units that are no longer known: its numbers must not be given again.
    pub(super) forgotten: BTreeMap<UnitName, Life>,
    pub(super) up: Option<UpWork>,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) down: Option<DownWork>,
    pub(super) questions: Questions,
    /// What all of it together may take.
    #[serde(default)]
    pub(super) limits: StackLimits,
    #[serde(default)]
    pub(super) over: Overruns,
}

impl Stack {
    /// A stack of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides what follows from one event.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Moment) -> Vec<Action> {
        let mut turn = Turn::new(now);
        self.take(event, &mut turn);
        self.settle(&mut turn);
        turn.actions
    }

    /// When [`Event::Tick`] is due at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let units = self.units.values().filter_map(Unit::deadline);
        let requests = self.up.iter().filter_map(UpWork::deadline);
        let line = self.waiting.iter().filter_map(Waiting::deadline);
        let sweep = self.down.iter().filter_map(DownWork::deadline);
        units.chain(requests).chain(line).chain(sweep).min()
    }

    /// Nothing is wanted, ended or asked for any more: after a `down` of the whole stack the supervisor may end.
    /// A unit that could not be ended counts as at rest: nothing more will be tried by itself.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        self.up.is_none()
            && self.down.is_none()
            && self.waiting.is_empty()
            && self.questions.is_empty()
            && self.units.values().all(Unit::is_settled)
    }

    /// The plan of a unit: of its present life, or of its next.
    #[must_use]
    pub fn unit_plan(&self, unit: &UnitName) -> Option<&Arc<UnitPlan>> {
        self.units.get(unit).map(|unit| &unit.plan)
    }

    /// The life of a unit that may have living members.
    #[must_use]
    pub fn life_of(&self, unit: &UnitName) -> Option<Life> {
        self.units.get(unit).filter(|unit| unit.has_life()).map(|unit| unit.life)
    }

    /// Whether an event only says once more what is known: a healthy unit's next good check. It changes no view.
    #[must_use]
    pub fn knows(&self, event: &Event) -> bool {
        if let Event::Sampled { .. } = event {
            return true;
        }
        let Event::Checked { unit, life, answer: Answer::Good } = event else { return false };
        self.units.get(unit).is_some_and(|unit| unit.life == *life && unit.is_sound())
    }

    /// Whether a target has stirred while its last `Ask` was outstanding: it will be asked once more.
    #[must_use]
    pub fn is_stirred(&self, target: &Target) -> bool {
        match target {
            Target::Life { unit, .. } => self.units.get(unit).is_some_and(Unit::is_stirred),
            Target::Strays => self.down.as_ref().is_some_and(DownWork::is_stirred),
        }
    }

    /// Every unit's last life, for the ledger of the next supervisor ([`Event::Remembered`]).
    #[must_use]
    pub fn lives(&self) -> Vec<(UnitName, Life)> {
        let known = self.units.iter().map(|(name, unit)| (name.clone(), unit.last));
        let gone = self.forgotten.iter().filter(|(name, _)| !self.units.contains_key(*name));
        let mut lives: Vec<_> = known.chain(gone.map(|(name, life)| (name.clone(), *life))).collect();
        lives.sort();
        lives
    }

    fn take(&mut self, event: Event, turn: &mut Turn) {
        match event {
            Event::Requested { id, request: Request::Up(request) } => {
                self.up_requested(Waiting { id, since: turn.now, request }, turn);
            }
            Event::Requested { id, request: Request::Down(request) } => {
                self.down_requested(id, &request, turn);
            }
            Event::Cancelled { id, force } => self.cancelled(id, force, turn),
            Event::Started { unit, life, leader } => self.tell(&unit, life, Fact::Started { leader }, turn),
            Event::NotStarted { unit, life, why } => self.tell(&unit, life, Fact::NotStarted { why }, turn),
            Event::Gated { unit, life, probe, answer } => {
                self.tell(&unit, life, Fact::Gated { probe, answer }, turn);
            }
            Event::Checked { unit, life, answer } => self.tell(&unit, life, Fact::Checked { answer }, turn),
            Event::Contained { unit, life, state } => {
                // True in every phase, and moves none: it is shown, and its end will be judged by it.
                if let Some(unit) = self.units.get_mut(&unit).filter(|unit| unit.life == life) {
                    unit.container = Some(Box::new(state));
                }
            }
            Event::Exited { unit, life, exit, tail } => {
                self.tell(&unit, life, Fact::Exited { exit, tail }, turn);
            }
            Event::Emptied { target } => self.tell_target(target, Fact::Emptied, turn),
            Event::Remembered { lives } => self.remember(lives),
            Event::Adopted(adopted) => self.adopt(*adopted, turn),
            Event::StopCommandEnded { unit, life, exit: _ } => {
                self.tell(&unit, life, Fact::CommandEnded, turn);
            }
            Event::Asked { target, heard, refused } => {
                self.tell_target(target, Fact::Asked { heard, refused }, turn);
            }
            Event::Stirred { target } => self.tell_target(target, Fact::Stirred, turn),
            Event::Killed { target, forced, survivors } => {
                self.tell_target(target, Fact::Killed { forced, survivors }, turn);
            }
            Event::Examined { unit, life, listening, tail } => {
                self.tell(&unit, life, Fact::Examined { listening, tail }, turn);
            }
            Event::Sought { strays, left_alone } => self.sought(strays, left_alone, turn),
            Event::Verified { survivors, ports, containers } => {
                self.verified(Verified { survivors, ports, containers }, turn);
            }
            Event::Sampled { lives } => self.sampled(&lives, turn),
            Event::Limited { limits } => self.limits = limits,
            Event::Bounded { unit, life, memory, cpus } => {
                if let Some(unit) = self.units.get_mut(&unit).filter(|unit| unit.life == life) {
                    (unit.watched.memory_held, unit.watched.cpus_held) = (memory, cpus);
                }
            }
            Event::Idle { unit: name, life, millis } => {
                if let Some(unit) = self.units.get_mut(&name).filter(|unit| unit.life == life) {
                    unit.idled(millis, turn);
                    turn.touch(&name);
                }
            }
            Event::OutOfMemory { unit, life, what } => {
                if let Some(unit) = self.units.get_mut(&unit).filter(|unit| unit.life == life) {
                    unit.killed_by_kernel(what, turn);
                }
            }
            // For the journal: what follows was decided when it was asked for.
            Event::Breached { .. } => {}
            Event::Tick => self.tick(turn),
        }
    }

    /// A fact about a life; one about an earlier life, or about a unit nobody knows, is old news.
    fn tell(&mut self, name: &UnitName, life: Life, fact: Fact, turn: &mut Turn) {
        if let Some(unit) = self.units.get_mut(name)
            && unit.life == life
        {
            unit.handle(fact, turn);
            turn.touch(name);
        }
    }

    fn tell_target(&mut self, target: Target, fact: Fact, turn: &mut Turn) {
        match target {
            Target::Life { unit, life } => self.tell(&unit, life, fact, turn),
            Target::Strays => self.stray_fact(fact, turn),
        }
    }

    fn tick(&mut self, turn: &mut Turn) {
        for (name, unit) in &mut self.units {
            if unit.deadline().is_some_and(|deadline| turn.now >= deadline) {
                unit.handle(Fact::Due, turn);
                turn.touch(name);
            }
        }
        self.stray_fact(Fact::Due, turn);
        self.limit_ups(turn);
    }

    fn cancelled(&mut self, id: u64, force: bool, turn: &mut Turn) {
        if self.up.as_ref().is_some_and(|work| work.id() == id) {
            self.cancel_up(force, turn);
        } else if let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id)
            && let Some(waiting) = self.waiting.remove(at)
        {
            turn.act(Action::Reply { id, reply: waiting.unserved(false, turn.now) });
        }
        // A `down` is not taken back: half a stop helps nobody, and its verdict is on its way.
    }

    fn remember(&mut self, lives: Vec<(UnitName, Life)>) {
        for (name, life) in lives {
            if let Some(unit) = self.units.get_mut(&name) {
                unit.last = unit.last.max(life);
            } else {
                let known = self.forgotten.entry(name).or_default();
                *known = (*known).max(life);
            }
        }
    }

    fn adopt(&mut self, adopted: Adopted, turn: &mut Turn) {
        let name = adopted.plan.name.clone();
        let last = self.forgotten.get(&name).copied().unwrap_or_default();
        let plan = Arc::new(adopted.plan.clone());
        self.units.entry(name.clone()).or_insert_with(|| Unit::new(plan, last)).adopt(adopted, turn);
        self.relink(&[]);
        self.recount(turn);
        turn.touch(&name);
        self.adopted_in_down(&name, turn);
    }

    /// Lets each change reach those it concerns until nothing moves any more.
    fn settle(&mut self, turn: &mut Turn) {
        loop {
            while let Some(name) = turn.touched.pop_front() {
                self.pass(&name, turn);
                self.tell_up(&name, turn);
                self.tell_down(&name);
            }
            for row in std::mem::take(&mut turn.rows) {
                self.row_for_up(&row);
                self.row_for_down(&row);
            }
            self.judge_down(turn);
            let moved = self.judge_up(turn) || self.begin_next(turn);
            if !moved && turn.touched.is_empty() {
                return;
            }
        }
    }
}
