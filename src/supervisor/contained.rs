//! Lives that are containers: what their shims tell is heard, and none is told as over while its container may run on.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::birth;
use super::containers::{self, Search, end_unit, is_done, name_publishers, stands_for_one, state_of};
use super::engines::{EngineAt, Record, engines, suspected};
use super::life::{Fact, Held, Key};
use super::performer::Performer;
use crate::cage::{self, StackFacts};
use crate::domain::{ContainerState, ContainerTrouble, Failure, Life, PortHolder, UnitName};
use crate::engine::{Engine as _, label};
use crate::health;
use crate::machine::{Event, Target};
use crate::plan::ContainerPlan;

/// An engine that hangs holds the end of a life no longer: the proof at the end of the stop tells what is left.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy ends a moment after its container.
const PROXY: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
/// Until then nobody is asked whether it stands for another one.
const SOON: Duration = Duration::from_millis(200);

impl Performer {
    /// From now on what the shim of this life tells is heard.
    pub(super) fn hear_shim(&self, key: &Key, held: &mut Held) {
        if held.plan.container.is_none() {
            return;
        }
        let (facts, state, (unit, life)) = (self.facts.clone(), held.contained.clone(), key.clone());
        let path = self.dir.container_state(&unit, life);
        let mut first = true;
        let task = spawn_local(health::follow(path, move |told| {
            // The last words may have been heard with the end of the shim.
            let news = state.send_if_modified(|heard| {
                let news = std::mem::take(&mut first) || *heard != told;
                heard.clone_from(&told);
                news
            });
            if news {
                let event = Event::Contained { unit: unit.clone(), life, state: told };
                let _ = facts.send(Fact::Event(event));
            }
        }));
        held.shim = Some(task.abort_handle());
    }

    /// The container of a life as its probes see it.
    pub(super) fn contained(&self, key: &Key, held: &Held) -> Option<health::Contained> {
        let plan = held.plan.container.as_deref()?;
        let client = self.engine_of(key, plan).client();
        Some(health::Contained {
            state: held.contained.subscribe(),
            publish: plan.publish.clone().into(),
            inside: Rc::new(move |id, words| client.exec_words(id, &[], words)),
        })
    }

    /// The environment of what is run inside a container: that of the engine's command.
    pub(super) fn engine_environment(
        &self,
        key: &Key,
        held: &Held,
        plan: &ContainerPlan,
    ) -> Vec<(String, String)> {
        // A life that was taken over is watched before its next caller brings an environment.
        let mut all: BTreeMap<String, String> =
            if self.base.is_empty() { std::env::vars().collect() } else { self.base.clone() };
        all.extend(self.engine_of(key, plan).environment().clone());
        // As a command of the engine has it: not there, where it is not set.
        all.retain(|_, value| !value.is_empty());
        birth::marked(&self.stack, all, &held.plan, None)
    }

    /// The engine of a life: the one that it was begun on, wherever the environment of a later caller leads.
    fn engine_of(&self, (unit, life): &Key, plan: &ContainerPlan) -> EngineAt {
        if let Some(known) = engines(&self.dir).into_iter().find(|one| one.holds(&self.dir, unit, *life)) {
            return known;
        }
        if self.base.is_empty()
            && let Some(known) = engines(&self.dir).into_iter().find(|one| one.serves(plan))
        {
            return known;
        }
        EngineAt::of(plan, &self.base)
    }

    /// What the machine is told of a life's end, where the life is a container: the shim's last words before it, and that
    /// nothing is left only once its engine has ended what a killed shim has left behind.
    pub(super) fn with_container(&self, event: Event) -> Vec<Event> {
        match &event {
            Event::Exited { unit, life, .. } if self.is_contained(unit, *life) => {
                let state = state_of(&self.dir, unit, *life).filter(|state| self.is_news(unit, *life, state));
                let last = state.map(|state| Event::Contained { unit: unit.clone(), life: *life, state });
                last.into_iter().chain([event]).collect()
            }
            Event::Emptied { target: Target::Life { unit, life } } if self.may_run_on(unit, *life) => {
                self.end_container(unit, *life, event.clone());
                Vec::new()
            }
            _ => vec![event],
        }
    }

    /// Whether this was not heard before; it is heard then.
    fn is_news(&self, unit: &UnitName, life: Life, state: &ContainerState) -> bool {
        let lives = self.lives.borrow();
        let Some(held) = lives.get(&(unit.clone(), life)) else { return true };
        held.contained.send_if_modified(|heard| {
            let news = heard != state;
            heard.clone_from(state);
            news
        })
    }

    fn is_contained(&self, unit: &UnitName, life: Life) -> bool {
        self.lives.borrow().get(&(unit.clone(), life)).is_some_and(|held| held.plan.container.is_some())
    }

    /// Whether its container may run although its shim is gone.
    pub(super) fn may_run_on(&self, unit: &UnitName, life: Life) -> bool {
        self.is_contained(unit, life) && !is_done(state_of(&self.dir, unit, life).as_ref())
    }

