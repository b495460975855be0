//! The end of a whole stack, as the line of its jobs learns of it.

use std::collections::BTreeSet;

use crate::domain::{Ended, ProcId, UnitName};
use crate::machine::RequestId;
use crate::store::{Lock, Queue, StackDir};
use crate::sys::proc;

/// Which requests end the whole stack now; as long as there are any, no job begins.
#[derive(Debug, Default)]
pub(super) struct Closing {
    requests: BTreeSet<RequestId>,
    held: Option<Lock>,
}

impl Closing {
    /// Before the jobs that run are counted: who has waited until now never begins.
    pub(super) fn begin(&mut self, dir: &StackDir, request: RequestId) {
        self.requests.insert(request);
        if self.held.is_none() {
            // On a full disk a job may slip in; it is swept as a stray.
            self.held = Queue::of(dir).close().ok().flatten();
        }
    }

    /// This request has its answer. Whether it was for the whole stack.
    pub(super) fn end(&mut self, request: RequestId) -> bool {
        let whole = self.requests.remove(&request);
        if self.requests.is_empty() {
            self.held = None;
        }
        whole
    }
}

/// The jobs that the last `down` was called from, as far as they live.
pub(super) fn spared(apart: &[(ProcId, UnitName)]) -> Vec<Ended> {
    let told = |(run, job): &(ProcId, UnitName)| Ended {
        process: *run,
        command: proc::command_of(*run),
        evidence: format!("{job}, devstack was called from it"),
        forced: false,
    };
    apart.iter().filter(|(run, _)| proc::is_alive(*run)).map(told).collect()
}
