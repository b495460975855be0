//! TCP ports and who holds them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ProcId;

/// Who listens on a port, as far as this user may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortHolder {
    /// The process, or none where it belongs to somebody else and cannot be seen.
    pub process: Option<ProcId>,
    /// Its command line, or empty.
    pub command: String,
    /// Its user: a name, or `uid N`.
    pub user: String,
    /// Its working directory, where it may be read.
    pub dir: Option<String>,
    /// How long it has run, in milliseconds.
    pub age_ms: Option<u64>,
    /// Name and directory of the devstack stack that it belongs to, where it carries a mark of one.
    pub stack: Option<(String, String)>,
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            None => write!(f, "a process of {} that this user may not see", self.user),
            Some(id) => {
                write!(f, "{} (pid {}, {}", self.command, id.pid, self.user)?;
                if let Some(dir) = &self.dir {
                    write!(f, ", {dir}")?;
                }
                write!(f, ")")
            }
        }
    }
}

/// What was seen on a port that should be free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// The TCP port.
    pub port: u16,
    /// Whether nothing listens there.
    pub free: bool,
    /// Who listens, where it is not free.
    pub owner: Option<PortHolder>,
    /// The container for which it listens, where an engine named one.
    #[serde(default)]
    pub container: Option<String>,
}
