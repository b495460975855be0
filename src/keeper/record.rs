//! The life's record on disk: sealed lines that are only ever appended.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::store::{RecordLine, Seal};

#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    file: File,
    seal: Seal,
}

impl Record {
    pub(super) fn open(path: &Path, seal: Seal) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.to_owned(), file, seal })
    }

    /// Where it was removed and written anew by the supervisor, it goes on there.
    pub(super) fn renew(&mut self) {
        if let Ok(renewed) = Self::open(&self.path, self.seal.clone()) {
            *self = renewed;
        }
    }

    pub(super) fn append(&mut self, line: &RecordLine) -> io::Result<()> {
        self.file.write_all(&line.to_bytes(&self.seal)?)
    }
}
