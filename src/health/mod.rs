//! Sensors: a question to the world, a plain fact back. They decide nothing.
//!
//! [`gate`] asks one probe until it holds once, [`check`] asks a health check for ever. Both are plain futures: dropping
//! one ends all that it started. What the kernel can tell (a line in a log, `READY=1`) is waited for; the rest is asked
//! again and again, without a thread and without a connection kept.

mod beat;
mod contained;
mod endpoint;
mod exec;
mod http;
mod hub;
mod log;
mod question;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

pub use self::contained::{Contained, Inside, follow};
use self::question::Question;
use crate::domain::{Exit, PortHolder};
use crate::machine::Answer;
use crate::plan::{CommandPlan, HealthPlan, Probe};
use crate::store::log::Position;

/// A gate is asked again after this part of the time that it has been asked: what is ready after two seconds is told
/// at most 0.2 seconds late, and nothing is asked more often than it can matter.
const LATENESS: u32 = 10;

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

/// Runs a command of the unit's once, such as its stop command. Dropping the future kills its whole process group.
pub async fn run(command: &CommandPlan, ctx: &Context) -> Exit {
    match exec::Exec::new(command).run(ctx).await {
        Ok((exit, _)) => exit,
        Err(error) => {
            tracing::warn!(%error, "a command could not be run");
            Exit::Unknown
        }
    }
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
    /// Whose tree listens on a port. Asked after each success on a loopback address.
    pub owner: Rc<dyn Fn(u16) -> Ownership>,
    /// Becomes true when the unit has sent `READY=1`.
    pub notified: watch::Receiver<bool>,
    /// The container that it is, where it is one.
    pub contained: Option<Contained>,
}

/// Asks one probe at once and then from `start` on at growing intervals (never more than `max_interval`) until it holds
/// once. Each answer is told; ends after `Answer::Good`. Dropping the future ends all that it started.
pub async fn gate(
    probe: Probe,
    timeout: Duration,
    start: Duration,
    max_interval: Duration,
    ctx: Context,
    mut tell: impl FnMut(Answer),
) {
    let mut question = Question::new(&probe, &ctx);
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = question.ask(timeout, &ctx).await;
        let holds = answer == Answer::Good;
        tell(answer);
        if holds {
            return;
        }
        match question.happens(&ctx).await {
            Ok(true) => return tell(Answer::Good),
            Ok(false) => {}
            Err(answer) => tell(answer),
        }
        // Half of the time at most goes into asking, where that costs something.
        let least = if question.is_costly() { start.max(asked.elapsed()) } else { start };
        sleep(pause(began.elapsed(), least, max_interval)).await;
    }
}

/// Asks all probes of a health check, one round per interval, the first after one interval, for ever. One answer is
/// told per round: the first that is not good, else `Answer::Good`. Dropping the future ends all that it started.
pub async fn check(plan: HealthPlan, ctx: Context, mut tell: impl FnMut(Answer)) {
    let mut questions: Vec<Question> = plan.probes.iter().map(|probe| Question::new(probe, &ctx)).collect();
    let mut round = Instant::now();
    loop {
        round = beat::next((round + plan.interval).max(Instant::now()), plan.interval);
        sleep_until(round).await;
        let mut answer = Answer::Good;
        for question in &mut questions {
            answer = question.ask(plan.timeout, &ctx).await;
            if answer != Answer::Good {
                break;
            }
        }
        tell(answer);
    }
}

/// How long a gate rests that has been asked for so long.
fn pause(passed: Duration, least: Duration, most: Duration) -> Duration {
    (passed / LATENESS).max(least).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_asked_often_at_first_and_then_in_proportion() {
        let rest = |ms| {
            let ms = Duration::from_millis(ms);
            pause(ms, Duration::from_millis(10), Duration::from_secs(5)).as_millis()
        };
        let rests = [0, 50, 100, 200, 1000, 10_000, 50_000, 500_000].map(rest);
        assert_eq!(rests, [10, 10, 10, 20, 100, 1000, 5000, 5000]);
        let short = Duration::from_millis(3);
        assert_eq!(pause(Duration::ZERO, Duration::from_millis(10), short), short);
    }
}
