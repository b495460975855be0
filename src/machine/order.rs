//! The graph at work: start order, conditions of a start, and the stop order as counters that cost nothing to ask.
//!
//! Stop order: a unit is released when each of its dependents has *passed*. A unit passes when it is not on its way out
//! itself and all its own dependents have passed; so the order holds across units that are not being ended.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::Stack;
use super::standing::{Phase, Rest};
use super::turn::Turn;
use super::unit::Unit;
use crate::domain::{Health, UnitKind, UnitName};
use crate::plan::Condition;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    /// It may yet come to hold.
    NotYet,
    /// It will not by itself.
    Never,
}

/// Whether `condition` holds of `unit`.
pub(super) fn holds(unit: &Unit, condition: Condition) -> Holds {
    let task = unit.plan.kind == UnitKind::Task;
    match &unit.phase {
        Phase::Resting(Rest::Completed) => Holds::Yes,
        Phase::Resting(Rest::Stopped | Rest::Ended | Rest::Failed(_)) | Phase::Survived { .. } => {
            Holds::Never
        }
        Phase::Gating { .. } => match condition {
            Condition::Started => Holds::Yes,
            Condition::Completed if !task => Holds::Never,
            Condition::Healthy | Condition::Completed => Holds::NotYet,
        },
        Phase::Ready { checks, .. } => match condition {
            Condition::Started => Holds::Yes,
            Condition::Healthy if checks.health != Health::Unhealthy => Holds::Yes,
            Condition::Healthy | Condition::Completed => Holds::Never,
        },
        Phase::Queued
        | Phase::Starting { .. }
        | Phase::Examining { .. }
        | Phase::Leaving { .. }
        | Phase::Ending(_)
        | Phase::Backoff { .. } => {
            if condition == Condition::Completed && !task {
                Holds::Never
            } else {
                Holds::NotYet
            }
        }
    }
}

impl Stack {
    /// Renews start order and links after plans have changed: `first` come first, in their order, as far as what each
    /// needs allows. An arrow against the order (old plans of running units may contradict the new one) is dropped: a
    /// cycle would hold up the stop for ever.
    pub(super) fn relink(&mut self, first: &[UnitName]) {
        let mut rank: BTreeMap<UnitName, usize> = BTreeMap::new();
        for name in first.iter().chain(&self.order).chain(self.units.keys()) {
            if self.units.contains_key(name) && !rank.contains_key(name) {
                rank.insert(name.clone(), rank.len());
            }
        }
        self.order = sorted(&self.units, &rank);
        let place: BTreeMap<UnitName, usize> =
            self.order.iter().enumerate().map(|(place, name)| (name.clone(), place)).collect();
        let mut dependents: BTreeMap<UnitName, Vec<UnitName>> = BTreeMap::new();
        for (at, name) in self.order.iter().enumerate() {
            let Some(unit) = self.units.get_mut(name) else { continue };
            let before = |needed: &UnitName| place.get(needed).is_some_and(|other| *other < at);
            let needs: BTreeSet<UnitName> = unit.needs().filter(|needed| before(needed)).cloned().collect();
            for needed in &needs {
                dependents.entry(needed.clone()).or_default().push(name.clone());
            }
            unit.links.needs = needs.into_iter().collect();
        }
        for (name, unit) in &mut self.units {
            unit.links.dependents = dependents.remove(name).unwrap_or_default();
        }
    }

    /// Counts the stop order anew after units were told to go, and releases who waits for nobody.
    pub(super) fn recount(&mut self, turn: &mut Turn) {
        let mut free = Vec::new();
        for (name, unit) in &mut self.units {
            unit.links.passed = false;
            unit.links.pending = u32::try_from(unit.links.dependents.len()).unwrap_or(u32::MAX);
            if unit.links.pending == 0 {
                free.push(name.clone());
            }
        }
        self.pass_all(free, turn);
    }

    /// Tells the stop order that a unit may have arrived.
    pub(super) fn pass(&mut self, name: &UnitName, turn: &mut Turn) {
        self.pass_all(vec![name.clone()], turn);
    }

    fn pass_all(&mut self, mut free: Vec<UnitName>, turn: &mut Turn) {
        while let Some(name) = free.pop() {
            let Some(unit) = self.units.get_mut(&name) else { continue };
            if unit.links.pending > 0 || unit.links.passed {
                continue;
            }
            if unit.is_going() {
                if matches!(unit.phase, Phase::Leaving { .. }) {
                    unit.release(turn);
                    turn.touch(&name);
                }
                continue;
            }
            unit.links.passed = true;
            for needed in unit.links.needs.clone() {
                if let Some(other) = self.units.get_mut(&needed) {
                    other.links.pending = other.links.pending.saturating_sub(1);
                    if other.links.pending == 0 {
                        free.push(needed);
                    }
                }
            }
        }
    }
}

/// Kahn's order; among those that are free, the lower rank first. Units in a cycle come last, by rank.
fn sorted(units: &BTreeMap<UnitName, Unit>, rank: &BTreeMap<UnitName, usize>) -> Vec<UnitName> {
    let mut names: Vec<&UnitName> = rank.keys().collect();
    names.sort_by_key(|name| rank[*name]);
    let mut missing = vec![0_usize; names.len()];
    let mut unlocks: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
    for (at, name) in names.iter().enumerate() {
        for needed in units.get(*name).into_iter().flat_map(Unit::needs) {
            if let Some(&needed) = rank.get(needed) {
                missing[at] += 1;
                unlocks[needed].push(at);
            }
        }
    }
    let mut free: BinaryHeap<Reverse<usize>> =
        (0..names.len()).filter(|at| missing[*at] == 0).map(Reverse).collect();
    let mut done = vec![false; names.len()];
    let mut order = Vec::with_capacity(names.len());
    while let Some(Reverse(at)) = free.pop() {
        done[at] = true;
        order.push(names[at].clone());
        for &next in &unlocks[at] {
            missing[next] -= 1;
            if missing[next] == 0 {
                free.push(Reverse(next));
            }
        }
    }
    order.extend((0..names.len()).filter(|at| !done[*at]).map(|at| names[at].clone()));
    order
}
