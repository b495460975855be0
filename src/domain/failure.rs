//! Why a unit failed, as data: the command line adds code, words and remedy.

use serde::{Deserialize, Serialize};

use super::{Breach, ContainerTrouble, EngineKind, Exit, OutOfMemory, PortHolder, UnitName};

/// Why a unit is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A declared port was taken before the start.
    PortInUse {
        /// The port.
        port: u16,
        /// Who listens there.
        holder: PortHolder,
    },
    /// A port of its probes is answered by a program outside its tree.
    PortConflict {
        /// The port.
        port: u16,
        /// Who listens there.
        holder: PortHolder,
    },
    /// Its program is nowhere.
    CommandNotFound {
        /// As written.
        program: String,
        /// The `PATH` that was searched; empty where the program was given as a path.
        path: String,
        /// Programs of a similar name.
        near: Vec<String>,
    },
    /// Its program may not be executed.
    NotExecutable {
        /// The file.
        program: String,
        /// The kernel's reason.
        reason: String,
    },
    /// Its working directory cannot be entered.
    WorkingDir {
        /// The directory.
        dir: String,
        /// The kernel's reason.
        reason: String,
    },
    /// The user it should run as is unknown or may not be become.
    User {
        /// As written.
        user: String,
        /// Why.
        reason: String,
    },
    /// The kernel refused a new process.
    Fork {
        /// The kernel's reason.
        reason: String,
        /// Who fills the process table: user or program, and number.
        crowd: Vec<(String, u32)>,
    },
    /// Anything else that kept it from starting.
    Start {
        /// What happened.
        reason: String,
    },
    /// It ended although it should run, or its task failed.
    Exited {
        /// How.
        exit: Exit,
        /// Its gate had held before.
        was_ready: bool,
        /// Last lines of its log.
        tail: Vec<String>,
    },
    /// Its gate did not hold in time; it was ended.
    NotReady {
        /// How long it was given, in milliseconds.
        after_ms: u64,
        /// Each probe that did not hold: the question and its last answer.
        answers: Vec<(String, String)>,
        /// Ports that its tree did listen on; none for a container, whose tree is its engine's: its answers tell of its
        /// ports.
        listening: Option<Vec<u16>>,
        /// Last lines of its log.
        tail: Vec<String>,
    },
    /// Its health check failed too often; it was ended.
    Unhealthy {
        /// The last answer.
        answer: String,
        /// Last lines of its log.
        tail: Vec<String>,
    },
    /// It died again and again; its policy has given up.
    CrashLoop {
        /// Deaths in a row.
        deaths: u32,
        /// Over how many milliseconds.
        within_ms: u64,
        /// The last end.
        exit: Exit,
        /// Last lines of its log.
        tail: Vec<String>,
    },
    /// It broke a limit; it was ended.
    Limit {
        /// Which, and how much was used.
        breach: Breach,
        /// Last lines of its log.
        tail: Vec<String>,
    },
    /// The kernel ended it for want of memory.
    OutOfMemory {
        /// What the kernel did.
        what: OutOfMemory,
        /// Last lines of its log.
        tail: Vec<String>,
    },
    /// Some of its processes could not be ended.
    Survived {
        /// How many.
        count: u32,
    },
    /// Its container could not be had, or was taken away.
    Container {
        /// Which engine.
        engine: EngineKind,
        /// Why.
        trouble: ContainerTrouble,
    },
    /// Something that it depends on failed or was stopped.
    Blocked {
        /// What it needs.
        needs: UnitName,
    },
}
