//! The set of processes that a life may ever have: who is in it, who may be signalled, and the proof that it is empty.
//!
//! Everything here is synchronous, forks nothing and starts no thread: a full process table is when a stop is needed.
//! A look at the machine is a [`World`]: read lazily, shared by all cages that are counted at the same moment, and
//! thrown away. Nothing is signalled but through a [`crate::sys::pidfd::Pidfd`] whose start time was read again.

mod beside;
mod branch;
mod census;
mod evidence;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guard;
mod holder;
mod inside;
mod life;
mod looks;
mod lost;
mod marks;
mod safety;
mod stop;
mod stray;
mod verify;
mod world;

pub use beside::{Beside, Running, unheld};
pub use guard::machinery_among;
pub use holder::{Claim, claim, holder, holders, is_engines, listening, listening_each};
pub use inside::inside;
pub use life::{AskOutcome, Cage, Depth, KillOutcome, Member, Signalled, Whom};
pub use looks::Looks;
pub use lost::lost_secret;
pub use marks::{MARK_DESCRIPTOR, memfd_name};
pub use safety::{Facts, Refusal, Verdict, may_signal};
pub use stray::{Hearth, Sought, StackFacts, Strays, seek, strays};
pub use verify::verify;
pub use world::World;

/// Environment variable with the life's mark.
pub const ENV_LIFE: &str = "DEVSTACK_LIFE";
/// Environment variable with the stack's random secret, the same in all its lives: it proves that a process belongs to
/// this stack even where the ledger is lost.
pub const ENV_STACK_ID: &str = "DEVSTACK_STACK_ID";
/// Environment variable with the stack's name, for people.
pub const ENV_STACK: &str = "DEVSTACK_STACK";
/// Environment variable with the manifest's directory, for people.
pub const ENV_DIR: &str = "DEVSTACK_DIR";

/// Variables that say whose process it is; never inherited from a caller.
pub const MARKS: [&str; 6] = [
    "DEVSTACK_LIFE",
    "DEVSTACK_STACK",
    "DEVSTACK_STACK_ID",
    "DEVSTACK_DIR",
    "DEVSTACK_SERVICE",
    "NOTIFY_SOCKET",
];
