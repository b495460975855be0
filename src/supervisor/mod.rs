//! The supervisor: the loop around the machine. It selects an event, asks the machine, performs its actions and
//! publishes the view.
//!
//! It may die at any moment: the keepers hold the services, and the next supervisor takes them over (`recover`).
//! A command that finds no supervisor can do its work itself, in its own process (`inline`): a full process table is
//! exactly when a stop is needed, so stopping must not need a new process.

mod birth;
mod closing;
mod contained;
mod containers;
mod daemon;
mod driver;
mod ending;
mod engines;
mod holder;
mod inline;
mod keepers;
mod launch;
mod life;
mod limits;
mod look;
mod nursery;
mod orphaned;
mod orphans;
mod performer;
mod ports;
mod recall;
mod receipts;
mod recover;
mod restore;
mod sampler;
mod sensing;
mod signals;
mod sweep;

pub use birth::environment_beside;
pub use daemon::run as run_daemon;
pub use engines::client_of;
pub use holder::{Holder, Standing, holder};
pub use inline::{Claim, Inline, claim, down, look};
pub use launch::{LaunchError, ensure};
pub use look::{Measured, at_rest, measured};
pub use recall::{Recalled, recall, restored, unreachable};
pub use signals::RELOAD;
pub use sweep::{Outlook, Whose, outlook};
