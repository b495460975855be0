//! How the supervisor ends what the machine wants ended: asks, kills, waits for ends, gives back what a life held, looks for
//! strays and verifies.

use std::collections::BTreeSet;
use std::time::Duration;

use regex::Regex;

use super::containers::{self, forget_life};
use super::keepers::{self, UNSAID};
use super::life::{Held, tell_end};
use super::nursery::Nursery;
use super::orphaned::{Orphaned, WATCHED_ENDS};
use super::performer::Performer;
use crate::cage::{self, Cage, Depth, Hearth, KillOutcome, StackFacts, Whom, World};
use crate::domain::{Life, Signal, UnitName};
use crate::machine::{Cause, Event, Stack, Target};
use crate::plan::SweepScope;
use crate::store::remove_record;
use crate::sys;
use crate::sys::kill_point::{KillPoint, here};

impl Performer {
    pub(super) fn ask(&mut self, target: &Target, signal: Signal, grace: Duration, cause: Cause) {
        let outcome = match target {
            Target::Strays => self.strays.as_mut().map(|(strays, _)| strays.ask(signal)),
            Target::Life { unit, life } => {
                let mut lives = self.lives.borrow_mut();
                let held = lives.get_mut(&(unit.clone(), *life));
                held.and_then(|held| {
                    let to_shim = held.plan.container.is_some();
                    let cage = self.about_to_end(held, unit, *life)?;
                    // A shim has others at work that end its container: they must not be interrupted.
                    if to_shim {
                        containers::order_grace(&self.dir, unit, *life, grace);
                    }
                    let whom = if to_shim { Whom::Leader } else { Whom::All };
                    // Under a keeper only the tree is read, which is less.
                    let (mut tree, mut looks) = (World::new(), self.looks.borrow_mut());
                    let world = if cage.is_kept() { &mut tree } else { looks.since(self.since) };
                    Some(cage.ask(world, whom, signal))
                })
            }
        };
        let outcome = outcome.unwrap_or_default();
        let heard = u32::try_from(outcome.heard.len()).unwrap_or(u32::MAX);
        let refused = outcome.refused.iter().map(|one| one.process).collect();
        here(KillPoint::Asked);
        self.receipts.sent(target, signal, cause, outcome.heard);
        self.receipts.refused(target, signal, cause, outcome.refused);
        self.tell(Event::Asked { target: target.clone(), heard, refused });
        self.wait_for_ends(target);
    }

    pub(super) fn kill(&mut self, target: &Target, cause: Cause) {
        let outcome = match target {
            Target::Strays => self.strays.as_mut().map(|(strays, _)| strays.kill()),
            Target::Life { unit, life } => {
                let mut lives = self.lives.borrow_mut();
                let held = lives.get_mut(&(unit.clone(), *life));
                held.and_then(|held| {
                    let cage = self.about_to_end(held, unit, *life)?;
                    let outcome = cage.kill();
                    let silent = outcome == KillOutcome::default() && cage.is_kept();
                    held.unsaid = if silent { held.unsaid + 1 } else { 0 };
                    if held.unsaid >= UNSAID {
                        held.cage.iter().for_each(keepers::give_up);
                    }
                    Some(outcome)
                })
            }
        };
        let outcome = outcome.unwrap_or_default();
        let forced = outcome.forced.iter().map(|one| (one.process, one.command.clone())).collect();
        let survivors = outcome.survivors;
        here(KillPoint::Killed);
        self.receipts.sent(target, Signal::KILL, cause, outcome.forced);
        let told = Event::Killed { target: target.clone(), forced, survivors };
        match target {
            Target::Life { unit, life } if self.may_run_on(unit, *life) => {
                self.end_container(unit, *life, told);
            }
            _ => self.tell(told),
        }
        self.wait_for_ends(target);
    }

