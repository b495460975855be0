//! The keeper: one small process for each life. It starts the service in a session of its own, owns its output,
//! reaps, and ends when the kernel says that no child is left (`ECHILD`). It knows nothing of health, order or policy.

mod protocol;

pub use protocol::{FromKeeper, LogSpec, Spec};

/// The whole life of a keeper: `devstack __keeper`, with one end of a socket pair as standard input.
///
/// Gives the exit code of the process.
#[must_use]
pub fn run() -> i32 {
    todo!()
}
