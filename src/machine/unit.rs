//! One unit: its present life and its neighbours, and what each fact makes of it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::Watched;
use super::restart::Deaths;
use super::standing::{Fact, Goal, Phase, Rest, Run, StopOrder, Then};
use super::turn::Turn;
use super::{Action, Adopted, Target};
use crate::domain::{
    ContainerState, ContainerStep, EndedContainer, EndedUnit, Exit, Health, Life, Moment, Survivor, UnitKind,
    UnitName,
};
use crate::plan::UnitPlan;

/// So much longer the ladder of a container's life waits than its engine does.
pub const ENGINE_LAG: Duration = Duration::from_secs(2);

/// A unit and its present life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Unit {
    /// The plan of its present life; at rest, of its next.
    pub(super) plan: Arc<UnitPlan>,
    /// The newest plan names it.
    pub(super) listed: bool,
    /// The present life, or the last one.
    pub(super) life: Life,
    /// The highest number ever given to a life of this unit.
    pub(super) last: Life,
    pub(super) phase: Phase,
    /// How the last life ended.
    pub(super) exit: Option<Exit>,
    pub(super) deaths: Deaths,
    /// Restarts by policy since it was asked for.
    pub(super) restarts: u32,
    /// Milliseconds until the present life was ready.
    pub(super) ready_ms: Option<u64>,
    /// What the shim told last of the container of the present life, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<Box<ContainerState>>,
    /// Its limits, and what is known of them.
    #[serde(default)]
    pub(super) watched: Box<Watched>,
    pub(super) links: Links,
}

/// Its neighbours in the graph, and where it stands in the stop order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Links {
    pub(super) needs: Vec<UnitName>,
    pub(super) dependents: Vec<UnitName>,
    /// Dependents that still hold it up in the stop order.
    pub(super) pending: u32,
    /// It holds nobody up.
    pub(super) passed: bool,
}

impl Unit {
    pub(super) fn new(plan: Arc<UnitPlan>, last: Life) -> Self {
        Self {
            plan,
            listed: true,
            life: last,
            last,
            phase: Phase::Resting(Rest::Stopped),
            exit: None,
            deaths: Deaths::default(),
            restarts: 0,
            ready_ms: None,
            container: None,
            watched: Box::default(),
            links: Links::default(),
        }
    }

    /// It may have living members, or is about to.
    pub(super) fn has_life(&self) -> bool {
        match self.phase {
            Phase::Resting(_) | Phase::Queued | Phase::Backoff { .. } => false,
            Phase::Starting { .. }
            | Phase::Gating { .. }
            | Phase::Ready { .. }
            | Phase::Examining { .. }
            | Phase::Leaving { .. }
            | Phase::Ending(_)
            | Phase::Survived { .. } => true,
        }
    }

    /// What could not be ended of it.
    pub(super) fn survivors(&self) -> &[Survivor] {
        match &self.phase {
            Phase::Survived { survivors, .. } => survivors,
            Phase::Resting(_)
            | Phase::Queued
            | Phase::Starting { .. }
            | Phase::Gating { .. }
            | Phase::Ready { .. }
            | Phase::Examining { .. }
            | Phase::Leaving { .. }
            | Phase::Ending(_)
            | Phase::Backoff { .. } => &[],
        }
    }

    /// What it needs, by its present plan and by the one of its next life.
    pub(super) fn needs(&self) -> impl Iterator<Item = &UnitName> {
        let next = self.goal().and_then(|goal| match goal {
            Goal::Again(plan) => Some(&plan.depends_on),
            Goal::Rest => None,
        });
        self.plan.depends_on.iter().chain(next.into_iter().flatten()).map(|dependency| &dependency.unit)
    }

    /// What shall be after the stop that it is in.
    fn goal(&self) -> Option<&Goal> {
        match &self.phase {
            Phase::Starting { stop } => stop.as_ref().map(|order| &order.goal),
            Phase::Leaving { order, .. } => Some(&order.goal),
            Phase::Ending(ending) => match &ending.then {
                Then::Reach(goal) => Some(goal),
                Then::Fail(_) | Then::Judge | Then::Heal { .. } | Then::Yield { .. } => None,
            },
            Phase::Resting(_)
            | Phase::Queued
            | Phase::Gating { .. }
            | Phase::Ready { .. }
            | Phase::Examining { .. }
            | Phase::Backoff { .. }
            | Phase::Survived { .. } => None,
        }
    }

