//! What people and scripts see: a view or a report in, text out.
//!
//! All of it is pure text except two files: [`door`] reads the surroundings once and is the only place that prints,
//! and [`live`] keeps progress on a terminal.

mod container;
mod container_json;
pub mod doctor;
pub mod door;
pub mod down;
pub mod error;
pub mod event;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod job;
pub mod json;
pub mod json_usage;
pub mod live;
pub mod ls;
pub mod monitor;
pub mod paint;
pub mod progress;
pub mod ps;
pub mod status;
pub mod sweep;
pub mod table;
pub mod text;
pub mod trouble;
pub mod up;

pub use door::Door;
pub use error::Problem;
pub use live::{Block, Progress};
pub use paint::{ColorChoice, Paint, Surroundings, Tone};
