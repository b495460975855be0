//! The judge: knows only what was told to the machine and what is true in the world, and holds its promises against both.

use std::collections::{BTreeMap, BTreeSet};

use super::world::World;
use super::*;
use crate::machine::standing::{Fault, Phase, Rest, Then};
use crate::machine::unit::Unit;

/// What the machine has been told of a unit's latest life.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Told {
    life: Life,
    started: Option<u64>,
    gates: BTreeSet<usize>,
    adopted_ready: bool,
    foreign: bool,
    bad: u32,
    exit: Option<Exit>,
    emptied: bool,
    asked: bool,
}

/// A request that has no answer yet.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) request: Request,
    pub(super) since: u64,
    pub(super) cancelled: bool,
    /// Units that were started since.
    started: BTreeSet<UnitName>,
}

/// How a unit stood before an event.
#[derive(Clone, Debug, PartialEq)]
struct Before {
    going: bool,
    backoff: bool,
    life: Life,
}

#[derive(Default)]
pub(super) struct Judge {
    told: BTreeMap<UnitName, Told>,
    pub(super) open: BTreeMap<RequestId, Open>,
    pub(super) answered: BTreeSet<RequestId>,
    /// The highest number that each unit's lives were given, across supervisors.
    numbers: BTreeMap<UnitName, Life>,
    before: BTreeMap<UnitName, Before>,
    tick: bool,
}

type Verdict = Result<(), String>;

impl Judge {
    /// A new supervisor has been told nothing.
    pub(super) fn forget(&mut self) {
        self.told.clear();
        self.open.clear();
        self.before.clear();
    }

    /// Notes an event before the machine handles it.
    pub(super) fn hear(&mut self, event: &Event, stack: &Stack, now: u64) {
        let state = |unit: &Unit| Before {
            going: unit.is_going() || matches!(unit.phase, Phase::Examining { .. } | Phase::Survived { .. }),
            backoff: matches!(unit.phase, Phase::Backoff { .. }),
            life: unit.life,
        };
        self.before = stack.units.iter().map(|(name, unit)| (name.clone(), state(unit))).collect();
        self.tick = *event == Event::Tick;
        match event {
            Event::Requested { id, request } => {
                let open =
                    Open { request: request.clone(), since: now, cancelled: false, started: BTreeSet::new() };
                self.open.insert(*id, open);
            }
            Event::Cancelled { id, .. } => {
                if let Some(open) = self.open.get_mut(id) {
                    open.cancelled = true;
                }
            }
            Event::Started { unit, life, .. } => self.about(unit, *life, |told| told.started = Some(now)),
            Event::Gated { unit, life, probe, answer } => self.about(unit, *life, |told| match answer {
                Answer::Good => {
                    told.gates.insert(*probe);
                }
                Answer::Bad { .. } => {}
                Answer::Foreign { .. } => told.foreign = true,
            }),
            Event::Checked { unit, life, answer } => self.about(unit, *life, |told| match answer {
                Answer::Good => told.bad = 0,
                Answer::Bad { .. } | Answer::Foreign { .. } => told.bad += 1,
            }),
            Event::Exited { unit, life, exit, .. } => self.about(unit, *life, |told| told.exit = Some(*exit)),
            Event::Emptied { target: Target::Life { unit, life } } => self.about(unit, *life, |told| {
                told.emptied = true;
                told.exit = told.exit.or(Some(Exit::Unknown));
            }),
            Event::Adopted(adopted) => {
                let told = Told {
                    life: adopted.life,
                    started: Some(now),
                    adopted_ready: adopted.ready,
                    exit: adopted.exit,
                    ..Told::default()
                };
                self.told.insert(adopted.plan.name.clone(), told);
            }
            _ => {}
        }
    }

    fn about(&mut self, unit: &UnitName, life: Life, note: impl FnOnce(&mut Told)) {
        if let Some(told) = self.told.get_mut(unit).filter(|told| told.life == life) {
            note(told);
        }
    }

