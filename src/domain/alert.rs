//! What needs an eye: more memory or processes than a stack's thresholds, a process that never rests, one that only grows.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ProcId, UnitName, format_bytes, format_duration};

/// A sign that has been seen, or is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Which.
    pub sign: Sign,
    /// It is seen no longer.
    pub over: bool,
}

/// What can be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// All processes of the stack have more memory than `monitor.alert.memory`.
    Memory {
        /// Together.
        bytes: u64,
        /// The threshold.
        threshold: u64,
        /// Who has most of it, and how much.
        most: Option<(Suspect, u64)>,
    },
    /// There are more processes than `monitor.alert.pids`.
    Processes {
        /// How many.
        count: u32,
        /// The threshold.
        threshold: u32,
        /// Which unit has most of them, and how many.
        most: Option<(UnitName, u32)>,
    },
    /// A process has not rested for the whole window.
    Busy {
        /// Which.
        who: Suspect,
        /// How long the window was, in milliseconds.
        millis: u64,
    },
    /// The memory of a process has only grown for the whole window.
    Growing {
        /// Which.
        who: Suspect,
        /// Its memory at the window's begin, in bytes.
        from: u64,
        /// At its end.
        to: u64,
        /// How long the window was, in milliseconds.
        millis: u64,
    },
}

/// A process that stands out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// The unit that it belongs to.
    pub unit: UnitName,
    /// Which.
    pub process: ProcId,
    /// Its command line.
    pub command: String,
}

impl Sign {
    /// The word for scripts.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Memory { .. } => "memory",
            Self::Processes { .. } => "processes",
            Self::Busy { .. } => "busy",
            Self::Growing { .. } => "growing",
        }
    }

    /// The process that it is about, if it is about one.
    #[must_use]
    pub fn suspect(&self) -> Option<&Suspect> {
        match self {
            Self::Memory { most, .. } => most.as_ref().map(|(who, _)| who),
            Self::Processes { .. } => None,
            Self::Busy { who, .. } | Self::Growing { who, .. } => Some(who),
        }
    }
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {}, {})", self.command, self.process.pid, self.unit)
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |millis: &u64| format_duration(Duration::from_millis(*millis));
        match self {
            Self::Memory { bytes, threshold, most } => {
                write!(f, "memory {}, more than {}", format_bytes(*bytes), format_bytes(*threshold))?;
                most.iter().try_for_each(|(who, own)| write!(f, "; most of it: {} {who}", format_bytes(*own)))
            }
            Self::Processes { count, threshold, most } => {
                write!(f, "{count} processes, more than {threshold}")?;
                most.iter().try_for_each(|(unit, own)| write!(f, "; most of them: {own} of {unit}"))
            }
            Self::Busy { who, millis } => write!(f, "a busy loop? {who} has not rested for {}", span(millis)),
            Self::Growing { who, from, to, millis } => {
                let (from, to) = (format_bytes(*from), format_bytes(*to));
                write!(f, "a leak? the memory of {who} has only grown for {}: {from} to {to}", span(millis))
            }
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.over {
            return self.sign.fmt(f);
        }
        match &self.sign {
            Sign::Memory { bytes, threshold, .. } => {
                write!(f, "memory {}, no longer more than {}", format_bytes(*bytes), format_bytes(*threshold))
            }
            Sign::Processes { count, threshold, .. } => {
                write!(f, "{count} processes, no longer more than {threshold}")
            }
            Sign::Busy { who, .. } => write!(f, "{who} is no longer busy without a rest"),
            Sign::Growing { who, .. } => write!(f, "the memory of {who} no longer grows"),
        }
    }
}