    /// It was to be started anew: not any more.
    pub(super) fn forgo(&mut self, turn: &mut Turn) {
        if matches!(self.goal(), Some(Goal::Again(_))) {
            self.stop(StopOrder { goal: Goal::Rest, force: false, grace: None }, turn);
            turn.touch(&self.plan.name);
        }
    }

    /// It is on its way out: what it depends on is not asked before it has arrived.
    pub(super) fn is_going(&self) -> bool {
        match &self.phase {
            Phase::Leaving { .. } | Phase::Ending(_) => true,
            Phase::Starting { stop } => stop.is_some(),
            Phase::Resting(_)
            | Phase::Queued
            | Phase::Gating { .. }
            | Phase::Ready { .. }
            | Phase::Examining { .. }
            | Phase::Backoff { .. }
            | Phase::Survived { .. } => false,
        }
    }

    /// It is ready, and its last health check was good.
    pub(super) fn is_sound(&self) -> bool {
        matches!(&self.phase, Phase::Ready { checks, .. } if checks.bad == 0 && checks.health == Health::Healthy)
    }

    /// See [`super::Stack::is_stirred`].
    pub(super) fn is_stirred(&self) -> bool {
        matches!(&self.phase, Phase::Ending(ending) if ending.ladder.is_stirred())
    }

