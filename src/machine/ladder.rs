//! The stop ladder: the only way anything is ever ended. Ask, wait the grace out, kill in rounds, verdict.
//!
//! It begins with force (kill at once), after a leader's own end (first see whether anything is left), with the unit's
//! stop command, or with the signal. `Emptied` ends it from every rung; its owner then drops it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::turn::Turn;
use super::{Action, Target};
use crate::domain::{EndedUnit, Exit, Moment, ProcId, Signal, Survivor, UnitName};

/// How long the proof of emptiness may take after a leader's own end before what is left is asked to end.
pub(super) const LINGER: Duration = Duration::from_millis(20);
/// So many times SIGKILL is tried.
pub(super) const ROUNDS: u32 = 8;

/// The pause after a kill round: 50 ms, 100, 200, then 350; about 2 s over all rounds.
pub(super) fn pause(round: u32) -> Duration {
    Duration::from_millis((50_u64 << round.saturating_sub(1).min(3)).min(350))
}

/// How a ladder begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// SIGKILL at once.
    Force,
    /// The leader has ended by itself: perhaps nothing is left to ask.
    Linger,
    /// The unit's stop command.
    Command,
    /// The signal.
    Signal,
}

/// One target on its way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ladder {
    target: Target,
    signal: Signal,
    begun: Moment,
    /// When the grace is over, counted from the ladder's begin whatever was done since.
    grace_end: Moment,
    rung: Rung,
    pub(super) tally: Tally,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Rung {
    Lingering {
        until: Moment,
    },
    Commanding,
    /// `open`: the answer to the last `Ask` is outstanding. `again`: the target stirred meanwhile.
    Asking {
        open: bool,
        again: bool,
    },
    /// `next` is none while the answer to this round's `Kill` is outstanding.
    Killing {
        round: u32,
        next: Option<Moment>,
    },
}

/// What a ladder met.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    asked: Option<Signal>,
    heard: u32,
    refused: BTreeSet<ProcId>,
    /// The grace was over before all had ended.
    pub(super) outlasted: bool,
    pub(super) forced: Vec<(ProcId, String)>,
    pub(super) survivors: Vec<Survivor>,
}

impl Ladder {
    pub(super) fn begin(
        target: Target,
        signal: Signal,
        grace: Duration,
        entry: Entry,
        turn: &mut Turn,
    ) -> Self {
        let mut ladder = Self {
            target,
            signal,
            begun: turn.now,
            grace_end: turn.now + grace,
            rung: Rung::Lingering { until: turn.now + LINGER },
            tally: Tally::default(),
        };
        match entry {
            Entry::Force => ladder.kill(1, turn),
            Entry::Linger => {}
            Entry::Command => ladder.command(turn),
            Entry::Signal => ladder.ask(turn),
        }
        ladder
    }

    /// Skips every rung before SIGKILL.
    pub(super) fn force(&mut self, turn: &mut Turn) {
        match self.rung {
            Rung::Lingering { .. } | Rung::Commanding | Rung::Asking { .. } => self.kill(1, turn),
            Rung::Killing { .. } => {}
        }
    }

    /// Replaces the grace by a shorter one; a longer one would be a surprise in the middle of a stop.
    pub(super) fn shorten(&mut self, grace: Duration) {
        self.grace_end = self.grace_end.min(self.begun + grace);
    }

    pub(super) fn command_ended(&mut self, turn: &mut Turn) {
        match self.rung {
            // The command asks; whoever did not hear it gets the signal, within the same grace.
            Rung::Commanding => self.ask(turn),
            Rung::Lingering { .. } | Rung::Asking { .. } | Rung::Killing { .. } => {}
        }
    }

    pub(super) fn asked(&mut self, heard: u32, refused: Vec<ProcId>, turn: &mut Turn) {
        self.tally.heard += heard;
        self.tally.refused.extend(refused);
        match self.rung {
            Rung::Asking { again, .. } => {
                if self.tally.heard == 0 && !self.tally.refused.is_empty() {
                    // Nobody can hear: waiting the grace out would only delay the verdict.
                    self.kill(1, turn);
                } else if again {
                    self.ask(turn);
                } else {
                    self.rung = Rung::Asking { open: false, again: false };
                }
            }
            Rung::Lingering { .. } | Rung::Commanding | Rung::Killing { .. } => {}
        }
    }

