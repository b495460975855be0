//! How the performer asks the world: probes of gate and health, a look for evidence, and the stop command.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;

use super::birth;
use super::life::{Fact, Held, Key};
use super::performer::{Performer, TAIL_LINES};
use crate::cage::{self, Depth};
use crate::domain::{Exit, Life, ProcId, UnitName};
use crate::health;
use crate::machine::Event;
use crate::plan::{Probe, UnitPlan};
use crate::store::log::tail_from;
use crate::sys::ports::listeners_within;

/// The first questions of a gate come this quickly after each other.
const GATE_START: Duration = Duration::from_millis(10);

/// The slowest pace of a gate's questions, where the health check does not ask more often.
const GATE_SLOWEST: Duration = Duration::from_millis(500);

impl Performer {
    fn context(&self, key: &Key, held: &Held) -> health::Context {
        let environment = match held.plan.container.as_deref() {
            Some(container) => self.engine_environment(key, held, container),
            None if runs_commands(&held.plan) => {
                birth::environment(&self.stack, &self.base, &held.plan, None)
            }
            None => Vec::new(),
        };
        // Who listens for a container is its engine: no tree of ours.
        let is_container = held.plan.container.is_some();
        let (lives, ports, owned) = (Rc::clone(&self.lives), Rc::clone(&self.ports), key.clone());
        health::Context {
            environment: environment.into(),
            working_dir: held.plan.working_dir.clone(),
            log_path: self.dir.log(&key.0),
            log_from: held.log_from.clone(),
            owner: Rc::new(move |port| {
                if is_container {
                    return health::Ownership::Unknown;
                }
                ports.owner(&mut lives.borrow_mut(), &owned, port)
            }),
            notified: held.notified.subscribe(),
            contained: self.contained(key, held),
        }
    }

    pub(super) fn watch_gate(&mut self, key: &Key) {
        let Some(context) = self.lives.borrow().get(key).map(|held| self.context(key, held)) else {
            return;
        };
        let mut lives = self.lives.borrow_mut();
        let Some(held) = lives.get_mut(key) else { return };
        let slowest =
            held.plan.health.as_ref().map_or(GATE_SLOWEST, |health| health.interval.min(GATE_SLOWEST));
        for (number, probe) in held.plan.gate.clone().into_iter().enumerate() {
            let (facts, (unit, life)) = (self.facts.clone(), key.clone());
            let tell = move |answer| {
                let event = Event::Gated { unit: unit.clone(), life, probe: number, answer };
                let _ = facts.send(Fact::Event(event));
            };
            let timeout = held.plan.gate_timeout;
            let task = spawn_local(health::gate(probe, timeout, GATE_START, slowest, context.clone(), tell));
            held.probes.push(task.abort_handle());
        }
    }

    pub(super) fn watch_health(&mut self, key: &Key) {
        let Some(context) = self.lives.borrow().get(key).map(|held| self.context(key, held)) else {
            return;
        };
        let mut lives = self.lives.borrow_mut();
        let Some(held) = lives.get_mut(key) else { return };
        let Some(plan) = held.plan.health.clone() else { return };
        let (facts, (unit, life)) = (self.facts.clone(), key.clone());
        let tell = move |answer| {
            let _ = facts.send(Fact::Event(Event::Checked { unit: unit.clone(), life, answer }));
        };
        held.probes.push(spawn_local(health::check(plan, context, tell)).abort_handle());
    }

    pub(super) fn examine(&mut self, unit: UnitName, life: Life) {
        let key = (unit, life);
        let lives = self.lives.borrow();
        let held = lives.get(&key);
        let members: Vec<ProcId> = held
            .and_then(|held| held.cage.as_ref())
            .map(|cage| cage.census(&mut cage::World::new(), Depth::Tree))
            .map(|members| members.iter().map(|member| member.id).collect())
            .unwrap_or_default();
        let listening = match held.filter(|held| held.plan.container.is_some()) {
            Some(held) => held.contained.borrow().pid.and_then(listening_within).unwrap_or_default(),
            None => cage::listening(&members),
        };
        let tail =
            held.map(|held| tail_from(&self.dir.log(&key.0), &held.log_from, TAIL_LINES)).unwrap_or_default();
        self.tell(Event::Examined { unit: key.0, life, listening, tail });
    }

    pub(super) fn stop_command(&mut self, unit: UnitName, life: Life) {
        let key = (unit, life);
        let mut lives = self.lives.borrow_mut();
        let command = lives.get(&key).and_then(|held| held.plan.stop.command.clone());
        let (Some(held), Some(command)) = (lives.get_mut(&key), command) else {
            self.tell(Event::StopCommandEnded { unit: key.0, life, exit: Exit::Unknown });
            return;
        };
        held.note_ending(&self.dir.record(&key.0, life));
        let context = self.context(&key, held);
        let facts = self.facts.clone();
        let task = spawn_local(async move {
            let exit = health::run(&command, &context).await;
            let _ = facts.send(Fact::Event(Event::StopCommandEnded { unit: key.0, life, exit }));
        });
        held.probes.push(task.abort_handle());
    }
}

/// Whether anything that is asked or done for a unit is a command, and wants an environment.
fn runs_commands(plan: &UnitPlan) -> bool {
    let probes = plan.gate.iter().chain(plan.health.iter().flat_map(|health| &health.probes));
    plan.stop.command.is_some() || probes.into_iter().any(|probe| matches!(probe, Probe::Exec(_)))
}

/// The ports that are listened on where this process is: in its container.
fn listening_within(pid: i32) -> Option<Vec<u16>> {
    let found = listeners_within(pid)?;
    Some(found.iter().map(|one| one.port).collect::<BTreeSet<u16>>().into_iter().collect())
}
