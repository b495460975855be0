//! The journal: what happened and what was signalled, in order, one JSON document per line, bounded.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::home::private_file;
use crate::domain::{Moment, ProcId, Signal, UnitName, WallTime};
use crate::machine::Event;

/// Beyond this size a new file begins; one older file is kept.
const MAX_BYTES: u64 = 16 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Wall time, for people.
    pub at: WallTime,
    /// Moment, for a replay.
    pub moment: Moment,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A supervisor began its work.
    Supervisor {
        /// Its process number.
        pid: u32,
        /// The version of devstack.
        version: String,
    },
    /// An event that the machine was given.
    Event(Event),
    /// A signal was sent, or refused.
    Receipt(Receipt),
}

/// The receipt of one signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What was sent.
    pub signal: Signal,
    /// To whom.
    pub process: ProcId,
    /// Its command line.
    pub command: String,
    /// The unit that it belongs to; none for strays.
    pub unit: Option<UnitName>,
    /// Why it is ours.
    pub evidence: String,
    /// Why it could not be sent, where it could not.
    pub refused: Option<String>,
}

/// The open journal of a stack.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Journal {
    /// Opens the journal for appending. After a torn last line a new line begins.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = private_file(OpenOptions::new().append(true).create(true), path)?;
        let size = file.metadata()?.len();
        if size > 0 && !ends_with_newline(path)? {
            file.write_all(b"\n")?;
        }
        Ok(Self { path: path.to_owned(), file, size })
    }

    /// Appends a line, in one write.
    pub fn write(&mut self, line: &Line) -> io::Result<()> {
        if self.size > MAX_BYTES {
            fs::rename(&self.path, self.path.with_extension("1.jsonl"))?;
            self.file = private_file(OpenOptions::new().append(true).create(true), &self.path)?;
            self.size = 0;
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.size += text.len() as u64;
        self.file.write_all(&text)
    }
}

/// Reads a journal from its beginning and, call by call, what came since: across rotations, whole lines only.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    files: VecDeque<File>,
    rest: Vec<u8>,
}

impl JournalReader {
    /// Opens the journal; one that does not exist yet is empty.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut files = VecDeque::new();
        for path in [&path.with_extension("1.jsonl"), path] {
            match File::open(path) {
                Ok(file) => files.push_back(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { path: path.to_owned(), files, rest: Vec::new() })
    }

    /// Calls `tell` for each line that was not told yet; returns how many could not be read.
    pub fn read(&mut self, mut tell: impl FnMut(Line)) -> io::Result<usize> {
        let mut torn = 0;
        loop {
            while let Some(file) = self.files.front_mut() {
                file.read_to_end(&mut self.rest)?;
                torn += whole_lines(&mut self.rest, &mut tell);
                if self.files.len() == 1 {
                    break;
                }
                // The end of a file that was rotated away: what is left without an end is torn.
                torn += usize::from(!std::mem::take(&mut self.rest).trim_ascii().is_empty());
                self.files.pop_front();
            }
            if !self.follow_rotation()? {
                return Ok(torn);
            }
        }
    }

    /// Whether a new file stands in the place of the one that was read last.
    fn follow_rotation(&mut self) -> io::Result<bool> {
        let newest = match File::open(&self.path) {
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

/// Tells the whole lines of a text and leaves what has no end yet; returns how many could not be read.
fn whole_lines(text: &mut Vec<u8>, tell: &mut impl FnMut(Line)) -> usize {
    let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else { return 0 };
    let mut torn = 0;
    for line in text[..end].split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        match serde_json::from_slice(line) {
            Ok(line) => tell(line),
            Err(_) => torn += 1,
        }
    }
    text.drain(..=end);
    torn
}

fn ends_with_newline(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let file = File::open(path)?;
    let mut last = [0];
    let end = file.metadata()?.len().saturating_sub(1);
    file.read_exact_at(&mut last, end)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_counted_and_the_next_one_stands_alone() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        let line =
            |moment| Line { at: WallTime(5), moment: Moment(moment), entry: Entry::Event(Event::Tick) };
        Journal::open(&path).expect("opens").write(&line(1)).expect("writes");
        let mut text = fs::read(&path).expect("reads");
        text.extend_from_slice(b"{\"at\": 5, \"mom");
        fs::write(&path, text).expect("writes");
        Journal::open(&path).expect("opens").write(&line(2)).expect("writes");
        let mut seen = Vec::new();
        let mut reader = JournalReader::open(&path).expect("opens");
        let torn = reader.read(|line| seen.push(line.moment.0)).expect("reads");
        assert_eq!((torn, &seen), (1, &vec![1, 2]));
        fs::rename(&path, path.with_extension("1.jsonl")).expect("rotates");
        Journal::open(&path).expect("opens").write(&line(3)).expect("writes");
        assert_eq!(reader.read(|line| seen.push(line.moment.0)).expect("reads"), 0);
        assert_eq!(seen, [1, 2, 3], "a rotation neither hides nor repeats a line");
    }
}
