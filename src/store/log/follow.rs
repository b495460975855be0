//! Reads on at the end of a log that is being written, across rotation.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::domain::WallTime;

/// A place in a unit's log that stays true when the file is rotated (it holds the file open).
#[derive(Clone, Debug, Default)]
pub struct Position {
    file: Option<Arc<File>>,
    offset: u64,
}

impl Position {
    /// The end of the log as it is now; its beginning where there is none yet.
    pub fn now(path: &Path) -> io::Result<Self> {
        let _ = path;
        todo!()
    }

    /// The first line written at or after `time`: for a life that an earlier supervisor started.
    pub fn since(path: &Path, time: WallTime) -> io::Result<Self> {
        let _ = (path, time);
        todo!()
    }
}
