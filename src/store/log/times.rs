//! The side file that knows the time of each part of a log: records of 16 bytes, an offset and a wall time.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::domain::WallTime;
use crate::store::private_file;

/// Size of one record.
pub const RECORD_SIZE: u64 = 16;

/// Where the times of a log file are.
#[must_use]
pub fn times_path(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".times");
    path.into()
}

/// The writer of one log file's times.
#[derive(Debug)]
pub(super) struct TimesWriter {
    file: File,
    length: u64,
    last: Option<WallTime>,
}

impl TimesWriter {
    /// Opens the times of this log for appending; a torn last record is cut off.
    pub(super) fn open(log: &Path) -> io::Result<Self> {
        let path = times_path(log);
        let file = private_file(OpenOptions::new().write(true).create(true).truncate(false), &path)?;
        let length = file.metadata()?.len() / RECORD_SIZE * RECORD_SIZE;
        Ok(Self { file, length, last: None })
    }

    /// What is written at `offset` from now on was written at `now`. Told before the bytes are there: who follows the
    /// log must find the time when he sees the bytes.
    pub(super) fn stamp(&mut self, offset: u64, now: WallTime) {
        if self.last == Some(now) {
            return;
        }
        let mut record = [0_u8; 16];
        record[..8].copy_from_slice(&offset.to_le_bytes());
        record[8..].copy_from_slice(&now.0.to_le_bytes());
        // On a full disk the time is lost; half a record is overwritten by the next one.
        if self.file.write_all_at(&record, self.length).is_ok() {
            self.length += RECORD_SIZE;
            self.last = Some(now);
        }
    }

    /// The log was cut off from outside: its times are worth nothing any more.
    pub(super) fn clear(&mut self) {
        if self.file.set_len(0).is_ok() {
            self.length = 0;
        }
        self.last = None;
    }
}
