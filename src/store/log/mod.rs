//! A unit's log: raw output in one file, rotated, with a side file that knows the time of each part.
//!
//! `NAME.log` is what the service wrote, byte for byte. `NAME.log.times` holds one record of 16 bytes for each chunk that
//! was written at a new millisecond: its offset in the file (u64, little endian) and the wall time in milliseconds since
//! the epoch (i64, little endian). Rotated files are `NAME.log.1` with `NAME.log.1.times`, and so on, newest first.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod rotate;
mod times;
pub mod writer;

pub use rotate::rotated_path;
pub use times::{RECORD_SIZE, times_path};
pub use writer::{LogWriter, Source};
mod follow;
mod reader;
mod reader_parts;
mod reader_text;
mod reader_times;

pub use follow::{Follower, Position};
pub use reader::{Line, Lines, PIECE, Wanted, bytes, tail, tail_from};
pub use reader_text::{printable, without_escapes};
