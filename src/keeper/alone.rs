//! `on_supervisor_exit: stop`: when no supervisor is connected any more, the keeper ends its service itself.
//!
//! A supervisor that comes meanwhile changes nothing: what was begun is done. The stop command is not run, for it may need
//! what has ended already.

use std::time::Duration;

use super::Spec;
use super::ending::Ending;
use super::record::Record;
use crate::cage::Cage;
use crate::domain::{Mark, ProcId, Signal};
use crate::store::RecordLine;
use crate::sys::clock;

/// What is done once nobody is there.
#[derive(Debug)]
pub(super) struct Alone {
    ending: Ending,
    signal: Signal,
    grace: Duration,
}

impl Alone {
    /// None where the service is to be kept.
    pub(super) fn of(spec: &Spec, keeper: ProcId, leader: ProcId) -> Option<Self> {
        let (signal, grace) = spec.ends_alone?;
        let stack = Mark::parse(&spec.stack_id)?;
        let cage = Cage::new(spec.unit.clone(), spec.life, spec.mark.clone(), stack, Some(keeper), leader);
        Some(Self { ending: Ending::new(cage, spec.program.is_some()), signal, grace })
    }

    /// How long until the next step.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.ending.wait()
    }

    /// Does what is due. `stirred`: a child has ended, others may have been born.
    pub(super) fn act(&mut self, is_alone: bool, stirred: bool, record: &mut Record) {
        if self.ending.has_begun() {
            drop(self.ending.act(stirred));
        } else if is_alone {
            let _ = record.append(&RecordLine::Alone { at: clock::wall() });
            drop(self.ending.begin(self.signal, self.grace));
        }
    }
}
