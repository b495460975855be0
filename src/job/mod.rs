//! A one-off command as a job of a stack: `devstack run` is itself the keeper of its tree.
//!
//! What a keeper does for a service is done here for a command that stays with its caller: it has the caller's streams and
//! terminal, and this process answers for it to the shell. One thread, one `poll`, no runtime.

mod gauge;
mod hold;
mod leftovers;
mod limits;
mod name;
mod receipts;
mod start;
mod turn;

pub use gauge::Peaks;
pub use hold::{Left, Outcome, Why};
pub use leftovers::{Leftover, clear, is_held, leftovers};
pub use limits::Allowed;
pub use name::{name_of, unit_name};
pub use start::{Order, Refused, run};
pub use turn::{Turn, await_turn};
