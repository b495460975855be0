//! Who asked for something, and why a process is signalled: what a receipt says beside signal and target.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who asked: a client of the supervisor, or the supervisor itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The verb of its command line (`down`), `supervisor` for what no client asked for, or the signal by which the
    /// supervisor itself was asked (`SIGTERM`).
    pub verb: String,
    /// The user who it runs as.
    pub user: String,
    /// Its process number; none where the kernel does not tell who sent a signal.
    pub pid: Option<i32>,
}

impl fmt::Display for Asker {
    /// `devstack down (dev, pid 4211)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, user, pid } = self;
        match (verb.as_str(), pid) {
            ("supervisor", Some(pid)) => write!(f, "the supervisor (pid {pid})"),
            ("supervisor", None) => f.write_str("the supervisor"),
            (signal, None) => write!(f, "{signal} to the supervisor"),
            (verb, Some(pid)) => write!(f, "devstack {verb} ({user}, pid {pid})"),
        }
    }
}

/// Why a process is signalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A `down` or `stop` asked for it.
    Request,
    /// It is started anew: by name, or because its definition has changed.
    Recreate,
    /// The `up` that started it failed or was taken back.
    Rollback,
    /// Its gate did not hold in time.
    NotReady,
    /// Its health check failed too often.
    Unhealthy,
    /// It, or a process of it, has broken a limit.
    Breach,
    /// It has failed in another way.
    Failed,
    /// Its leader has ended by itself and left it behind.
    LeftBehind,
    /// It belongs to the stack and to none of its lives.
    Sweep,
    /// A journal of an older devstack does not tell.
    #[default]
    Unknown,
}

impl Why {
    /// The reason as the end of a sentence; none where it is not known.
    #[must_use]
    pub fn words(self) -> Option<&'static str> {
        match self {
            Self::Request => Some("to stop it"),
            Self::Recreate => Some("to start it anew"),
            Self::Rollback => Some("to roll back"),
            Self::NotReady => Some("it was not ready in time"),
            Self::Unhealthy => Some("it is unhealthy"),
            Self::Breach => Some("it has broken a limit"),
            Self::Failed => Some("it has failed"),
            Self::LeftBehind => Some("its leader left it behind"),
            Self::Sweep => Some("to sweep"),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_is_told_in_one_form_each() {
        let asker =
            |verb: &str, pid| Asker { verb: verb.to_owned(), user: "dev".to_owned(), pid }.to_string();
        assert_eq!(asker("down", Some(4211)), "devstack down (dev, pid 4211)");
        assert_eq!(asker("supervisor", Some(77)), "the supervisor (pid 77)");
        assert_eq!(asker("SIGTERM", None), "SIGTERM to the supervisor");
    }
}
