//! Reads the journal: whole lines, across rotations, in bounded memory, whatever has become of the files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
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
    /// Tells the lines that end in this piece; returns how many could not be read, as `tell` says.
    pub(super) fn take(&mut self, chunk: &[u8], tell: &mut impl FnMut(&[u8]) -> bool) -> usize {
        let (mut torn, mut from) = (0, 0);
        for end in memchr::memchr_iter(b'\n', chunk) {
            let piece = &chunk[from..=end];
            from = end + 1;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if self.rest.is_empty() {
                torn += usize::from(!tell_line(piece, tell));
            } else {
                self.rest.extend_from_slice(piece);
                torn += usize::from(!tell_line(&self.rest, tell));
                self.rest.clear();
            }
        }
        if !self.skipping {
            self.rest.extend_from_slice(&chunk[from..]);
        }
        if self.rest.len() > LONGEST {
            *self = Self { rest: Vec::new(), skipping: true };
            torn += 1;
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
        self.read_bytes(|line| read_line(line).map(&mut tell).is_some())
    }

    /// The same with the lines as they stand there; `tell` says whether it could read one.
    pub fn read_bytes(&mut self, mut tell: impl FnMut(&[u8]) -> bool) -> io::Result<usize> {
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

    /// Calls `tell` for each line from the newest one back, until it breaks or no line is left. What is written from now on
    /// is told by [`JournalReader::read`].
    pub fn read_back(&mut self, mut tell: impl FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        let mut newest = None;
        while let Some(mut file) = self.files.pop_back() {
            let end = file.metadata()?.len();
            let (flow, whole) = back_through(&file, end, &mut tell)?;
            if newest.is_none() {
                file.seek(SeekFrom::Start(whole))?;
                newest = Some(file);
            }
            if flow.is_break() {
                break;
            }
        }
        self.files = newest.into_iter().collect();
        self.text = Text::default();
        Ok(())
    }

    /// Reads the oldest file to its end.
    fn read_front(&mut self, tell: &mut impl FnMut(&[u8]) -> bool) -> io::Result<usize> {
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

/// A line of the journal; none where it cannot be read.
#[must_use]
pub fn read_line(line: &[u8]) -> Option<Line> {
    serde_json::from_slice(line).ok()
}

/// Whether a line could be read; an empty one is none.
fn tell_line(line: &[u8], tell: &mut impl FnMut(&[u8]) -> bool) -> bool {
    line.trim_ascii().is_empty() || (line.len() <= LONGEST && tell(line))
}

/// From the end of a file to its beginning, line by line; says as well where its last whole line ends.
fn back_through(
    file: &File,
    end: u64,
    tell: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<(ControlFlow<()>, u64)> {
    let chunk = u64::try_from(CHUNK).unwrap_or(u64::MAX);
    // What follows the last newline is torn, or is just being written: it is not told here.
    let (mut at, mut tail, mut whole) = (end, Vec::new(), None);
    while at > 0 {
        let size = at.min(chunk);
        at -= size;
        let mut piece = vec![0; usize::try_from(size).unwrap_or(CHUNK)];
        file.read_exact_at(&mut piece, at)?;
        let mut upto = piece.len();
        for newline in memchr::memrchr_iter(b'\n', &piece) {
            let line = &piece[newline + 1..upto];
            upto = newline;
            if whole.is_none() {
                whole = Some(at + u64::try_from(newline).unwrap_or(0) + 1);
                tail.clear();
                continue;
            }
            let flow = if tail.is_empty() { told(line, tell) } else { told(&[line, &tail].concat(), tell) };
            tail.clear();
            if flow.is_break() {
                return Ok((flow, whole.unwrap_or(end)));
            }
        }
        // Rubbish of any length is never held as a whole.
        if tail.len() <= LONGEST {
            piece.truncate(upto);
            piece.append(&mut tail);
            tail = piece;
        }
    }
    let flow = if whole.is_some() { told(&tail, tell) } else { ControlFlow::Continue(()) };
    Ok((flow, whole.unwrap_or(0)))
}

fn told(line: &[u8], tell: &mut impl FnMut(&[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
    if line.trim_ascii().is_empty() || line.len() > LONGEST { ControlFlow::Continue(()) } else { tell(line) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Moment, WallTime};
    use crate::machine::Event;
    use crate::store::{Entry, Journal};

    fn line(moment: u64) -> Line {
        Line { at: WallTime(5), moment: Moment(moment), by: None, entry: Entry::Event(Event::Tick) }
    }

    fn back(reader: &mut JournalReader, most: usize) -> Vec<u64> {
        let mut seen = Vec::new();
        let tell = |line: &[u8]| {
            seen.extend(read_line(line).map(|line| line.moment.0));
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        reader.read_back(tell).expect("reads");
        seen
    }

    #[test]
    fn the_newest_lines_come_first_and_what_follows_is_told_once() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        let mut journal = Journal::open(&path);
        // More than one chunk, and lines across its border.
        (1..=3000).for_each(|moment| journal.write(&line(moment)));
        std::fs::rename(&path, path.with_extension("1.jsonl")).expect("rotates");
        let mut journal = Journal::open(&path);
        (3001..=6000).for_each(|moment| journal.write(&line(moment)));
        let open = || JournalReader::open(&path).expect("opens");
        assert_eq!(back(&mut open(), usize::MAX), (1..=6000).rev().collect::<Vec<_>>());
        let mut reader = open();
        assert_eq!(back(&mut reader, 2), [6000, 5999]);
        journal.write(&line(6001));
        let mut seen = Vec::new();
        reader.read(|line| seen.push(line.moment.0)).expect("reads");
        assert_eq!(seen, [6001]);
    }

    #[test]
    fn cut_at_any_byte_it_is_read_backwards_too() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        let mut journal = Journal::open(&path);
        (1..=3).for_each(|moment| journal.write(&line(moment)));
        let all = std::fs::read(&path).expect("reads");
        for cut in 0..=all.len() {
            std::fs::write(&path, &all[..cut]).expect("writes");
            let whole = all[..cut].split(|byte| *byte == b'\n').count() - 1;
            let mut reader = JournalReader::open(&path).expect("opens");
            let wanted: Vec<u64> = (1..=u64::try_from(whole).expect("few")).rev().collect();
            assert_eq!(back(&mut reader, usize::MAX), wanted, "cut at {cut}");
            // The rest of a line that was just being written is told when it is there.
            std::fs::write(&path, &all).expect("writes");
            let mut seen = Vec::new();
            assert_eq!(reader.read(|line| seen.push(line.moment.0)).expect("reads"), 0, "cut at {cut}");
            assert_eq!(seen.len() + whole, 3, "cut at {cut}");
        }
    }
}
