//! What a service or a job may take, and what follows where it takes more.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LifeUsage, ProcId, ProcessUsage, format_bytes, format_duration};

/// The most that one life may take; of each, none means: as much as it likes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of memory of all its processes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processors, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus_milli: Option<u32>,
    /// Processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// How long it may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Duration>,
    /// How long it may neither write nor use a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// Open files of each of its processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// What follows where it takes more.
    pub on_breach: OnBreach,
    /// It must be over a limit for so long, in two measurements at least: a peak is no breach.
    pub sustained: Duration,
}

/// What a kernel can hold: a part of [`Limits`], or of a stack's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processors, in thousandths.
    pub cpus_milli: Option<u32>,
    /// Processes.
    pub pids: Option<u32>,
}

impl Ceiling {
    /// Of each limit the lower one, where this one has one.
    #[must_use]
    pub fn within(&self, above: &Self) -> Self {
        let least =
            |own: Option<u32>, above: Option<u32>| own.map(|own| above.map_or(own, |above| own.min(above)));
        Self {
            memory: self.memory.map(|own| above.memory.map_or(own, |above| own.min(above))),
            cpus_milli: least(self.cpus_milli, above.cpus_milli),
            pids: least(self.pids, above.pids),
        }
    }
}

impl Limits {
    /// Whether somebody must look at the life again and again. What the kernel does has to be seen as well.
    #[must_use]
    pub fn are_measured(&self) -> bool {
        self.ceiling() != Ceiling::default() || self.idle.is_some() || self.open_files.is_some()
    }

    /// What a kernel can hold.
    #[must_use]
    pub fn ceiling(&self) -> Ceiling {
        Ceiling { memory: self.memory, cpus_milli: self.cpus_milli, pids: self.pids }
    }

    /// Nothing is limited, and nothing is said of what would follow.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What follows where a limit is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// Nothing is said: as the kernel would do it. Too much memory and too many processes end the culprit, too much
    /// processor time and too many files are only told (the kernel slows it down, or refuses it more), and a life that is
    /// too long or idle is ended.
    #[default]
    AsKernel,
    /// It is told.
    Warn,
    /// The life is ended, and another one begins.
    Restart,
    /// The life is ended, and has failed.
    Stop,
    /// The one process is ended that takes the most; if that is the leader, it is a death as others.
    KillCulprit,
}

impl OnBreach {
    /// What may be written, in the manifest's words.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("warn", Self::Warn),
        ("restart", Self::Restart),
        ("stop", Self::Stop),
        ("kill-culprit", Self::KillCulprit),
    ];

    /// The manifest's word; none where nothing was said.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        Self::WORDS.iter().find(|(_, one)| *one == self).map(|(word, _)| *word)
    }
}

/// What can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Bytes.
    Memory,
    /// Thousandths of a processor.
    Cpus,
    /// Processes.
    Pids,
    /// Milliseconds.
    Runtime,
    /// Milliseconds.
    Idle,
    /// Open files of one process. The kernel refuses more: who is at the limit is as far as one can go.
    OpenFiles,
}

/// More than was allowed, for longer than a peak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Of what.
    pub resource: Resource,
    /// How much, in the unit of the resource.
    pub used: u64,
    /// How much is allowed.
    pub limit: u64,
    /// It is the limit of the whole stack: the unit is the one that takes the most of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_stack: bool,
    /// The process that takes the most, where one does.
    pub culprit: Option<Culprit>,
    /// What is done.
    pub action: OnBreach,
}

/// The process that a breach is laid to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// Which.
    pub process: ProcId,
    /// Its command line.
    pub command: String,
}

/// After so many culprits of one breach the whole life is ended: whatever makes them lives on.
pub const MOST_CULPRITS: u32 = 3;

impl Resource {
    /// Whether what is over its limit is no peak: this is not the first look in a row that says so, or it is more than twice
    /// over. A processor that is busy for a moment is always one.
    #[must_use]
    pub fn is_no_peak(self, looks: u32, used: u64, limit: u64) -> bool {
        looks > 1 || (used / 2 > limit && self != Self::Cpus)
    }

