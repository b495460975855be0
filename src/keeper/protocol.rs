//! What supervisor and keeper say to each other: one JSON document per line on a Unix stream socket.
//!
//! The supervisor starts `devstack __keeper` with one end of a socket pair as standard input and writes a [`Spec`].
//! The keeper answers with [`FromKeeper`] lines. It also listens on [`Spec::socket`]: a later supervisor that connects
//! is told the present state first (`Started`, then `Notified`, `Exited`, `Emptied` as far as they have happened).

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{Exit, Failure, Life, Mark, ProcId, Signal, UnitName};
use crate::store::Seal;
use crate::sys::pipe::PipeId;

/// All that a keeper must know to hold one life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The stack's secret: with the mark it makes the name of the marking memfd.
    pub stack_id: String,
    /// The unit.
    pub unit: UnitName,
    /// Its life.
    pub life: Life,
    /// The life's mark, also in `environment` as `DEVSTACK_LIFE`; the marking memfd is named `devstack:MARK`.
    pub mark: Mark,
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The file that is executed, where the first of `argv` does not name it: devstack's own program, whose life is a
    /// container's. Then only the leader is asked to end: what it has started does what it has asked for.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// Absolute working directory.
    pub working_dir: PathBuf,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// User to become: a name or a number.
    pub user: Option<String>,
    /// The cgroup v2 leaf that the service is born in; it exists.
    pub cgroup: Option<PathBuf>,
    /// Where the keeper listens for later supervisors.
    pub socket: PathBuf,
    /// Where the keeper appends [`crate::store::RecordLine`]s, the life's part of the ledger; it exists.
    pub record: PathBuf,
    /// The key that seals those lines.
    pub seal: Seal,
    /// Where it binds a datagram socket for `sd_notify`, if the unit has a notify probe; `@name` is in the abstract
    /// namespace. The service finds the address in `NOTIFY_SOCKET`.
    pub notify: Option<PathBuf>,
    /// Cgroups of single controllers that the service enters before it begins.
    #[serde(default)]
    pub bounds: Vec<PathBuf>,
    /// How many descriptors the service may ever have, by its limits.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// How many descriptors the service may have, where the supervisor has raised its own limit.
    #[serde(default)]
    pub descriptors: Option<u64>,
    /// Ended by its keeper, with this signal and this grace, when no supervisor is connected any more.
    pub ends_alone: Option<(Signal, Duration)>,
    /// Where output goes.
    pub log: LogSpec,
}

/// Where output goes and how it rotates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// The present file; older ones have `.1`, `.2` … appended, the newest first.
    pub path: PathBuf,
    /// Bytes after which a new file begins (between two lines).
    pub max_size: u64,
    /// How many files are kept, the present one included.
    pub max_files: u32,
}

/// What a keeper tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromKeeper {
    /// The leader is recorded and its code runs.
    Started {
        /// The keeper itself.
        keeper: ProcId,
        /// The first process of the service; its group and session have the same number.
        leader: ProcId,
        /// The pipe of its output.
        #[serde(default)]
        output: Option<PipeId>,
    },
    /// Nothing runs; the keeper ends.
    NotStarted {
        /// Why.
        why: Failure,
    },
    /// The service sent `READY=1`.
    Notified,
    /// The leader ended; all it wrote is in the log.
    Exited {
        /// How.
        exit: Exit,
    },
    /// The kernel says that the keeper has no child left (`ECHILD`); the keeper ends after this.
    Emptied,
}
