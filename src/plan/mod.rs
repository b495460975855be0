//! The plan: the manifest resolved. Nothing optional is left, the order is known, every problem was reported at once.
//!
//! `judge` gives texts their final form (`substitute`) and their value (`values`, `address`), `resolve` puts units
//! together, `order` finds the start order or the cycle, `select` says which units a command means, `render` shows a
//! plan as YAML again.

mod address;
mod contained;
mod container;
mod context;
mod definition;
mod fallback;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod image;
mod judge;
mod limits;
mod monitor;
mod mount;
mod order;
mod ports;
mod probes;
mod publish;
mod render;
mod render_container;
mod render_limits;
mod resolve;
mod secrets;
mod select;
mod substitute;
mod types;
mod unit;
mod values;
mod volumes;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use container::{
    BuildPlan, ContainerPlan, EngineKind, PublishPlan, PullPolicy, VolumePlan, VolumeSource,
};
pub use context::{AutoPorts, Context, EnvFileError, WantedPorts, auto_port_key};
pub use definition::fnv1a;
pub use fallback::{Asked, engines_to_ask, without_engines};
pub use limits::{parse_cpus, parse_memory, parse_pids};
pub use monitor::MonitorPlan;
pub use render::render_yaml;
pub use resolve::{resolve, stack_name, wanted_auto_ports};
pub use secrets::{Secrets, masked};
pub use select::{SelectError, select};
pub use types::*;

use crate::manifest::{EnvFileRef, Manifest};

/// The `.env` beside the manifest: read first, because the paths of other env files may name its variables.
#[must_use]
pub fn dotenv_file(dir: &Path) -> PathBuf {
    dir.join(judge::DOTENV)
}

/// The env files that [`resolve`] wants to know, by the path under which it seeks them. `context` holds the caller's
/// variables and, once it was read, the [`dotenv_file`].
#[must_use]
pub fn wanted_files(manifest: &Manifest, context: &Context) -> Vec<PathBuf> {
    let mut judge = judge::Judge::new(context);
    let services = manifest.services.iter().map(|service| &service.settings);
    let files: Vec<&EnvFileRef> = manifest
        .env_files
        .iter()
        .chain(std::iter::once(&manifest.defaults).chain(services).flat_map(|settings| &settings.env_files))
        .collect();
    let unique: BTreeSet<PathBuf> = files
        .into_iter()
        .filter_map(|file| Some(judge::absolute(&context.dir, &judge.text(&file.path)?)))
        .collect();
    unique.into_iter().collect()
}
