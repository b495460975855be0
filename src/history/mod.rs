//! What the journal tells: its lines in words, which of them are meant, why a unit is in its state, and whether the
//! machine would decide the same again. Pure: it is handed lines and reads no file.

mod filter;
mod replay;
mod story;
mod why;
mod words;

pub use filter::{Filter, Kind};
pub use replay::{Played, Replay, Tally, decision};
pub use why::{Because, Known, why};
pub use words::{key, unit_of, words};