    /// Holds what was done against the promises, before it is carried out.
    pub(super) fn judge(&mut self, actions: &[Action], stack: &Stack, world: &World) -> Verdict {
        for unit in stack.units.values() {
            self.calm(unit, stack, world)?;
        }
        for action in actions {
            match action {
                Action::Start { plan, life } => self.may_start(plan, *life)?,
                Action::Ask { target: Target::Life { unit, life }, .. }
                | Action::Kill { target: Target::Life { unit, life } }
                | Action::StopCommand { unit, life } => {
                    self.may_signal(unit, *life, stack, world)?;
                }
                Action::Reply { id, reply } => self.may_reply(*id, reply, stack, world)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Calm: nobody is ended unasked, and without a fault that was told.
    fn calm(&self, unit: &Unit, stack: &Stack, world: &World) -> Verdict {
        let name = &unit.plan.name;
        let going = unit.is_going() || matches!(unit.phase, Phase::Examining { .. });
        let was = self.before.get(name).is_some_and(|before| before.going && before.life == unit.life);
        if !going || was || self.at_fault(unit, world.now) || self.wanted_ended(unit, stack, world.now) {
            return Ok(());
        }
        Err(format!("{name} {} is ended for no reason", unit.life))
    }

    fn at_fault(&self, unit: &Unit, now: u64) -> bool {
        let Some(told) = self.told.get(&unit.plan.name) else { return false };
        let late =
            told.started.is_some_and(|started| now >= started + words::millis(unit.plan.start_timeout));
        let sick =
            unit.plan.health.as_ref().is_some_and(|plan| plan.restart_on_failure && told.bad >= plan.retries);
        told.exit.is_some() || told.foreign || (late && !is_ready(told, &unit.plan)) || sick
    }

    fn is_sick(&self, unit: &Unit) -> bool {
        let bad = self.told.get(&unit.plan.name).map_or(0, |told| told.bad);
        unit.plan.health.as_ref().is_some_and(|plan| bad >= plan.retries)
    }

    fn wanted_ended(&self, unit: &Unit, stack: &Stack, now: u64) -> bool {
        let name = &unit.plan.name;
        self.open.values().any(|open| match &open.request {
            Request::Down(down) => down.units.as_ref().is_none_or(|units| units.contains(name)),
            Request::Up(up) => {
                if !up.units.contains(name) {
                    return false;
                }
                let changed = up
                    .plan
                    .units
                    .iter()
                    .any(|plan| plan.name == *name && plan.definition != unit.plan.definition);
                let late = up.timeout.is_some_and(|span| now >= open.since + words::millis(span));
                let failed = up
                    .units
                    .iter()
                    .filter_map(|name| stack.units.get(name))
                    .any(|unit| has_failed(unit) || self.is_sick(unit));
                let mine = open.started.contains(name) || up.recreate.contains(name);
                up.recreate.contains(name) || changed || (mine && (open.cancelled || late || failed))
            }
        })
    }

    /// Start order: each condition was told to hold.
    fn may_start(&mut self, plan: &UnitPlan, life: Life) -> Verdict {
        let restart = self.tick && self.before.get(&plan.name).is_some_and(|before| before.backoff);
        for dependency in plan.depends_on.iter().filter(|_| !restart) {
            let waived = self.open.values().any(|open| match &open.request {
                Request::Up(up) => {
                    up.no_deps && up.units.contains(&plan.name) && !up.units.contains(&dependency.unit)
                }
                Request::Down(_) => false,
            });
            if !waived && !self.holds(dependency) {
                return Err(format!(
                    "{} is started before {} is {:?}",
                    plan.name, dependency.unit, dependency.condition
                ));
            }
        }
        let number = self.numbers.entry(plan.name.clone()).or_default();
        if *number >= life {
            return Err(format!("{} is given the number {life} after {number}", plan.name));
        }
        *number = life;
        self.told.insert(plan.name.clone(), Told { life, ..Told::default() });
        for open in self.open.values_mut() {
            open.started.insert(plan.name.clone());
        }
        Ok(())
    }

    fn holds(&self, dependency: &Dependency) -> bool {
        let Some(told) = self.told.get(&dependency.unit) else { return false };
        let plans = self.open.values().filter_map(|open| match &open.request {
            Request::Up(up) => up.plan.units.iter().find(|plan| plan.name == dependency.unit),
            Request::Down(_) => None,
        });
        let completed = told.exit == Some(Exit::Code(0)) && told.emptied;
        plans.into_iter().any(|plan| {
            let done = plan.kind == UnitKind::Task && completed;
            let sick = plan.health.as_ref().is_some_and(|health| told.bad >= health.retries);
            let runs = told.started.is_some() && told.exit.is_none();
            match dependency.condition {
                Condition::Started => runs || done,
                Condition::Healthy => {
                    done || (plan.kind == UnitKind::Service && runs && is_ready(told, plan) && !sick)
                }
                Condition::Completed => done,
            }
        })
    }

    /// Stop order: whoever depends on it, and is to be ended as well, is at rest before it is signalled.
    fn may_signal(&mut self, name: &UnitName, life: Life, stack: &Stack, world: &World) -> Verdict {
        let Some(unit) = stack.units.get(name) else {
            return Err(format!("{name} is signalled and unknown"));
        };
        let Phase::Ending(ending) = &unit.phase else {
            return Err(format!("{name} is signalled off the ladder"));
        };
        let Some(told) = self.told.get_mut(name).filter(|told| told.life == life) else {
            return Err(format!("{name} {life} is signalled and is not its life"));
        };
        let first = !std::mem::replace(&mut told.asked, true);
        let own = told.exit.is_some() || !matches!(ending.then, Then::Reach(_));
        let downs = || {
            self.open.values().filter_map(|open| match &open.request {
                Request::Down(down) => Some(down),
                Request::Up(_) => None,
            })
        };
        let force = downs().any(|down| down.force) || self.open.values().any(|open| open.cancelled);
        if !first || own || force {
            return Ok(());
        }
        let ended = |name: &UnitName| {
            downs().any(|down| down.units.as_ref().is_none_or(|units| units.contains(name)))
        };
        for other in dependents(name, stack) {
            let Some(dependent) = stack.units.get(&other) else { continue };
            let given_up = matches!(dependent.phase, Phase::Survived { .. });
            if (ended(name) && ended(&other) && world.lives(&other, true) && !given_up)
                || is_told_to_go(dependent)
            {
                return Err(format!("{name} is signalled before {other} has ended"));
            }
        }
        Ok(())
    }

    fn may_reply(&mut self, id: RequestId, reply: &Reply, stack: &Stack, world: &World) -> Verdict {
        let Some(open) = self.open.remove(&id) else {
            return Err(format!("{id} is answered twice or was never asked"));
        };
        self.answered.insert(id);
        match (reply, &open.request) {
            (Reply::Down(report), Request::Down(down)) => {
                let units = down.units.as_ref().map(|units| units.iter().cloned().collect());
                if report.clean && world.anything(units.as_ref()) {
                    return Err(format!("{id} is told clean and something lives"));
                }
                let free = report.ports.iter().all(|port| port.free);
                if report.clean && !free {
                    return Err(format!("{id} is told clean and a port is held"));
                }
                if !report.clean && free && !world.tainted && down.units.is_none() {
                    // Everything here can be ended, so everything must have been.
                    return Err(format!("{id} could be clean and is not: {report:?}"));
                }
                Ok(())
            }
            (Reply::Up(report), Request::Up(up)) => self.may_report(id, report, up, stack, world),
            (Reply::Busy, Request::Up(_)) => Ok(()),
            (reply, request) => Err(format!("{id}: {reply:?} is no answer to {request:?}")),
        }
    }

    fn may_report(
        &self,
        id: RequestId,
        report: &UpReport,
        up: &UpRequest,
        stack: &Stack,
        world: &World,
    ) -> Verdict {
        let told: BTreeSet<&UnitName> = report.units.iter().map(|(unit, _)| unit).collect();
        if up.units.iter().any(|unit| !told.contains(unit)) || told.len() != report.units.len() {
            return Err(format!("{id}: not each unit is told once"));
        }
        if let Some(back) = &report.rolled_back
            && back.clean
            && up.units.iter().any(|unit| {
                let settled = stack.units.get(unit).is_none_or(Unit::is_settled);
                // One that another request was ending already, and could not, is told as that: not as rolled back.
                let told_as_survivor = report.units.iter().any(|(told, outcome)| {
                    told == unit && matches!(outcome, UnitOutcome::Failed(Failure::Survived { .. }))
                });
                settled && !told_as_survivor && world.lives(unit, true)
            })
        {
            return Err(format!("{id}: the roll-back is told clean and something lives"));
        }
        for unit in up.units.iter().filter(|_| report.ready) {
            let plan = up.plan.units.iter().find(|plan| plan.name == *unit);
            let good = plan.zip(self.told.get(unit)).is_some_and(|(plan, told)| match plan.kind {
                UnitKind::Task => told.exit == Some(Exit::Code(0)) && told.emptied,
                UnitKind::Service | UnitKind::Job => {
                    told.started.is_some() && told.exit.is_none() && is_ready(told, plan)
                }
            });
            if !good {
                return Err(format!("{id}: {unit} is told ready and is not"));
            }
        }
        Ok(())
    }
}

/// A task never is, whatever it was adopted as: it ends, or it is late.
fn is_ready(told: &Told, plan: &UnitPlan) -> bool {
    plan.kind == UnitKind::Service && (told.adopted_ready || told.gates.len() == plan.gate.len())
}

fn has_failed(unit: &Unit) -> bool {
    match &unit.phase {
        Phase::Resting(rest) => !matches!(rest, Rest::Completed),
        Phase::Survived { .. } => true,
        Phase::Ready { checks, .. } => checks.health == Health::Unhealthy,
        Phase::Queued
        | Phase::Starting { .. }
        | Phase::Gating { .. }
        | Phase::Examining { .. }
        | Phase::Leaving { .. }
        | Phase::Ending(_)
        | Phase::Backoff { .. } => false,
    }
}

/// It is on its way out because somebody asked for it, not for a fault of its own.
fn is_told_to_go(unit: &Unit) -> bool {
    match &unit.phase {
        Phase::Ending(ending) => matches!(ending.then, Then::Reach(_)),
        _ => unit.is_going(),
    }
}

/// All that depend on a unit, directly or not.
fn dependents(name: &UnitName, stack: &Stack) -> BTreeSet<UnitName> {
    let mut found = BTreeSet::from([name.clone()]);
    loop {
        let more: Vec<UnitName> = stack
            .units
            .values()
            .filter(|unit| unit.plan.depends_on.iter().any(|dependency| found.contains(&dependency.unit)))
            .map(|unit| unit.plan.name.clone())
            .filter(|name| !found.contains(name))
            .collect();
        if more.is_empty() {
            found.remove(name);
            return found;
        }
        found.extend(more);
    }
}

/// Every phase that is not at rest has a deadline, an outstanding answer, or somebody it waits for who has.
pub(super) fn restless(stack: &Stack, world: &World) -> Verdict {
    for (name, unit) in &stack.units {
        let life = unit.life;
        let kill = format!("kill {:?}", unit.target());
        let moves = match &unit.phase {
            Phase::Resting(_) | Phase::Ready { .. } | Phase::Survived { .. } => true,
            Phase::Queued => stack.up.is_some() && waits_for_somebody(unit, stack),
            Phase::Starting { .. } => world.is_owed(&format!("start {name} {life}")),
            Phase::Examining {
                fault: Fault::NotReady { .. } | Fault::Unhealthy { .. } | Fault::Over { .. },
                ..
            } => world.is_owed(&format!("examine {name} {life}")),
            Phase::Gating { .. } | Phase::Backoff { .. } => unit.deadline().is_some(),
            Phase::Leaving { .. } => {
                dependents(name, stack).iter().any(|other| stack.units[other].is_going())
            }
            Phase::Ending(_) => unit.deadline().is_some() || world.is_owed(&kill),
        };
        if !moves {
            return Err(format!("{name} {life} waits for nothing: {:?}", unit.phase));
        }
    }
    let looked = world.is_owed("verify");
    let units = stack.units.values().any(is_moving);
    if stack.up.is_some() && !(units || looked) {
        return Err("an up waits for nothing".to_owned());
    }
    let strays = world.is_owed("kill Strays") || stack.next_deadline().is_some();
    if stack.down.is_some() && !(units || looked || strays || world.is_owed("seek")) {
        return Err("a down waits for nothing".to_owned());
    }
    if !stack.waiting.is_empty() && stack.up.is_none() && stack.down.is_none() {
        return Err("an up stands in line before an empty counter".to_owned());
    }
    Ok(())
}

/// Something will come of it without any further request.
fn is_moving(unit: &Unit) -> bool {
    !matches!(unit.phase, Phase::Resting(_) | Phase::Ready { .. } | Phase::Survived { .. })
}

fn waits_for_somebody(unit: &Unit, stack: &Stack) -> bool {
    let needed = unit.plan.depends_on.iter().filter_map(|dependency| stack.units.get(&dependency.unit));
    needed.into_iter().any(is_moving)
}