    pub(super) fn stirred(&mut self, turn: &mut Turn) {
        match self.rung {
            // A thousand ends must not become a thousand questions.
            Rung::Asking { open: true, .. } => self.rung = Rung::Asking { open: true, again: true },
            Rung::Asking { open: false, .. } => self.ask(turn),
            Rung::Lingering { .. } | Rung::Commanding | Rung::Killing { .. } => {}
        }
    }

    pub(super) fn killed(&mut self, forced: Vec<(ProcId, String)>, survivors: Vec<Survivor>, now: Moment) {
        for one in forced {
            if !self.tally.forced.iter().any(|known| known.0 == one.0) {
                self.tally.forced.push(one);
            }
        }
        self.tally.survivors = survivors;
        match self.rung {
            Rung::Killing { round, next: None } => {
                self.rung = Rung::Killing { round, next: Some(now + pause(round)) };
            }
            Rung::Killing { next: Some(_), .. }
            | Rung::Lingering { .. }
            | Rung::Commanding
            | Rung::Asking { .. } => {}
        }
    }

    /// It stirred while the answer to the last `Ask` was outstanding.
    pub(super) fn is_stirred(&self) -> bool {
        matches!(self.rung, Rung::Asking { open: true, again: true })
    }

    /// Climbs on where it is time. `true`: the last rung is passed and the target lives.
    #[must_use]
    pub(super) fn due(&mut self, turn: &mut Turn) -> bool {
        match self.rung {
            Rung::Lingering { .. } | Rung::Commanding | Rung::Asking { .. } if turn.now >= self.grace_end => {
                self.tally.outlasted = true;
                self.kill(1, turn);
            }
            Rung::Lingering { until } if turn.now >= until => self.ask(turn),
            Rung::Killing { round, next: Some(at) } if turn.now >= at => {
                if round >= ROUNDS {
                    return true;
                }
                self.kill(round + 1, turn);
            }
            Rung::Lingering { .. } | Rung::Commanding | Rung::Asking { .. } | Rung::Killing { .. } => {}
        }
        false
    }

    /// When [`Ladder::due`] has something to do; none while an answer is outstanding that must come.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match self.rung {
            Rung::Lingering { until } => Some(until.min(self.grace_end)),
            Rung::Commanding | Rung::Asking { .. } => Some(self.grace_end),
            Rung::Killing { next, .. } => next,
        }
    }

    /// The rung in words, for the view.
    pub(super) fn words(&self) -> String {
        match self.rung {
            Rung::Lingering { .. } => "looks for what its leader left".to_owned(),
            Rung::Commanding => "runs its stop command".to_owned(),
            Rung::Asking { .. } => format!("asked with {}", self.signal),
            Rung::Killing { round, .. } => format!("SIGKILL, round {round} of {ROUNDS}"),
        }
    }

    /// The line of the report.
    pub(super) fn row(&self, name: UnitName, exit: Option<Exit>, now: Moment) -> EndedUnit {
        EndedUnit {
            name,
            signal: self.tally.asked,
            exit,
            millis: u64::try_from((now - self.begun).as_millis()).unwrap_or(u64::MAX),
            processes: self.tally.processes(),
            deaf: self.tally.forced.clone(),
            container: None,
        }
    }

    fn command(&mut self, turn: &mut Turn) {
        match &self.target {
            Target::Life { unit, life } => {
                turn.act(Action::StopCommand { unit: unit.clone(), life: *life });
                self.rung = Rung::Commanding;
            }
            Target::Strays => self.ask(turn),
        }
    }

    fn ask(&mut self, turn: &mut Turn) {
        let grace = self.grace_end - turn.now;
        turn.act(Action::Ask { target: self.target.clone(), signal: self.signal, grace });
        self.tally.asked = Some(self.signal);
        self.rung = Rung::Asking { open: true, again: false };
    }

    fn kill(&mut self, round: u32, turn: &mut Turn) {
        turn.act(Action::Kill { target: self.target.clone() });
        self.rung = Rung::Killing { round, next: None };
    }
}

impl Tally {
    /// How many processes there were, as far as anybody counted; a life had at least its leader.
    fn processes(&self) -> u32 {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let asked = self.heard.saturating_add(count(self.refused.len()));
        asked.max(count(self.forced.len() + self.survivors.len())).max(1)
    }
}
