//! What a service or a job may take, and what follows where it takes more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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

impl Limits {
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
    /// Nothing is said: as the kernel would do it. Too much memory, too many processes or files end the culprit, too much
    /// processor time is only told (the kernel would slow it down), and a life that is too long or idle is ended.
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
