//! `on_supervisor_exit: stop`: when no supervisor is connected any more, the keeper ends its service itself.
//!
//! The signal, the grace, SIGKILL in rounds: until the kernel says that no child is left. A supervisor that comes meanwhile
//! changes nothing: what was begun is done. The stop command is not run, for it may need what has ended already.

use std::time::Duration;

use super::Spec;
use super::record::Record;
use crate::cage::Cage;
use crate::domain::{Mark, Moment, ProcId, Signal};
use crate::store::RecordLine;
use crate::sys::clock;

/// Members born meanwhile are looked for so often, those that live on are killed again.
const PAUSE: Duration = Duration::from_millis(100);

/// What is done once nobody is there.
#[derive(Debug)]
pub(super) struct Alone {
    cage: Cage,
    signal: Signal,
    grace: Duration,
    stage: Stage,
    leader_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A supervisor is connected.
    Kept,
    Asking {
        until: Moment,
        again: Moment,
    },
    Killing {
        again: Moment,
    },
}

impl Alone {
    /// None where the service is to be kept.
    pub(super) fn of(spec: &Spec, keeper: ProcId, leader: ProcId) -> Option<Self> {
        let (signal, grace) = spec.ends_alone?;
        let stack = Mark::parse(&spec.stack_id)?;
        let cage = Cage::new(spec.unit.clone(), spec.life, spec.mark.clone(), stack, Some(keeper), leader);
        Some(Self { cage, signal, grace, stage: Stage::Kept, leader_only: spec.program.is_some() })
    }

    /// How long until the next step.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self.stage {
            Stage::Kept => None,
            Stage::Asking { until, again } => Some(until.min(again).since(clock::moment())),
            Stage::Killing { again } => Some(again.since(clock::moment())),
        }
    }

    /// Does what is due. `stirred`: a child has ended, others may have been born.
    pub(super) fn act(&mut self, is_alone: bool, stirred: bool, record: &mut Record) {
        let now = clock::moment();
        match self.stage {
            Stage::Kept if is_alone => {
                let _ = record.append(&RecordLine::Alone { at: clock::wall() });
                self.ask();
                self.stage = Stage::Asking { until: now + self.grace, again: now + PAUSE };
            }
            Stage::Asking { until, .. } if now >= until => self.kill(now),
            Stage::Asking { until, again } if stirred || now >= again => {
                self.ask();
                self.stage = Stage::Asking { until, again: now + PAUSE };
            }
            Stage::Killing { again } if now >= again => self.kill(now),
            Stage::Kept | Stage::Asking { .. } | Stage::Killing { .. } => {}
        }
    }

    fn ask(&mut self) {
        if self.leader_only {
            self.cage.ask_leader(self.signal)
        } else {
            self.cage.ask(self.signal)
        };
    }

    fn kill(&mut self, now: Moment) {
        self.cage.kill();
        self.stage = Stage::Killing { again: now + PAUSE };
    }
}
