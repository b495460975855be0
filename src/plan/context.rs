//! What a plan needs beside the manifest: all that the world says, read beforehand by the loader.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::domain::UnitName;

use super::EngineKind;

/// Chosen automatic ports by [`auto_port_key`].
pub type AutoPorts = BTreeMap<String, u16>;

/// The key of an automatic port: `service/port`. No service's name holds a `/`.
#[must_use]
pub fn auto_port_key(service: &UnitName, port: &str) -> String {
    format!("{service}/{port}")
}

/// What the loader read.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Directory of the manifest, absolute.
    pub dir: PathBuf,
    /// The manifest's own path, absolute.
    pub manifest: PathBuf,
    /// The caller's environment.
    pub variables: BTreeMap<String, String>,
    /// The env files of [`super::wanted_files`] by absolute path: their variables in order, or why there are none.
    pub env_files: BTreeMap<PathBuf, Result<Vec<(String, String)>, EnvFileError>>,
    /// Ports chosen for [`WantedPorts::auto`].
    pub auto_ports: AutoPorts,
    /// The container engine whose command is installed.
    pub engine: EngineKind,
}

/// Why an env file gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvFileError {
    /// It is not there.
    #[error("there is no such file")]
    Missing,
    /// It is there and cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A line of it cannot be understood.
    #[error("line {line} is not NAME=value")]
    Line {
        /// Counted from 1.
        line: usize,
    },
}

/// Ports to choose, and ports that must not be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedPorts {
    /// Service and name of each port that says `auto`.
    pub auto: Vec<(UnitName, String)>,
    /// All numbers that the stack declares.
    pub declared: BTreeSet<u16>,
}
