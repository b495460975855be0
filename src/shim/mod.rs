//! The shim: a small process that stands for a container, so that a container's life is held like any other life.
//!
//! `devstack __container SPEC` has the engine make and start the container, copies its log to its own standard output,
//! waits for its end and ends with its exit code. A keeper holds it, and so order, gates, restarts, logs and recovery are
//! those of any service. SIGTERM asks the container to end, within its grace. What becomes of it stands in a file that the
//! supervisor watches ([`ContainerState`](crate::domain::ContainerState)). Where the engine is the reason that there is no
//! container, the shim ends with 125, and the file says why.
//!
//! The container is not the shim's child: who kills the shim leaves it running, and the next shim takes it over. An
//! ended container stays, to be started again; it is removed by whoever removes the stack.

mod follow;
mod image;
mod life;
mod obtain;
mod output;
mod position;
mod running;
mod spec;
mod state;
mod trouble;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;

pub use spec::ShimSpec;

use crate::domain::{ContainerStep, ContainerTrouble};
use crate::sys::reaper;

/// What the shim ends with where the engine did not do what it was asked.
const REFUSED: u8 = 125;

/// The whole life of a shim. Gives the exit code of the process: the container's own, or 125.
#[must_use]
pub fn run(spec: Option<&OsStr>) -> u8 {
    reaper::set_own_name(c"devstack-shim");
    let Some(spec) = spec else { return complain("no spec was given") };
    let spec = match ShimSpec::read(Path::new(spec)) {
        Ok(spec) => spec,
        Err(error) => return complain(&format!("its spec cannot be read: {error}")),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("no runtime: {error}")),
    };
    runtime.block_on(life::live(&spec))
}

/// Says why there is not even a state file to tell it.
fn complain(why: &str) -> u8 {
    // Into the service's own log: the keeper reads it.
    let _ = writeln!(std::io::stderr(), "devstack: {why}");
    REFUSED
}

/// Why there is no container.
#[derive(Debug)]
enum NotHad {
    /// The engine is the reason.
    Trouble(ContainerTrouble),
    /// It was asked to end before there was one.
    Asked,
}

impl From<ContainerTrouble> for NotHad {
    fn from(trouble: ContainerTrouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Whether it is on its way to a container, and not yet at one.
fn is_before(step: &ContainerStep) -> bool {
    match step {
        ContainerStep::Asking
        | ContainerStep::Pulling(_)
        | ContainerStep::Building(_)
        | ContainerStep::Starting => true,
        ContainerStep::Running | ContainerStep::Stopping | ContainerStep::Ended => false,
    }
}