    /// Who takes the most of it; none where it is nothing that one process has.
    #[must_use]
    pub fn most(self, usage: &LifeUsage) -> Option<&ProcessUsage> {
        match self {
            Self::Memory => usage.biggest.as_ref(),
            Self::Cpus => usage.busiest.as_ref(),
            Self::Pids => usage.broadest.as_ref(),
            Self::OpenFiles => usage.most_files.as_ref(),
            Self::Runtime | Self::Idle => None,
        }
    }

    /// An amount of it in words: `1.2G`, `2.5 processors`, `64 processes`, `8h00m`.
    #[must_use]
    pub fn amount(self, count: u64) -> String {
        match self {
            Self::Memory => format_bytes(count),
            Self::Cpus => {
                let text = format!("{}.{:03}", count / 1000, count % 1000);
                format!("{} processors", text.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Pids => format!("{count} processes"),
            Self::OpenFiles => format!("{count} files"),
            Self::Runtime | Self::Idle => format_duration(Duration::from_millis(count)),
        }
    }
}

impl fmt::Display for Breach {
    /// `over its limit of memory: 1.2G of 1.0G, most of it node server.js (pid 4711)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (self.resource.amount(self.used), self.resource.amount(self.limit));
        let whose = if self.of_stack { "the stack's" } else { "its" };
        match self.resource {
            Resource::Memory => write!(f, "over {whose} limit of memory: {used} of {limit}")?,
            Resource::Cpus => write!(f, "over {whose} limit of processors: {used} of {limit}")?,
            Resource::Pids => write!(f, "over {whose} limit of processes: {} of {}", self.used, self.limit)?,
            Resource::OpenFiles => write!(f, "at its limit of open files: {} of {}", self.used, self.limit)?,
            Resource::Runtime => write!(f, "ran for {used}, and may for {limit}")?,
            Resource::Idle => write!(f, "neither wrote nor worked for {used}, and may for {limit}")?,
        }
        let whose = if self.resource == Resource::OpenFiles { "all of them of" } else { "most of it" };
        match &self.culprit {
            Some(culprit) => write!(f, ", {whose} {} (pid {})", culprit.command, culprit.process.pid),
            None => Ok(()),
        }
    }
}

/// What the kernel did for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfMemory {
    /// Processes that it has ended in this life so far.
    pub kills: u64,
    /// The limit that was reached, in bytes; none where it was the machine's own memory, or nobody can tell.
    pub limit: Option<u64>,
    /// It is the stack's.
    pub of_stack: bool,
}

impl OutOfMemory {
    /// Whose limit it was: the life's own, where that was reached and there is one, else the stack's.
    #[must_use]
    pub fn of(kills: u64, own: Option<u64>, stack: Option<u64>) -> Self {
        Self { kills, limit: own.or(stack), of_stack: own.is_none() && stack.is_some() }
    }

    /// `1 process of it killed by the kernel: out of memory (limit 1.0G)`, of a life that may go on.
    #[must_use]
    pub fn of_some(&self) -> String {
        let processes = if self.kills == 1 { "process" } else { "processes" };
        format!("{} {processes} of it {self}", self.kills)
    }
}

impl From<&ProcessUsage> for Culprit {
    fn from(usage: &ProcessUsage) -> Self {
        Self { process: usage.process, command: usage.command.clone() }
    }
}

impl fmt::Display for OutOfMemory {
    /// `killed by the kernel: out of memory (limit 1.0G)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("killed by the kernel: out of memory")?;
        match (self.limit, self.of_stack) {
            (Some(limit), false) => write!(f, " (limit {})", format_bytes(limit)),
            (Some(limit), true) => write!(f, " (the stack's limit {})", format_bytes(limit)),
            (None, _) => Ok(()),
        }
    }
}
