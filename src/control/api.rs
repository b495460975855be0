//! What is said over the socket: requests as JSON, answers as JSON or, for what takes time, as lines of JSON.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/version` | | [`Version`] |
//! | `GET /v1/stack` | | [`crate::domain::StackView`] with every process |
//! | `GET /v1/usage` | | the [`crate::domain::PastUsage`] of the last looks; none where nothing asks for looks |
//! | `GET /v1/watch` | | lines of [`Told::Changed`], for ever |
//! | `POST /v1/up` | [`UpCall`] | lines of [`Told`], the last one a reply |
//! | `POST /v1/down` | [`DownCall`] | lines of [`Told`], the last one a reply |
//! | `POST /v1/cancel` | [`CancelCall`] | nothing |
//!
//! A supervisor that is ending answers 503, one that cannot write its state answers an `up` with 507: nothing was begun.

use serde::{Deserialize, Serialize};

use crate::domain::{ProcId, UnitView};
use crate::machine::{DownRequest, Reply, RequestId, UpRequest};
use crate::plan::{AutoPorts, Plan};

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The supervisor's version of devstack.
    pub version: String,
    /// Its process number.
    pub pid: u32,
}

/// Make units run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpCall {
    /// What is asked of the machine.
    pub request: UpRequest,
    /// The caller's environment: it lies below what the manifest sets.
    pub environment: Vec<(String, String)>,
    /// The automatic ports that the plan was made with, to be kept for the next time.
    pub auto_ports: AutoPorts,
    /// The caller and its ancestors: never signalled.
    pub caller: Vec<ProcId>,
    /// The verb of its command line, for the journal.
    #[serde(default)]
    pub verb: String,
}

/// End units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DownCall {
    /// What is asked of the machine.
    pub request: DownRequest,
    /// The manifest as it is now, for its sweep and its ports; none where it cannot be read: then the last `up` counts.
    pub plan: Option<Plan>,
    /// The caller and its ancestors: never signalled.
    pub caller: Vec<ProcId>,
    /// The verb of its command line, for the journal.
    #[serde(default)]
    pub verb: String,
    /// Its `PATH`: an engine's command may be there, and nowhere in the supervisor's own.
    #[serde(default)]
    pub path: String,
}

/// Take a request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelCall {
    /// Which, as told by [`Told::Accepted`].
    pub id: RequestId,
    /// By force.
    pub force: bool,
}

/// One line of an answer that takes time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and the large one ends each answer")]
pub enum Told {
    /// The request is known under this number.
    Accepted {
        /// The number.
        id: RequestId,
    },
    /// These units have changed (the first time: all of them).
    Changed {
        /// Their views, without processes.
        units: Vec<UnitView>,
    },
    /// The end.
    Reply(Reply),
}
