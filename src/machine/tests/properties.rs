//! Safety, liveness, start order, stop order, calm and replay, over thousands of lifetimes in a simulated world.

use std::cell::Cell;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::judge::{Judge, restless};
use super::scenario::{Deed, Scenario, a_task_adopted_as_ready, label, scenario};
use super::world::{Happening, Rng, World};
use super::*;

/// So many lifetimes each run must have seen.
const LIFETIMES: u64 = 10_000;
/// So many scenarios give more than that.
const SCENARIOS: u32 = 1500;
/// No answer may take longer than this, in milliseconds of the simulated world.
const PATIENCE: u64 = 20 * 60 * 1000;

struct Driver<'a> {
    scenario: &'a Scenario,
    stack: Stack,
    world: World,
    judge: Judge,
    noise: Rng,
    versions: Vec<u32>,
    requests: RequestId,
    last: RequestId,
    journal: Vec<(Moment, Event)>,
    done: Vec<Action>,
    steps: u64,
}

impl<'a> Driver<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            stack: Stack::new(),
            world: World::new(scenario.seed, scenario.wild),
            judge: Judge::default(),
            noise: Rng(scenario.seed ^ 1),
            versions: vec![1; scenario.units.len()],
            requests: 0,
            last: 0,
            journal: Vec::new(),
            done: Vec::new(),
            steps: 0,
        }
    }

    /// Runs the scenario, then a last `down`, until nothing moves any more; how many lifetimes it had.
    fn run(mut self) -> Result<u64, String> {
        self.drive().map_err(|error| {
            let told: Vec<String> =
                self.journal.iter().map(|(now, event)| format!("{} {event:?}", now.0)).collect();
            let from = told.len().saturating_sub(12);
            format!("{error}\nlast events:\n{}", told[from..].join("\n"))
        })?;
        Ok(self.world.lifetimes)
    }

    fn drive(&mut self) -> Result<(), String> {
        let mut at = self.world.now;
        for (count, (pause, _)) in self.scenario.deeds.iter().enumerate() {
            at += pause;
            self.world.schedule(at, Happening::Client(count));
        }
        self.world.schedule(at + 2500, Happening::Client(self.scenario.deeds.len()));
        while self.advance()? {
            self.steps += 1;
            if self.steps > 100_000 {
                return Err("it never comes to rest".to_owned());
            }
            let now = self.world.now;
            if let Some((id, _)) = self.judge.open.iter().find(|(_, open)| now > open.since + PATIENCE) {
                return Err(format!("{id} is not answered"));
            }
        }
        if !self.judge.open.is_empty() {
            return Err(format!("never answered: {:?}", self.judge.open.keys()));
        }
        if !self.judge.answered.contains(&self.last) {
            return Err("the last down is not answered".to_owned());
        }
        if !self.stack.at_rest() {
            return Err("not at rest after the last down".to_owned());
        }
        self.replay()
    }

    fn advance(&mut self) -> Result<bool, String> {
        let deadline = self.stack.next_deadline().map(|deadline| deadline.0);
        let next = self.world.next_time();
        if let Some(due) = deadline.filter(|due| next.is_none_or(|next| *due <= next)) {
            // A clock that rings a little late.
            self.world.now = self.world.now.max(due + self.noise.below(4));
            self.step(Event::Tick)?;
            return Ok(true);
        }
        match self.world.pop() {
            None => return Ok(false),
            Some(Happening::Tell(event)) => self.step(*event)?,
            Some(Happening::Client(count)) => self.deed(count)?,
            Some(other) => self.world.happen(other),
        }
        Ok(true)
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        let now = Moment(self.world.now);
        self.journal.push((now, event.clone()));
        self.judge.hear(&event, &self.stack, now.0);
        self.world.paid(&event);
        let actions = self.stack.handle(event, now);
        self.judge.judge(&actions, &self.stack, &self.world)?;
        for action in &actions {
            self.world.perform(action)?;
        }
        restless(&self.stack, &self.world)?;
        if self.noise.chance(1) {
            let text = serde_json::to_string(&self.stack).map_err(|error| error.to_string())?;
            let back: Stack = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            if back != self.stack {
                return Err("the stack is not what it was after a journey through JSON".to_owned());
            }
        }
        self.done.extend(actions);
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), String> {
        self.requests += 1;
        self.step(Event::Requested { id: self.requests, request })
    }

    fn deed(&mut self, count: usize) -> Result<(), String> {
        let scenario = self.scenario;
        let Some((_, deed)) = scenario.deeds.get(count) else {
            self.last = self.requests + 1;
            let force = self.noise.chance(20);
            return self.request(Request::Down(DownRequest {
                units: None,
                force,
                grace: None,
                strays: false,
            }));
        };
        match deed {
            Deed::Up { units, recreate, changed, no_deps, keep, timeout, shorter } => {
                let count = (scenario.units.len() - usize::from(*shorter)).max(1);
                for (at, version) in self.versions.iter_mut().enumerate() {
                    *version += u32::from(changed & (1 << at) != 0);
                }
                let chosen = scenario.chosen(*units, count, !no_deps);
                let again = scenario.chosen(*recreate, count, false);
                let recreate = again.into_iter().filter(|unit| chosen.contains(unit)).collect();
                let plan = scenario.plan(count, &self.versions);
                let timeout = timeout.map(millis);
                let (no_deps, keep) = (*no_deps, *keep);
                self.request(Request::Up(UpRequest { plan, units: chosen, recreate, no_deps, keep, timeout }))
            }
            Deed::Down { units, force, grace, strays } => {
                let known = |unit: &UnitName| self.stack.unit_plan(unit).is_some();
                let units = units.map(|mask| {
                    let chosen = scenario.chosen(mask, scenario.units.len(), false);
                    chosen.into_iter().filter(known).collect()
                });
                let (force, grace, strays) = (*force, grace.map(millis), *strays);
                self.request(Request::Down(DownRequest { units, force, grace, strays }))
            }
            Deed::Cancel { back, force } => {
                self.step(Event::Cancelled { id: self.requests.saturating_sub(*back), force: *force })
            }
            Deed::Noise => self.make_noise(),
            Deed::Stray => {
                // Not during a stop: who starts a process after the last look cannot be seen by it.
                let stops = self.judge.open.values().any(|open| matches!(open.request, Request::Down(_)));
                if !stops {
                    self.world.stray();
                }
                Ok(())
            }
            Deed::Crash => self.crash(),
            Deed::PortTaken(taken) => {
                self.world.held_port = *taken;
                Ok(())
            }
        }
    }

    fn make_noise(&mut self) -> Result<(), String> {
        for at in 0..self.scenario.units.len() {
            let unit = label(at);
            let present = self.stack.units.get(&unit).map_or(Life(0), |unit| unit.life);
            for (unit, life) in [(unit, Life(present.0.saturating_sub(1))), (name("nobody"), Life(1))] {
                if life == present {
                    continue;
                }
                let target = Target::Life { unit: unit.clone(), life };
                let events = [
                    Event::Started { unit: unit.clone(), life, leader: process(9) },
                    Event::Gated { unit: unit.clone(), life, probe: 0, answer: Answer::Good },
                    Event::Exited { unit: unit.clone(), life, exit: Exit::Code(0), tail: Vec::new() },
                    Event::Checked { unit: unit.clone(), life, answer: bad("late") },
                    Event::Emptied { target: target.clone() },
                    Event::Killed { target, forced: Vec::new(), survivors: Vec::new() },
                    Event::StopCommandEnded { unit, life, exit: Exit::Code(0) },
                ];
                for event in events {
                    self.step(event)?;
                }
            }
        }
        Ok(())
    }

    /// The supervisor dies, its clients with it; a new one remembers the numbers and adopts what lives.
    fn crash(&mut self) -> Result<(), String> {
        self.replay()?;
        let lives = self.stack.lives();
        self.stack = Stack::new();
        self.judge.forget();
        let adopted = self.world.supervisor_dies();
        self.step(Event::Remembered { lives })?;
        for life in adopted {
            self.step(Event::Adopted(Box::new(life)))?;
        }
        Ok(())
    }

    /// The journal, read back from JSON, leads to the same stack by the same actions.
    fn replay(&mut self) -> Result<(), String> {
        let text =
            serde_json::to_string(&std::mem::take(&mut self.journal)).map_err(|error| error.to_string())?;
        let journal: Vec<(Moment, Event)> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let mut stack = Stack::new();
        let mut done = Vec::new();
        for (now, event) in journal {
            done.extend(stack.handle(event, now));
        }
        let same = stack == self.stack && done == std::mem::take(&mut self.done);
        if same { Ok(()) } else { Err("the replay leads elsewhere".to_owned()) }
    }
}

#[test]
fn a_wild_world_holds_no_surprise() {
    let lifetimes = Cell::new(0);
    let config = Config {
        cases: setting("SCENARIOS", SCENARIOS),
        max_shrink_iters: setting("SHRINKS", 3000),
        ..crate::chance::config()
    };
    let outcome = TestRunner::new(config).run(&scenario(), |scenario| {
        let seen = Driver::new(&scenario).run().map_err(TestCaseError::fail)?;
        lifetimes.set(lifetimes.get() + seen);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let whole = setting("SCENARIOS", SCENARIOS) >= SCENARIOS;
    assert!(!whole || lifetimes.get() >= LIFETIMES, "only {} lifetimes were seen", lifetimes.get());
}

#[test]
fn a_task_adopted_as_ready_is_late_all_the_same() {
    let scenario = a_task_adopted_as_ready();
    Driver::new(&scenario).run().unwrap_or_else(|error| panic!("{error}"));
}

/// A number from the environment: `SEED=random SCENARIOS=50000` for a night's run, `SHRINKS=0` where only red or green matters.
fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
