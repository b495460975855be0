//! What the machine knows, as people and programs see it.

use super::Stack;
use super::order::{Holds, holds};
use super::standing::{Fault, Phase, ProbeState, Rest, Run};
use super::unit::Unit;
use super::{request, words};
use crate::domain::{ContainerView, Failure, Health, Moment, OwnHealth, State, UnitKind, UnitView, WallTime};
use crate::plan::Probe;

impl Stack {
    /// Each unit in start order, without its processes; `boot` is the wall time of `Moment(0)`.
    #[must_use]
    pub fn view(&self, now: Moment, boot: WallTime) -> Vec<UnitView> {
        let units = self.order.iter().filter_map(|name| self.units.get(name));
        // A job that is over is nobody's concern any more: it is not started again.
        let over = |unit: &Unit| unit.plan.kind == UnitKind::Job && matches!(unit.phase, Phase::Resting(_));
        let units = units.filter(|unit| !over(unit));
        units.map(|unit| self.unit_view(unit, now, boot)).collect()
    }

    fn unit_view(&self, unit: &Unit, now: Moment, boot: WallTime) -> UnitView {
        let run = run(unit);
        let pid = run.map(|run| run.leader.pid.get());
        let wall = |at: Moment| WallTime(boot.0.saturating_add_unsigned(at.0));
        UnitView {
            name: unit.plan.name.clone(),
            kind: unit.plan.kind,
            state: state(unit),
            health: health(unit),
            note: self.note(unit, now),
            life: unit.life,
            leader: run.map(|run| run.leader),
            pid,
            // The keeper makes the leader the first of its own session and group.
            pgid: pid,
            sid: pid,
            exit: unit.exit,
            restarts: unit.restarts,
            started_at: run.map(|run| wall(run.started)),
            ready_ms: unit.ready_ms,
            ports: unit.plan.ports.iter().map(|port| port.number).collect(),
            labels: unit.plan.labels.clone(),
            container: unit.plan.container.as_ref().map(|container| {
                let state = unit.container.as_deref().cloned();
                ContainerView { state, ..container.view() }
            }),
            processes: Vec::new(),
        }
    }

    /// One line of evidence for the state.
    fn note(&self, unit: &Unit, now: Moment) -> Option<String> {
        let note = match &unit.phase {
            Phase::Resting(Rest::Stopped | Rest::Completed) | Phase::Starting { stop: None } => None,
            Phase::Gating { .. } if words::fetching(unit).is_some() => words::fetching(unit),
            Phase::Resting(Rest::Ended) => Some("ended by itself with exit 0".to_owned()),
            Phase::Resting(Rest::Failed(failure)) => Some(failed(failure)),
            Phase::Queued => self.waits_for(unit),
            Phase::Starting { stop: Some(_) } => Some("is ended as soon as it has started".to_owned()),
            Phase::Gating { probes, .. } => {
                probes.iter().zip(&unit.plan.gate).find_map(|(state, probe)| match state {
                    ProbeState::Held => None,
                    ProbeState::Silent => Some(words::question(probe)),
                    ProbeState::Bad { asked, got } => Some(format!("{asked} → {got}")),
                })
            }
            Phase::Ready { checks, .. } if !checks.answer.is_empty() => Some(checks.answer.clone()),
            Phase::Ready { .. } => unit.watched.words(),
            Phase::Examining { fault: Fault::Over { breach }, .. } => Some(breach.to_string()),
            Phase::Examining { .. } => Some("is ended for a fault of its own".to_owned()),
            Phase::Leaving { .. } => Some("waits until those that depend on it have ended".to_owned()),
            Phase::Ending(ending) => Some(ending.ladder.words()),
            Phase::Backoff { until } => {
                let pause = crate::domain::format_duration(*until - now);
                let trouble = unit.container.as_ref().and_then(|container| container.trouble.as_ref());
                let end = trouble.map(ToString::to_string).or(unit.exit.map(|exit| exit.to_string()));
                let end = end.map_or_else(String::new, |end| format!("{end}; "));
                Some(format!("{end}starts again in {pause}"))
            }
            Phase::Survived { survivors, .. } => Some(failed(&request::survived(survivors.len()))),
        };
        let note = match &unit.plan.instead_of {
            // Only once it runs: before, a note is what it waits for.
            Some(image) if matches!(unit.phase, Phase::Ready { .. }) => {
                let instead = format!("instead of {image}");
                Some(note.map_or_else(|| instead.clone(), |note| format!("{instead}; {note}")))
            }
            Some(_) | None => note,
        };
        if unit.listed || unit.plan.kind == UnitKind::Job {
            return note;
        }
        let gone = "no longer in the manifest";
        Some(note.map_or_else(|| gone.to_owned(), |note| format!("{gone}; {note}")))
    }

