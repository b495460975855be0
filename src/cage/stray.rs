//! Processes of the stack outside every life that runs: found by marks, by the ledger, and by the user's patterns.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::cage::{AskOutcome, Cage, KillOutcome};
use crate::domain::{Ended, Mark, ProcId, Signal};
use crate::sys::pidfd::Pidfd;
use regex::Regex;

/// What is known of a stack, for looks that go beyond one life.
#[derive(Clone, Debug)]
pub struct StackFacts {
    /// The stack's secret ([`crate::cage::ENV_STACK_ID`]).
    pub stack: Mark,
    /// Directory of the manifest.
    pub dir: PathBuf,
    /// Every life in the ledger, ended ones included.
    pub lives: Vec<Cage>,
    /// The supervisor, on which the orphans of a dead keeper land.
    pub hearth: Option<Hearth>,
    /// Processes that must never be signalled: the client that asked, and its ancestors.
    pub spared: BTreeSet<ProcId>,
    /// What the manifest's `sweep` names; compiled.
    pub patterns: Vec<Regex>,
    /// `scope: user`: a pattern needs no evidence of this directory.
    pub user_wide: bool,
}

/// The supervisor as a parent.
#[derive(Clone, Debug)]
pub struct Hearth {
    /// The supervisor.
    pub supervisor: ProcId,
    /// Its children that are no orphans: keepers, probes, stop commands.
    pub own: BTreeSet<ProcId>,
}

/// What a look for strays brought.
#[derive(Debug)]
pub struct Sought {
    /// Those that may be ended, for the report.
    pub strays: Vec<Ended>,
    /// What resembles ours but lacks proof.
    pub left_alone: Vec<Ended>,
    /// The same strays, to be asked, killed and counted.
    pub prey: Strays,
}

/// Strays, handled like the members of a cage.
#[derive(Debug)]
pub struct Strays {
    facts: StackFacts,
    asked: BTreeSet<ProcId>,
}

/// Looks for strays of the whole stack.
#[must_use]
pub fn seek(_facts: &StackFacts) -> Sought {
    todo!()
}

impl Strays {
    /// As [`Cage::ask`].
    pub fn ask(&mut self, _signal: Signal) -> AskOutcome {
        todo!()
    }
    /// As [`Cage::kill`].
    pub fn kill(&mut self) -> KillOutcome {
        todo!()
    }
    /// As [`Cage::is_empty`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// As [`Cage::watch`].
    #[must_use]
    pub fn watch(&self, _limit: usize) -> Vec<Pidfd> {
        todo!()
    }
}
