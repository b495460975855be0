//! The life's record on disk: lines that are only ever appended.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::store::RecordLine;

#[derive(Debug)]
pub(super) struct Record(File);

impl Record {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).open(path).map(Self)
    }

    pub(super) fn append(&mut self, line: &RecordLine) -> io::Result<()> {
        self.0.write_all(&line.to_bytes()?)
    }
}
