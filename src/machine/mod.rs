//! The pure decider: events in, actions out. No clock, no I/O, no async; time comes in as `now`.

mod boundary;
mod stack;

pub use boundary::*;
pub use stack::Stack;