    /// Nothing will change by itself any more.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Resting(_) | Phase::Survived { .. })
    }

    /// When [`Fact::Due`] has something to do.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Gating { run, deadline, .. } => {
                Some(self.runtime_end(run).map_or(*deadline, |end| end.min(*deadline)))
            }
            Phase::Ready { run, .. } => self.runtime_end(run),
            Phase::Backoff { until } => Some(*until),
            Phase::Ending(ending) => ending.ladder.deadline(),
            Phase::Resting(_)
            | Phase::Queued
            | Phase::Starting { .. }
            | Phase::Examining { .. }
            | Phase::Leaving { .. }
            | Phase::Survived { .. } => None,
        }
    }

    /// A request wants it: it waits for its conditions, and earlier deaths are forgiven.
    pub(super) fn queue(&mut self, plan: Arc<UnitPlan>) {
        self.plan = plan;
        self.deaths = Deaths::default();
        self.restarts = 0;
        self.phase = Phase::Queued;
    }

    /// A new life begins.
    pub(super) fn start(&mut self, turn: &mut Turn) {
        self.last = Life(self.last.0 + 1);
        self.life = self.last;
        self.ready_ms = None;
        self.container = None;
        *self.watched = Watched::default();
        self.phase = Phase::Starting { stop: None };
        turn.act(Action::Start { plan: Arc::clone(&self.plan), life: self.life });
    }

    /// A stop wins from every phase.
    pub(super) fn stop(&mut self, order: StopOrder, turn: &mut Turn) {
        match std::mem::replace(&mut self.phase, Phase::Queued) {
            Phase::Resting(rest) => self.phase = Phase::Resting(rest),
            Phase::Queued | Phase::Backoff { .. } => self.reach(order.goal),
            Phase::Starting { stop } => self.phase = Phase::Starting { stop: Some(order.over(stop)) },
            Phase::Gating { run, .. } | Phase::Ready { run, .. } => {
                self.unwatch(run, turn);
                self.phase = self.leave(run, order, turn);
            }
            Phase::Examining { run, .. } | Phase::Survived { run, .. } => {
                self.phase = self.leave(run, order, turn);
            }
            Phase::Leaving { run, order: old } => {
                self.phase = self.leave(run, order.over(Some(old)), turn);
            }
            Phase::Ending(mut ending) => {
                ending.then = Then::Reach(order.goal);
                if let Some(grace) = order.grace {
                    ending.ladder.shorten(grace_of(&self.plan, Some(grace)));
                }
                if order.force {
                    ending.ladder.force(turn);
                }
                self.phase = Phase::Ending(ending);
            }
        }
    }

    /// Its turn in the stop order has come.
    pub(super) fn release(&mut self, turn: &mut Turn) {
        match std::mem::replace(&mut self.phase, Phase::Queued) {
            Phase::Leaving { run, order } => self.phase = self.ordered(run, order, turn),
            other @ (Phase::Resting(_)
            | Phase::Queued
            | Phase::Starting { .. }
            | Phase::Gating { .. }
            | Phase::Ready { .. }
            | Phase::Examining { .. }
            | Phase::Ending(_)
            | Phase::Backoff { .. }
            | Phase::Survived { .. }) => self.phase = other,
        }
    }

    /// A life from before this supervisor. Only where no other life is known of: the recovery comes before the requests.
    pub(super) fn adopt(&mut self, adopted: Adopted, turn: &mut Turn) {
        match self.phase {
            Phase::Resting(_) | Phase::Queued | Phase::Backoff { .. } => {}
            Phase::Starting { .. }
            | Phase::Gating { .. }
            | Phase::Ready { .. }
            | Phase::Examining { .. }
            | Phase::Leaving { .. }
            | Phase::Ending(_)
            | Phase::Survived { .. } => return,
        }
        self.plan = Arc::new(adopted.plan);
        self.life = adopted.life;
        self.last = self.last.max(adopted.life);
        self.ready_ms = None;
        self.container = None;
        *self.watched = Watched::default();
        // A task is never ready, whatever it is told as: it ends, or it is late.
        let ready = adopted.ready && self.plan.kind == UnitKind::Service;
        let run = Run { leader: adopted.leader, started: adopted.started, ready: ready.then_some(turn.now) };
        self.phase = match adopted.exit {
            Some(exit) => Phase::Ending(Box::new(self.died(run, exit, Vec::new(), Then::Judge, turn))),
            None if ready => self.ready(run, turn),
            None => self.gate(run, turn),
        };
    }

    /// What a fact makes of it: the phase first, the fact inside.
    pub(super) fn handle(&mut self, fact: Fact, turn: &mut Turn) {
        if fact == Fact::Due
            && let Phase::Gating { run, .. } | Phase::Ready { run, .. } = &self.phase
            && self.runtime_end(run).is_some_and(|end| turn.now >= end)
        {
            return self.ran_out(run.started, turn);
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Queued) {
            // Whatever is told about a life that is over changes nothing.
            Phase::Resting(rest) => Phase::Resting(rest),
            Phase::Queued => Phase::Queued,
            Phase::Backoff { until } => return self.backing_off(until, &fact, turn),
            Phase::Starting { stop } => self.starting(stop, fact, turn),
            Phase::Gating { run, deadline, probes } => self.gating(run, deadline, probes, fact, turn),
            Phase::Ready { run, checks } => self.running(run, checks, fact, turn),
            Phase::Examining { run, fault } => self.examining(run, fault, fact, turn),
            Phase::Leaving { run, order } => self.leaving(run, order, fact, turn),
            Phase::Ending(ending) => self.ending(ending, fact, turn),
            Phase::Survived { run, survivors } => self.survived(run, survivors, &fact, turn),
        };
    }

    /// How its container was ended, where it is one.
    pub(super) fn ended_container(&self, row: &EndedUnit, outlasted: bool) -> Option<EndedContainer> {
        let name = self.plan.container.as_ref()?.name.clone();
        let state = self.container.as_ref().filter(|state| state.id.is_some())?;
        // Without a shim nobody asks it any more: its engine is told to kill it.
        let without_shim = !row.deaf.is_empty() && state.step != ContainerStep::Ended;
        Some(EndedContainer { name, forced: state.forced || without_shim, deaf: state.forced || outlasted })
    }

    /// The last lines of a log, and what no program can write any more.
    pub(super) fn with_lack_of_memory(&self, mut tail: Vec<String>) -> Vec<String> {
        if let Some(container) = &self.plan.container
            && self.container.as_ref().is_some_and(|state| state.out_of_memory)
        {
            tail.push(match container.memory {
                Some(_) => "(the kernel ended it: it wanted more memory than its limits give it)".to_owned(),
                None => "(the kernel ended it for want of memory)".to_owned(),
            });
        }
        tail
    }

    pub(super) fn target(&self) -> Target {
        Target::Life { unit: self.plan.name.clone(), life: self.life }
    }

    /// Comes to where a stop was to lead.
    pub(super) fn reach(&mut self, goal: Goal) {
        match goal {
            Goal::Rest => self.phase = Phase::Resting(Rest::Stopped),
            Goal::Again(plan) => self.queue(plan),
        }
    }
}

/// How long its ladder waits before it kills. The engine does the killing of a container, and takes a moment for it.
pub(super) fn grace_of(plan: &UnitPlan, ordered: Option<Duration>) -> Duration {
    let grace = ordered.unwrap_or(plan.stop.grace);
    if plan.container.is_some() { grace + ENGINE_LAG } else { grace }
}
