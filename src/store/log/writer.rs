//! Writes a log: as fast as the disk, in bounded memory, and never in the way of the service.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::domain::WallTime;

/// Where output comes from.
pub trait Source {
    /// Moves up to `most` bytes to the file without looking at them; `Unsupported` where that cannot be done,
    /// `WouldBlock` where nothing is there, 0 at the end.
    fn move_to(&mut self, file: &File, most: usize) -> io::Result<usize>;
    /// Reads; `WouldBlock` where nothing is there, 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// The one writer of a unit's log.
#[derive(Debug)]
pub struct LogWriter {}

impl LogWriter {
    /// Opens the log for appending.
    pub fn open(path: &Path, max_size: u64, max_files: u32) -> io::Result<Self> {
        todo!("{path:?} {max_size} {max_files}")
    }

    /// Moves up to `most` bytes of what the source holds into the log, once. Gives the bytes taken; 0 at the end.
    /// Only the source's own errors are told: what cannot be written is counted and said in the log itself.
    pub fn pump(&mut self, source: &mut impl Source, most: usize, now: WallTime) -> io::Result<usize> {
        let _ = (source, most, now);
        todo!()
    }
}
