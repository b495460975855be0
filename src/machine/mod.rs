//! The pure decider: events in, actions out. No clock, no I/O, no async; time comes in as `now`.
//!
//! Read `boundary` (what can happen, what can be done), then `unit` and `phases` (one unit), `ladder` (how anything is
//! ended), `request` and `closing` (an `up`, a `down`), and `stack`, which holds it all.
//! `cause` says afterwards why something is being ended.

mod boundary;
mod cause;
mod closing;
mod ladder;
mod limits;
mod order;
mod phases;
mod request;
mod restart;
mod rollback;
mod stack;
mod standing;
#[cfg(test)]
mod tests;
mod turn;
mod unit;
mod view;
mod words;

pub use boundary::*;
pub use cause::Cause;
pub use limits::Overruns;
pub use stack::Stack;
pub use unit::ENGINE_LAG;
