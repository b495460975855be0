//! Reads the journal: whole lines, across rotations, in bounded memory, whatever has become of the files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::files::read_private;
use super::journal::Line;

/// No line of ours is longer: a plan of 100,000 services is some tens of megabytes. What is longer is rubbish.
const LONGEST: usize = 48 << 20;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// Reads a journal from its beginning and, call by call, what came since: across rotations, whole lines only.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    files: VecDeque<File>,
    text: Text,
}

/// Bytes as they come, told as lines.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// What has no end yet.
    rest: Vec<u8>,
    /// In the middle of a line that is too long: what comes up to its end is skipped.
    skipping: bool,
}

impl Text {
    /// Tells the lines that end in this piece; returns how many could not be read.
    pub(super) fn take(&mut self, chunk: &[u8], tell: &mut impl FnMut(Line)) -> usize {
        let mut torn = 0;
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            if !self.skipping {
                self.rest.extend_from_slice(piece);
            }
            if self.rest.len() > LONGEST {
                *self = Self { rest: Vec::new(), skipping: true };
                torn += 1;
            }
            if piece.ends_with(b"\n") && !std::mem::take(&mut self.skipping) {
                torn += usize::from(!tell_line(&self.rest, tell));
                self.rest.clear();
            }
        }
        torn
    }

    /// Nothing more comes: how many are torn, which is what was left without an end.
    pub(super) fn end(&mut self) -> usize {
        let Self { rest, skipping } = std::mem::take(self);
        usize::from(!skipping && !rest.trim_ascii().is_empty())
    }
}

impl JournalReader {
    /// Opens the journal; one that does not exist yet is empty.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut files = VecDeque::new();
        for path in [&path.with_extension("1.jsonl"), path] {
            match read_private(path) {
                Ok(file) => files.push_back(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { path: path.to_owned(), files, text: Text::default() })
    }

    /// Calls `tell` for each line that was not told yet; returns how many could not be read.
    pub fn read(&mut self, mut tell: impl FnMut(Line)) -> io::Result<usize> {
        let mut torn = 0;
        loop {
            while !self.files.is_empty() {
                torn += self.read_front(&mut tell)?;
                if self.files.len() == 1 {
                    break;
                }
                // The end of a file that was rotated away: what is left without an end is torn.
                torn += self.text.end();
                self.files.pop_front();
            }
            if !self.follow_rotation()? {
                return Ok(torn);
            }
        }
    }

    /// Reads the oldest file to its end.
    fn read_front(&mut self, tell: &mut impl FnMut(Line)) -> io::Result<usize> {
        let Some(file) = self.files.front_mut() else { return Ok(0) };
        let (mut torn, mut chunk) = (0, vec![0; CHUNK]);
        loop {
            let count = match file.read(&mut chunk) {
                Ok(0) => return Ok(torn),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            torn += self.text.take(&chunk[..count], tell);
        }
    }

    /// Whether a new file stands in the place of the one that was read last.
    fn follow_rotation(&mut self) -> io::Result<bool> {
        let newest = match read_private(&self.path) {
            Ok(newest) => newest,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let identity = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
        let known = self.files.back().map(identity).transpose()?;
        if known == Some(identity(&newest)?) {
            return Ok(false);
        }
        self.files.push_back(newest);
        Ok(true)
    }
}

/// Whether a line could be read; an empty one is none.
fn tell_line(line: &[u8], tell: &mut impl FnMut(Line)) -> bool {
    if line.trim_ascii().is_empty() {
        return true;
    }
    serde_json::from_slice(line).map(tell).is_ok()
}