    /// What comes before each signal to a life; its cage, where it has one.
    fn about_to_end<'h>(&self, held: &'h mut Held, unit: &UnitName, life: Life) -> Option<&'h mut Cage> {
        held.note_ending(&self.dir.record(unit, life));
        let cage = held.cage.as_mut()?;
        // What is unread dies with its last reader, and that may be the service.
        held.orphaned.iter().for_each(Orphaned::drain);
        cage.spared.clone_from(&self.spared);
        keepers::wake(cage);
        Some(cage)
    }

    /// While a target is being ended, each end is told: who was born meanwhile must be asked too.
    fn wait_for_ends(&mut self, target: &Target) {
        let facts = self.facts.clone();
        match target {
            Target::Strays => {
                if let Some((strays, waiter)) = &mut self.strays {
                    let watched = self.receipts.watch(target, strays.watch(WATCHED_ENDS));
                    let next = tell_end(target.clone(), watched, None, Duration::ZERO, facts);
                    if let Some(last) = waiter.replace(next) {
                        last.abort();
                    }
                }
            }
            Target::Life { unit, life } => {
                let mut lives = self.lives.borrow_mut();
                let Some(held) = lives.get_mut(&(unit.clone(), *life)) else { return };
                let Some(cage) = &held.cage else { return };
                let (watched, at_latest, breath) = if held.orphaned.is_some() {
                    let mut looks = self.looks.borrow_mut();
                    let watched = cage.watch_in(looks.since(self.since), WATCHED_ENDS);
                    let at_latest = watched.is_none().then_some(Duration::ZERO);
                    (watched.unwrap_or_default(), at_latest, looks.breath())
                } else {
                    (cage.watch(WATCHED_ENDS, Depth::Tree), None, Duration::ZERO)
                };
                if watched.is_empty() && held.orphaned.is_none() {
                    return;
                }
                let watched = self.receipts.watch(target, watched);
                if let Some(last) =
                    held.waiter.replace(tell_end(target.clone(), watched, at_latest, breath, facts))
                {
                    last.abort();
                }
            }
        }
    }

    pub(super) fn retire(&mut self, unit: &UnitName, life: Life) {
        let Some(mut held) = self.lives.borrow_mut().remove(&(unit.clone(), life)) else { return };
        held.end_tasks();
        if let Some(keeper) = held.keeper.take() {
            // It ends by itself after `Emptied`; its connection's end has not been seen yet.
            self.leaving.add(keeper, held.cage.as_ref().and_then(|cage| cage.keeper));
        }
        let began = held.cage.is_some();
        if let Some(leaf) = held.cage.and_then(|cage| cage.cgroup).or(held.leaf) {
            let _ = leaf.remove();
        }
        held.bounds.remove();
        forget_life(&self.dir, &held.plan, life, began);
        remove_record(&self.dir, unit, life);
        here(KillPoint::RecordRemoved);
    }

    /// All that is known of the stack beyond single lives.
    pub(super) fn stack_facts(&self) -> StackFacts {
        let lives = self.lives.borrow();
        let cages: Vec<Cage> = lives.values().filter_map(|held| held.cage.clone()).collect();
        let keepers = cages.iter().filter_map(|cage| cage.keeper);
        let own = keepers.chain(self.nursery.iter().map(Nursery::id)).chain(self.leaving.ids());
        let own = own.chain(self.helpers.ids()).collect();
        StackFacts {
            stack: self.stack.secret.clone(),
            dir: self.stack.dir().to_owned(),
            lives: cages,
            hearth: sys::proc::own_id()
                .filter(|_| self.inherits)
                .map(|supervisor| Hearth { supervisor, own }),
            spared: self.spared.clone(),
            apart: self.apart.iter().map(|(run, _)| *run).collect(),
            doubted: self.doubted.clone(),
            // The plan was checked when it was made; a pattern of a damaged file matches nothing.
            patterns: self.sweep.patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect(),
            user_wide: self.sweep.scope == SweepScope::User,
            beside: None,
        }
    }

    /// The same beside what runs on: from the ledger, which knows jobs as well.
    fn facts_beside(&self) -> StackFacts {
        let doubted = self.doubted.clone();
        let facts = super::sweep::beside(&self.dir, &self.stack, &self.sweep, self.spared.clone());
        StackFacts { doubted, ..facts }
    }

    pub(super) fn seek(&mut self, beside: bool) {
        // Whoever is told that all has ended finds no keeper any more.
        self.leaving.settle();
        let facts = if beside { self.facts_beside() } else { self.stack_facts() };
        let sought = cage::seek(&facts);
        here(KillPoint::Sought);
        self.strays = Some((sought.prey, None));
        self.tell(Event::Sought { strays: sought.strays, left_alone: sought.left_alone });
    }

    pub(super) fn verify(&mut self, units: Option<&[UnitName]>, strays: bool, stack: &Stack) {
        self.leaving.settle();
        let ports: BTreeSet<u16> = match units {
            None => self.ports_declared.clone(),
            Some(units) => {
                let plans = units.iter().filter_map(|unit| stack.unit_plan(unit));
                plans.flat_map(|plan| &plan.ports).map(|port| port.number).collect()
            }
        };
        let ports: Vec<u16> = ports.into_iter().collect();
        let facts = if strays { self.facts_beside() } else { self.stack_facts() };
        self.verify_all(&facts, units.map(<[UnitName]>::to_vec), ports);
        here(KillPoint::Verified);
    }
}