    /// Has the engine kill what runs of a life, and tells this event then.
    pub(super) fn end_container(&self, unit: &UnitName, life: Life, then: Event) {
        let lives = self.lives.borrow();
        let held = lives.get(&(unit.clone(), life));
        let Some((held, plan)) = held.and_then(|held| Some((held, held.plan.container.as_deref()?))) else {
            return self.tell(then);
        };
        let (engine, ended) = (self.engine_of(&(unit.clone(), life), plan), Rc::clone(&held.container_ended));
        let (owner, unit, facts) = (label::owner(&self.stack.secret), unit.clone(), self.facts.clone());
        let ran = held.contained.borrow().id.is_some();
        spawn_local(async move {
            let mut ended = ended.lock().await;
            if !*ended {
                let work = async {
                    end_unit(&engine, &owner, &unit).await?;
                    if !ran {
                        // What a killed shim was just asking for may still be done.
                        sleep(containers::AFTERMATH).await;
                        end_unit(&engine, &owner, &unit).await?;
                    }
                    Ok::<(), ContainerTrouble>(())
                };
                match timeout(PATIENCE, work).await {
                    Ok(Ok(())) => {
                        tracing::info!(%unit, "its shim was killed: its engine was told to end the container");
                    }
                    Ok(Err(trouble)) => tracing::warn!(%unit, %trouble, "its container may run on"),
                    Err(_) => tracing::warn!(%unit, "its container may run on: its engine does not answer"),
                }
                *ended = true;
            }
            let _ = facts.send(Fact::Event(then));
        });
    }

    /// Looks at what is left after a stop; engines are asked where the stack has used any.
    pub(super) fn verify_all(&self, facts: &StackFacts, units: Option<Vec<UnitName>>, ports: Vec<u16>) {
        let units = units.map(|met| [met, self.unmet.clone()].concat());
        // A sweep is no business of engines: what runs in containers is theirs.
        let sweep = units.as_ref().is_some_and(Vec::is_empty);
        let record = Record::of(&self.dir, &self.stack);
        let engines = if sweep { Vec::new() } else { self.engines_to_ask(record) };
        let (tell, facts) = (self.facts.clone(), facts.clone());
        if engines.is_empty() {
            let (survivors, mut ports) = cage::verify(&facts, units.as_deref(), &ports);
            // The stack has no container, but somebody's may hold its port.
            let publishers =
                if ports.iter().any(stands_for_one) { self.engines_to_ask(Record::None) } else { Vec::new() };
            if publishers.is_empty() {
                return self.tell(Event::Verified { survivors, ports, containers: None });
            }
            spawn_local(async move {
                name_publishers(&publishers, &mut ports).await;
                let _ = tell.send(Fact::Event(Event::Verified { survivors, ports, containers: None }));
            });
            return;
        }
        let (dir, owner) = (self.dir.clone(), label::owner(&self.stack.secret));
        spawn_local(async move {
            let search = Search { dir, owner, engines, record, units };
            let proof = search.prove().await;
            let (survivors, mut status) = cage::verify(&facts, search.units.as_deref(), &ports);
            let begun = Instant::now();
            while proof.is_clean() && status.iter().any(stands_for_one) && begun.elapsed() < PROXY {
                // One that stands for a stranger's container stays.
                if begun.elapsed() > SOON {
                    name_publishers(&search.engines, &mut status).await;
                    if status.iter().any(|port| port.container.is_some()) {
                        break;
                    }
                }
                sleep(PAUSE).await;
                status = cage::holders(&ports);
            }
            name_publishers(&search.engines, &mut status).await;
            let containers = Some(Box::new(proof));
            let _ = tell.send(Fact::Event(Event::Verified { survivors, ports: status, containers }));
        });
    }

    /// The engines that may hold something of the stack, as far as anybody can tell.
    fn engines_to_ask(&self, record: Record) -> Vec<EngineAt> {
        let own: BTreeMap<String, String>;
        let base = if self.base.is_empty() {
            own = std::env::vars().collect();
            &own
        } else {
            &self.base
        };
        let planned = self.stack.plan.iter().flat_map(|plan| &plan.units);
        let found = suspected(&self.dir, record, planned.chain(&self.brought), base);
        found.into_iter().map(|engine| engine.found_by(&self.path)).collect()
    }

    /// Why a port is taken, where an engine holds it for a container: by which one.
    pub(super) fn tell_port_in_use(&self, unit: UnitName, life: Life, port: u16, holder: PortHolder) {
        let engines = engines(&self.dir);
        let facts = self.facts.clone();
        spawn_local(async move {
            let mut publishing = None;
            for engine in engines {
                let asked = timeout(PROXY, engine.client().publishing(port)).await;
                let found = asked.ok().and_then(Result::ok).unwrap_or_default().into_iter().next();
                publishing = publishing.or(found.map(|found| (engine.kind(), found.name)));
            }
            let why = match publishing {
                Some((engine, name)) => {
                    let (container, holder) = (Some(name), Some(holder));
                    Failure::Container {
                        engine,
                        trouble: ContainerTrouble::PortTaken { port, container, holder },
                    }
                }
                None => Failure::PortInUse { port, holder },
            };
            let _ = facts.send(Fact::Event(Event::NotStarted { unit, life, why }));
        });
    }

    /// Whether the holder of a port only stands for a container, and this stack knows whom to ask for it.
    pub(super) fn is_for_a_container(&self, holder: &PortHolder) -> bool {
        cage::is_engines(holder) && !engines(&self.dir).is_empty()
    }
}
