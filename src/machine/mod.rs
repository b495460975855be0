//! The pure decider: events in, actions out. No clock, no I/O, no async; time comes in as `now`.

mod boundary;

pub use boundary::*;
