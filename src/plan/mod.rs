//! The plan: the manifest resolved. Nothing optional is left, the order is known, every problem was reported at once.
//!
//! `substitute` gives texts their final form, `values` judges them, `resolve` puts units together, `order` finds the
//! start order or the cycle, `select` says which units a command means, `render` shows a plan as YAML again.

mod context;
mod select;
mod types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use context::{AutoPorts, Context, EnvFileError, WantedPorts, auto_port_key};
pub use select::{SelectError, select};
pub use types::*;

use crate::domain::StackName;
use crate::manifest::{Manifest, Problem};

/// The env files that [`resolve`] wants to know, absolute: the `.env` beside the manifest first.
#[must_use]
pub fn wanted_files(
    _manifest: &Manifest,
    _dir: &Path,
    _variables: &BTreeMap<String, String>,
) -> Vec<PathBuf> {
    todo!()
}

/// The automatic ports that [`resolve`] wants to know.
#[must_use]
pub fn wanted_auto_ports(_manifest: &Manifest, _context: &Context) -> WantedPorts {
    todo!()
}

/// The name of the stack: the manifest's `name`, else its directory's name.
#[must_use]
pub fn stack_name(_manifest: &Manifest, _context: &Context) -> StackName {
    todo!()
}

/// Makes a plan of a manifest, or says all that is wrong with it.
pub fn resolve(_manifest: &Manifest, _context: &Context) -> Result<Plan, Vec<Problem>> {
    todo!()
}

/// The plan as YAML that is itself a manifest (`devstack config`). Values that look secret are masked unless
/// `show_secrets`.
#[must_use]
pub fn render_yaml(_plan: &Plan, _show_secrets: bool) -> String {
    todo!()
}
