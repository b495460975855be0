//! A tree that its own keeper ends: the signal, the grace, SIGKILL in rounds, until the kernel says that no child is left.

use std::time::Duration;

use crate::cage::{Cage, Signalled, Whom, World};
use crate::domain::{Moment, Signal};
use crate::sys::clock;

/// Members born meanwhile are looked for so often, those that live on are killed again.
const PAUSE: Duration = Duration::from_millis(100);

/// A tree, and how far its end has come.
#[derive(Debug)]
pub(crate) struct Ending {
    cage: Cage,
    stage: Stage,
    leader_only: bool,
}

/// What one step has sent, to whom.
#[derive(Debug)]
pub(crate) struct Sent {
    /// What.
    pub(crate) signal: Signal,
    /// Who got it, and why each is ours.
    pub(crate) heard: Vec<Signalled>,
    /// Who could not get it or must not, and why.
    pub(crate) refused: Vec<Signalled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Kept,
    Asking { signal: Signal, until: Moment, again: Moment },
    Killing { since: Moment, again: Moment },
}

impl Ending {
    /// Nothing is ended yet. `leader_only`: the others do what the leader asks for, and must not be interrupted.
    pub(crate) fn new(cage: Cage, leader_only: bool) -> Self {
        Self { cage, stage: Stage::Kept, leader_only }
    }

    /// Whether the end has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.stage != Stage::Kept
    }

    /// How long SIGKILL has been sent.
    pub(crate) fn killing_for(&self) -> Option<Duration> {
        match self.stage {
            Stage::Kept | Stage::Asking { .. } => None,
            Stage::Killing { since, .. } => Some(clock::moment() - since),
        }
    }

    /// The tree.
    pub(crate) fn cage(&mut self) -> &mut Cage {
        &mut self.cage
    }

    /// Asks all; those that live on after the grace are killed.
    pub(crate) fn begin(&mut self, signal: Signal, grace: Duration) -> Sent {
        let now = clock::moment();
        let sent = self.ask(signal);
        self.stage = Stage::Asking { signal, until: now + grace, again: now + PAUSE };
        sent
    }

    /// No grace any more.
    pub(crate) fn force(&mut self) -> Sent {
        self.kill(clock::moment())
    }

    /// How long until the next step.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self.stage {
            Stage::Kept => None,
            Stage::Asking { until, again, .. } => Some(until.min(again).since(clock::moment())),
            Stage::Killing { again, .. } => Some(again.since(clock::moment())),
        }
    }

    /// Does what is due. `stirred`: a child has ended, others may have been born.
    pub(crate) fn act(&mut self, stirred: bool) -> Option<Sent> {
        let now = clock::moment();
        match self.stage {
            Stage::Asking { until, .. } if now >= until => Some(self.kill(now)),
            Stage::Asking { signal, until, again } if stirred || now >= again => {
                let sent = self.ask(signal);
                self.stage = Stage::Asking { signal, until, again: now + PAUSE };
                Some(sent)
            }
            Stage::Killing { again, .. } if now >= again => Some(self.kill(now)),
            Stage::Kept | Stage::Asking { .. } | Stage::Killing { .. } => None,
        }
    }

    fn ask(&mut self, signal: Signal) -> Sent {
        let whom = if self.leader_only { Whom::Leader } else { Whom::All };
        let outcome = self.cage.ask(&mut World::new(), whom, signal);
        Sent { signal, heard: outcome.heard, refused: outcome.refused }
    }

    fn kill(&mut self, now: Moment) -> Sent {
        let heard = self.cage.kill().forced;
        let since = match self.stage {
            Stage::Killing { since, .. } => since,
            Stage::Kept | Stage::Asking { .. } => now,
        };
        self.stage = Stage::Killing { since, again: now + PAUSE };
        Sent { signal: Signal::KILL, heard, refused: Vec::new() }
    }
}