    fn waits_for(&self, unit: &Unit) -> Option<String> {
        let unmet = unit.plan.depends_on.iter().find(|dependency| {
            self.units
                .get(&dependency.unit)
                .is_some_and(|other| holds(other, dependency.condition) != Holds::Yes)
        });
        unmet.map(|dependency| format!("needs {}", dependency.unit))
    }
}

fn run(unit: &Unit) -> Option<Run> {
    match &unit.phase {
        Phase::Gating { run, .. }
        | Phase::Ready { run, .. }
        | Phase::Examining { run, .. }
        | Phase::Leaving { run, .. }
        | Phase::Survived { run, .. } => Some(*run),
        Phase::Ending(ending) => Some(ending.run),
        Phase::Resting(_) | Phase::Queued | Phase::Starting { .. } | Phase::Backoff { .. } => None,
    }
}

fn state(unit: &Unit) -> State {
    match &unit.phase {
        Phase::Resting(Rest::Stopped | Rest::Ended) => State::Stopped,
        Phase::Resting(Rest::Completed) => State::Completed,
        Phase::Resting(Rest::Failed(_)) | Phase::Survived { .. } => State::Failed,
        Phase::Queued => State::Queued,
        Phase::Starting { stop: None } | Phase::Gating { .. } => State::Starting,
        Phase::Ready { checks, .. } if checks.health == Health::Unhealthy => State::Unhealthy,
        Phase::Ready { .. } => State::Ready,
        Phase::Starting { stop: Some(_) }
        | Phase::Examining { .. }
        | Phase::Leaving { .. }
        | Phase::Ending(_) => State::Stopping,
        Phase::Backoff { .. } => State::Backoff,
    }
}

fn health(unit: &Unit) -> Health {
    match &unit.phase {
        // Nobody asks it anything: as a process it is ready, and not healthy.
        Phase::Ready { checks, .. } if checks.health == Health::Healthy && asks_nothing(unit) => Health::None,
        Phase::Ready { checks, .. } => checks.health,
        Phase::Resting(_)
        | Phase::Queued
        | Phase::Starting { .. }
        | Phase::Gating { .. }
        | Phase::Examining { .. }
        | Phase::Leaving { .. }
        | Phase::Ending(_)
        | Phase::Backoff { .. }
        | Phase::Survived { .. } => {
            if unit.plan.health.is_some() {
                Health::Unknown
            } else {
                Health::None
            }
        }
    }
}

/// It is a container whose own health check would be asked, and its image brings none.
fn asks_nothing(unit: &Unit) -> bool {
    let only_own = unit.plan.health.as_ref().is_some_and(|health| health.probes == [Probe::Own]);
    only_own && unit.container.as_ref().is_some_and(|container| container.health == OwnHealth::None)
}

/// A failure in one line; the command line has the long form.
fn failed(failure: &Failure) -> String {
    match failure {
        Failure::PortInUse { port, holder } => format!("port {port} is in use by {holder}"),
        Failure::PortConflict { port, holder } => format!("port {port} is answered by {holder}"),
        Failure::CommandNotFound { program, .. } => format!("{program} was not found"),
        Failure::NotExecutable { program, reason } => format!("{program} cannot be executed: {reason}"),
        Failure::WorkingDir { dir, reason } => format!("{dir} cannot be entered: {reason}"),
        Failure::User { user, reason } => format!("cannot become {user}: {reason}"),
        Failure::Fork { reason, .. } => format!("no new process: {reason}"),
        Failure::Start { reason } => reason.clone(),
        Failure::Exited { exit, was_ready: true, .. } => exit.to_string(),
        Failure::Exited { exit, was_ready: false, .. } => format!("{exit} before it was ready"),
        Failure::NotReady { after_ms, answers, .. } => {
            let after = crate::domain::format_duration(std::time::Duration::from_millis(*after_ms));
            let last = answers.first().map_or_else(String::new, |(asked, got)| format!(": {asked} → {got}"));
            format!("not ready after {after}{last}")
        }
        Failure::Unhealthy { answer, .. } => format!("unhealthy: {answer}"),
        Failure::CrashLoop { deaths, within_ms, exit, .. } => {
            let within = crate::domain::format_duration(std::time::Duration::from_millis(*within_ms));
            format!("died {deaths} times in {within}, at last: {exit}")
        }
        Failure::Limit { breach, .. } => breach.to_string(),
        Failure::OutOfMemory { what, .. } => what.to_string(),
        Failure::Survived { count: 1 } => "1 process could not be ended".to_owned(),
        Failure::Survived { count } => format!("{count} processes could not be ended"),
        Failure::Container { trouble, .. } => trouble.to_string(),
        Failure::Blocked { needs } => format!("needs {needs}"),
    }
}
