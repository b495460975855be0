//! The life's record on disk: sealed lines that are only ever appended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::store::{RecordLine, Seal, is_given_up, private_file};

#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    file: File,
    seal: Seal,
}

impl Record {
    pub(crate) fn open(path: &Path, seal: Seal) -> io::Result<Self> {
        let file = private_file(OpenOptions::new().read(true).append(true), path)?;
        Ok(Self { path: path.to_owned(), file, seal })
    }

    /// Where it was removed and written anew by the supervisor, it goes on there.
    pub(crate) fn renew(&mut self) {
        if let Ok(renewed) = Self::open(&self.path, self.seal.clone()) {
            *self = renewed;
        }
    }

    pub(crate) fn append(&mut self, line: &RecordLine) -> io::Result<()> {
        self.file.write_all(&line.to_bytes(&self.seal)?)
    }

    /// Appends the leader's line. Says no where another supervisor has given this life up before: it may have begun the
    /// next one already, so this one must not run.
    pub(crate) fn append_leader(&mut self, line: &RecordLine) -> io::Result<bool> {
        self.append(line)?;
        let mut text = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut text)?;
        Ok(!is_given_up(&self.seal, &text))
    }
}
