//! Sensors: a question to the world, a plain fact back. They decide nothing.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::PortHolder;
use crate::machine::Answer;
use crate::plan::{HealthPlan, Probe};
use crate::store::log::Position;

/// Whose listener answers on a TCP port of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// A member of the unit's own tree.
    Own,
    /// Only somebody else.
    Foreign(PortHolder),
    /// No listener is seen.
    Nobody,
    /// It cannot be told.
    Unknown,
}

/// What the probes of one life need of the world. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The whole environment of `exec` probes.
    pub environment: Rc<[(String, String)]>,
    /// Where `exec` probes run.
    pub working_dir: PathBuf,
    /// The unit's log.
    pub log_path: PathBuf,
    /// Where this life begins in the log: [`Position::now`], taken before its start.
    pub log_from: Position,
    /// Whose tree listens on a port.
    pub owner: Rc<dyn Fn(u16) -> Ownership>,
    /// Becomes true when the unit has sent `READY=1`.
    pub notified: watch::Receiver<bool>,
}

/// Asks one probe at once and then from `start` on at growing intervals (never more than `max_interval`) until it holds
/// once. Each answer is told; ends after `Answer::Good`. Dropping the future ends all that it started.
pub async fn gate(
    probe: Probe,
    timeout: Duration,
    start: Duration,
    max_interval: Duration,
    ctx: Context,
    tell: impl FnMut(Answer),
) {
    let _ = (probe, timeout, start, max_interval, ctx, tell);
    todo!()
}

/// Asks all probes of a health check, one round per interval, the first after one interval, for ever. One answer is
/// told per round: the first that is not good, else `Answer::Good`. Dropping the future ends all that it started.
pub async fn check(plan: HealthPlan, ctx: Context, tell: impl FnMut(Answer)) {
    let _ = (plan, ctx, tell);
    todo!()
}

/// Stub until merged.
pub async fn run(_c: &crate::plan::CommandPlan, _x: &Context) -> crate::domain::Exit {
    crate::domain::Exit::Unknown
}
