//! From a place on disk to a plan: finds the manifest, reads it and its env files, chooses automatic ports.

use std::path::{Path, PathBuf};

use crate::domain::StackName;
use crate::manifest::Problem;
use crate::plan::{AutoPorts, Plan};

/// Where the manifest is sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// In this directory and then in each above it.
    Above(PathBuf),
    /// This file, or in this directory and nowhere else (`-f`).
    Exactly(PathBuf),
}

/// A manifest, resolved.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// The manifest's text.
    pub source: String,
    /// The automatic ports now chosen: keep them and hand them in the next time.
    pub auto_ports: AutoPorts,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No manifest; exit code 66.
    #[error("no devstack.yaml or devstack.yml in {}", list(searched))]
    NotFound {
        /// Directories (or the file) looked at, in order.
        searched: Vec<PathBuf>,
    },
    /// There is one and it cannot be read; exit code 66.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// It is wrong; exit code 65.
    #[error("{} is wrong in {} places", path.display(), problems.len())]
    Problems {
        /// The file.
        path: PathBuf,
        /// Its text, for [`crate::manifest::render`].
        text: String,
        /// All that is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// Finds the manifest: an absolute path.
pub fn find(_place: &Where) -> Result<PathBuf, LoadError> {
    todo!()
}

/// Loads a manifest; `previous` are the automatic ports chosen the last time, which win.
pub fn load(place: &Where, previous: &AutoPorts) -> Result<Loaded, LoadError> {
    load_with(place, |_, _| previous.clone())
}

/// Like [`load`]; asks for the previous ports once name and path of the stack are known.
pub fn load_with(
    _place: &Where,
    _previous: impl FnOnce(&StackName, &Path) -> AutoPorts,
) -> Result<Loaded, LoadError> {
    todo!()
}

fn list(paths: &[PathBuf]) -> String {
    let texts: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    texts.join(", ")
}
