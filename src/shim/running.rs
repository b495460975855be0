//! Whether a container runs: its engine says so, and the kernel shows its first process.
//!
//! The engine's command comes back when a container was started, whatever became of it since; and the engine itself hears
//! of an end a moment after the kernel. Who was told "it runs" of one that has ended would start what depends on it.

use std::time::Duration;

use super::is_before;
use super::life::{Shim, own};
use crate::domain::{ContainerStep, Pid};
use crate::engine::{Container, Engine as _, Status, Trouble, TroubleKind};
use crate::sys::proc;

/// So long after each other the engine is asked again whose word and the kernel's do not agree.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(60),
    Duration::from_millis(100),
];
/// And so long where it is between two states, or does not answer.
const LATER: Duration = Duration::from_millis(200);

/// What a look at a container has shown.
enum Seen {
    /// It runs: this is its first process, where that can be seen.
    Runs(Option<Pid>),
    /// The engine says that it runs, and its first process is not to be seen: it has ended, or just becomes another program.
    Doubtful,
    /// It is on its way from one to the other.
    NotYet,
    /// It has ended.
    Ended,
}

impl Shim<'_> {
    /// Tells that it runs, once that is so. None where it has ended: who follows its log tells what became of it.
    pub(super) async fn runs(&self, id: &str, asks_own: bool) -> Result<Option<Container>, Trouble> {
        let mut again = AGAIN.iter();
        loop {
            let found = match self.client.inspect(id).await {
                Ok(found) => found,
                Err(trouble) if trouble.kind == TroubleKind::NoSuchContainer => return Ok(None),
                Err(trouble) => return Err(trouble),
            };
            let pid = match seen(&found) {
                Seen::Runs(pid) => pid,
                Seen::Doubtful => match again.next() {
                    Some(pause) => {
                        tokio::time::sleep(*pause).await;
                        continue;
                    }
                    // It is on another machine, or behind a wall that hides its processes: then its engine sees them.
                    None if self.client.top(id).await.is_ok_and(|inside| !inside.is_empty()) => None,
                    None => {
                        tokio::time::sleep(LATER).await;
                        continue;
                    }
                },
                Seen::NotYet => {
                    tokio::time::sleep(LATER).await;
                    continue;
                }
                Seen::Ended => return Ok(None),
            };
            self.tell_runs(pid, &found, asks_own);
            return Ok(Some(found));
        }
    }

    /// The same, however long the engine does not answer: that is seen by who follows its log.
    pub(super) async fn comes_to_run(&self, id: &str, asks_own: bool) -> Option<Container> {
        loop {
            match self.runs(id, asks_own).await {
                Ok(found) => return found,
                Err(_) => tokio::time::sleep(LATER).await,
            }
        }
    }

    fn tell_runs(&self, pid: Option<Pid>, found: &Container, asks_own: bool) {
        self.tell(|state| {
            state.pid = pid.map(Pid::get);
            if asks_own {
                state.health = own(found.health.as_ref());
            }
            // It may have been asked to end meanwhile.
            if is_before(&state.step) {
                state.step = ContainerStep::Running;
            }
        });
    }
}

fn seen(found: &Container) -> Seen {
    match &found.status {
        Status::Running { pid: Some(pid), .. } => {
            if proc::identify(*pid).is_some_and(proc::is_alive) {
                Seen::Runs(Some(*pid))
            } else {
                Seen::Doubtful
            }
        }
        Status::Running { pid: None, .. } | Status::Paused => Seen::Runs(None),
        Status::Created { .. } | Status::Between => Seen::NotYet,
        Status::Exited(_) => Seen::Ended,
    }
}
