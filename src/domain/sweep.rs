//! What `sweep` tells: each process that it found, why it is ours, and what became of it.

use serde::{Deserialize, Serialize};

use super::{ProcId, StackName, Survivor};

/// A process that a look for strays found, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Which.
    pub process: ProcId,
    /// Its command line.
    pub command: String,
    /// Its age in milliseconds.
    pub age_ms: u64,
    /// Its resident memory (RSS) in bytes.
    pub memory_bytes: u64,
    /// The TCP ports that it listens on.
    pub ports: Vec<u16>,
    /// Why it is ours, or why it is left alone.
    pub evidence: String,
}

/// What a sweep does, or has done, with a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It will be ended.
    End,
    /// It is left alone.
    Leave,
    /// It has ended.
    Ended,
    /// It took SIGKILL.
    Killed,
    /// It could not be ended.
    Survived,
}

/// One line of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepRow {
    /// The stack that it was found for.
    pub stack: StackName,
    /// Directory of that stack.
    pub dir: String,
    /// The process.
    pub trace: Trace,
    /// What becomes of it.
    pub fate: Fate,
}

/// All that a sweep found and did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepReport {
    /// Nothing that may be ended is left.
    pub clean: bool,
    /// Nothing was to be done but to look.
    pub dry_run: bool,
    /// Each process, stack by stack.
    pub rows: Vec<SweepRow>,
    /// What could not be ended.
    pub survivors: Vec<Survivor>,
    /// How many have ended.
    pub ended: u32,
    /// Of these, how many took SIGKILL.
    pub forced: u32,
    /// From the first look to the last.
    pub seconds: f64,
}

impl SweepReport {
    /// How many are to be ended.
    #[must_use]
    pub fn to_end(&self) -> usize {
        self.rows.iter().filter(|row| row.fate == Fate::End).count()
    }
}
