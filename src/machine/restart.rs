//! What follows a death: rest, failure, or another try after a pause. Pure policy, no phases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{Breach, ContainerTrouble, Exit, Failure, Moment, OnBreach, OutOfMemory, UnitKind};
use crate::plan::{RestartPolicy, UnitPlan};

/// The pause after the first death; it doubles with each further one.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Being ready for so long ends a row of deaths.
pub(super) const CALM: Duration = Duration::from_secs(10);
/// So many deaths in a row are a crash loop, where the policy gives no number.
pub(super) const LOOP: u32 = 5;

/// Deaths in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deaths {
    pub(super) count: u32,
    /// When the first life of the row began.
    since: Moment,
}

/// One death: of a life that began at `started`, had been ready since `ready`, and died at `at`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Death {
    pub(super) started: Moment,
    pub(super) ready: Option<Moment>,
    pub(super) at: Moment,
    pub(super) exit: Exit,
    pub(super) tail: Vec<String>,
    /// The last answer of the health check, where it was ended for that.
    pub(super) unhealthy: Option<String>,
    /// The limit that it was ended for.
    pub(super) breach: Option<Breach>,
    /// What the kernel did for want of memory, where that is what it died of.
    pub(super) out_of_memory: Option<OutOfMemory>,
    /// Why its container could not be had or kept, where that is what it died of.
    pub(super) trouble: Option<ContainerTrouble>,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// A task is done.
    Complete,
    /// A service that had been ready ended by itself, in peace.
    Ended,
    /// It has failed for good.
    Fail(Failure),
    /// Another life after this pause.
    Again(Duration),
}

/// Decides what follows a death, and counts it.
pub(super) fn after(death: Death, plan: &UnitPlan, deaths: &mut Deaths) -> Next {
    let by_itself = death.unhealthy.is_none() && death.breach.is_none();
    // A limit says that it is to be restarted, whatever its policy says of deaths.
    let insists = death.unhealthy.is_some()
        || death.breach.as_ref().is_some_and(|breach| breach.action == OnBreach::Restart);
    if by_itself && death.exit.is_success() {
        match (plan.kind, plan.restart) {
            (UnitKind::Task | UnitKind::Job, _) => return Next::Complete,
            (UnitKind::Service, RestartPolicy::Always) => {}
            // `on-failure` does not restart a clean exit (as systemd); before it was ready it is a failure all the same.
            (UnitKind::Service, RestartPolicy::No | RestartPolicy::OnFailure { .. }) => {
                return if death.ready.is_some() { Next::Ended } else { Next::Fail(exited(death, plan)) };
            }
        }
    }
    deaths.note(&death);
    if death.breach.as_ref().is_some_and(|breach| breach.action == OnBreach::Stop) {
        return Next::Fail(exited(death, plan));
    }
    if death.trouble.as_ref().is_some_and(ContainerTrouble::is_lasting) {
        // Another try would only hide the evidence.
        return Next::Fail(exited(death, plan));
    }
    let most = match plan.restart {
        RestartPolicy::No if !insists => return Next::Fail(exited(death, plan)),
        RestartPolicy::OnFailure { max: Some(max) } => max.saturating_add(1),
        RestartPolicy::No | RestartPolicy::OnFailure { max: None } | RestartPolicy::Always => LOOP,
    };
    if deaths.count < most {
        Next::Again(pause(deaths.count))
    } else {
        Next::Fail(given_up(death, plan, *deaths))
    }
}

fn pause(deaths: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << deaths.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

fn exited(death: Death, plan: &UnitPlan) -> Failure {
    if let (Some(trouble), Some(container)) = (death.trouble, &plan.container) {
        return Failure::Container { engine: container.engine, trouble };
    }
    if let Some(what) = death.out_of_memory {
        return Failure::OutOfMemory { what, tail: death.tail };
    }
    if let Some(breach) = death.breach {
        return Failure::Limit { breach, tail: death.tail };
    }
    Failure::Exited { exit: death.exit, was_ready: death.ready.is_some(), tail: death.tail }
}

fn given_up(death: Death, plan: &UnitPlan, deaths: Deaths) -> Failure {
    match death.unhealthy {
        Some(answer) => Failure::Unhealthy { answer, tail: death.tail },
        // Why the last try failed says more than how often.
        None if deaths.count == 1 || death.has_a_reason() => exited(death, plan),
        None => Failure::CrashLoop {
            deaths: deaths.count,
            within_ms: death.at.0.saturating_sub(deaths.since.0),
            exit: death.exit,
            tail: death.tail,
        },
    }
}

impl Death {
    fn has_a_reason(&self) -> bool {
        self.trouble.is_some() || self.breach.is_some() || self.out_of_memory.is_some()
    }
}

impl Deaths {
    fn note(&mut self, death: &Death) {
        let calm = death.ready.is_some_and(|ready| death.at - ready >= CALM);
        if self.count == 0 || calm {
            *self = Self { count: 0, since: death.started };
        }
        self.count += 1;
    }
}
