//! The journal: what happened and what was signalled, in order, one JSON document per line, bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
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

/// Calls `tell` for each whole line of the journal, the older file first; lines that cannot be read are counted.
pub fn read_journal(path: &Path, mut tell: impl FnMut(Line)) -> io::Result<usize> {
    let mut torn = 0;
    for path in [path.with_extension("1.jsonl"), path.to_owned()] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file);
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text)? > 0 {
            match serde_json::from_slice(&text) {
                Ok(line) => tell(line),
                Err(_) if text.trim_ascii().is_empty() => {}
                Err(_) => torn += 1,
            }
            text.clear();
        }
    }
    Ok(torn)
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
        let torn = read_journal(&path, |line| seen.push(line.moment.0)).expect("reads");
        assert_eq!((torn, seen), (1, vec![1, 2]));
    }
}
