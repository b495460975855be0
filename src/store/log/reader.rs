//! Reads the lines of a unit across its rotated files.

use std::path::Path;

use super::Position;

/// The last `n` lines of a log, for evidence: few bytes, lossy UTF-8, no control characters. Empty where it cannot be read.
#[must_use]
pub fn tail(path: &Path, n: usize) -> Vec<String> {
    let _ = (path, n);
    todo!()
}

/// As [`tail`], of what was written after `from` (the beginning of a life).
#[must_use]
pub fn tail_from(path: &Path, from: &Position, n: usize) -> Vec<String> {
    let _ = (path, from, n);
    todo!()
}
