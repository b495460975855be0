//! The keeper: one small process for each life. It starts the service in a session of its own, owns its output,
//! reaps, and ends when the kernel says that no child is left (`ECHILD`). It knows nothing of health, order or policy.

mod protocol;

pub use protocol::{FromKeeper, LogSpec, RecordLine, Spec};
