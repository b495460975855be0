//! The journal: what happened and what was signalled, in order, one JSON document per line, bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::private_file;
use crate::domain::{Alert, Asker, Breach, Exit, Life, Moment, ProcId, Signal, UnitName, WallTime, Why};
use crate::machine::{Event, RequestId};

/// Beyond this size a new file begins; one older file is kept.
const MAX_BYTES: u64 = 16 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Line {
    /// Wall time, for people.
    pub at: WallTime,
    /// Moment, for a replay.
    pub moment: Moment,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
    // Behind the entry: so each line begins with when and what, and who looks for a kind need not read the rest.
    /// Who asked: for the request itself, and for each signal that was sent because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Asker>,
}

/// A line as it is read: `flatten` would read each one twice.
#[derive(Deserialize)]
struct Written {
    at: WallTime,
    moment: Moment,
    by: Option<Asker>,
    supervisor: Option<Began>,
    event: Option<Event>,
    receipt: Option<Receipt>,
    outcome: Option<Outcome>,
    alert: Option<Alert>,
    lost: Option<Lost>,
}

#[derive(Deserialize)]
struct Began {
    pid: u32,
    version: String,
}

impl TryFrom<Written> for Line {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { at, moment, by, supervisor, event, receipt, outcome, alert, lost } = written;
        let entry = event
            .map(Entry::Event)
            .or(receipt.map(Entry::Receipt))
            .or(outcome.map(Entry::Outcome))
            .or(alert.map(Entry::Alert))
            .or(supervisor.map(|Began { pid, version }| Entry::Supervisor { pid, version }))
            .or(lost.map(Entry::Lost))
            .ok_or("it tells nothing that this devstack knows")?;
        Ok(Self { at, moment, entry, by })
    }
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
    /// All who were signalled of one target have ended.
    Outcome(Outcome),
    /// Something needs an eye, or does so no longer.
    Alert(Alert),
    /// Lines that should stand here could not be written.
    Lost(Lost),
}

impl Entry {
    /// A life has broken a limit; who was ended for it, and who could not be.
    #[must_use]
    pub fn breached(
        unit: UnitName,
        life: Life,
        breach: Breach,
        ended: Vec<(ProcId, String)>,
        refused: Vec<(ProcId, String)>,
    ) -> Self {
        Self::Event(Event::Breached { unit, life, breach, ended, refused })
    }
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
    /// Why it is ended.
    #[serde(default)]
    pub why: Why,
    /// The request that asked for it, by its number under this supervisor.
    #[serde(default)]
    pub request: Option<RequestId>,
    /// Why it could not be sent, where it could not.
    pub refused: Option<String>,
}

/// What became of those who were signalled: the other half of their receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The unit that they belonged to; none for strays.
    pub unit: Option<UnitName>,
    /// Each once, in the order of the first signals.
    pub ends: Vec<End>,
}

/// The end of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Which.
    pub process: ProcId,
    /// The signal that it had first.
    pub signal: Signal,
    /// Whether it took SIGKILL.
    pub forced: bool,
    /// How it ended, where the kernel tells.
    pub exit: Option<Exit>,
    /// Milliseconds from the first signal until its end was seen.
    pub after_ms: u64,
}

/// The open journal of a stack.
///
/// It is a help, never a condition: a full disk or a directory that became read-only must not end the one that writes
/// it. What could not be written is counted, and said in the journal itself once it can be.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// None while it cannot be opened.
    file: Option<File>,
    size: u64,
    /// Half a line may stand at the end: the next one must not be glued to it.
    torn: bool,
    lost: Option<Lost>,
}

/// What could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// So many lines.
    pub lines: u64,
    /// The kernel's reason, the first time.
    pub reason: String,
}

impl Journal {
    /// Opens the journal for appending. After a torn last line a new line begins.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        // Where it cannot be opened now, the first line finds out why.
        let mut journal = Self { path: path.to_owned(), file: None, size: 0, torn: false, lost: None };
        let _ = journal.reopen();
        journal
    }

    /// Appends a line, in one write.
    pub fn write(&mut self, line: &Line) {
        if let Some(lost) = self.lost.clone() {
            let gap = Line { by: None, entry: Entry::Lost(lost), ..line.clone() };
            if self.append(&gap).is_ok() {
                self.lost = None;
            }
        }
        let written = if self.lost.is_none() { self.append(line) } else { Err(io::ErrorKind::Other.into()) };
        if let Err(error) = written {
            let first = || Lost { lines: 0, reason: words(&error) };
            self.lost.get_or_insert_with(first).lines += 1;
        }
    }

    /// What could not be written and is not said in the journal yet.
    #[must_use]
    pub fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        self.make_ready()?;
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut text = if self.torn { b"\n".to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
        // Told before the write: where it fails in the middle, half of it is there.
        self.torn = true;
        file.write_all(&text)?;
        self.torn = false;
        self.size += text.len() as u64;
        Ok(())
    }

    /// Begins a new file where the present one is full, or was removed by somebody.
    fn make_ready(&mut self) -> io::Result<()> {
        let removed =
            || self.file.as_ref().is_some_and(|file| file.metadata().is_ok_and(|of| of.nlink() == 0));
        if self.size > MAX_BYTES {
            // Where it cannot be moved away it goes on: too long is better than none.
            if fs::rename(&self.path, self.path.with_extension("1.jsonl")).is_ok() {
                self.file = None;
            }
        } else if removed() {
            self.file = None;
        }
        if self.file.is_none() { self.reopen() } else { Ok(()) }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = private_file(OpenOptions::new().read(true).append(true).create(true), &self.path)?;
        self.size = file.metadata()?.len();
        self.torn = self.size > 0 && !ends_with_newline(&file, self.size);
        self.file = Some(file);
        Ok(())
    }
}

/// The kernel's words, without the number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn ends_with_newline(file: &File, size: u64) -> bool {
    use std::os::unix::fs::FileExt as _;
    let mut last = [0];
    file.read_exact_at(&mut last, size - 1).is_ok() && last == *b"\n"
}

#[cfg(test)]
mod tests {
    use super::super::JournalReader;
    use super::*;

    fn line(moment: u64) -> Line {
        Line { at: WallTime(5), moment: Moment(moment), by: None, entry: Entry::Event(Event::Tick) }
    }

    fn read(path: &Path) -> (Vec<Line>, usize) {
        let mut seen = Vec::new();
        let torn = JournalReader::open(path).expect("opens").read(|line| seen.push(line)).expect("reads");
        (seen, torn)
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_said_when_it_can_be() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        fs::create_dir(&path).expect("a directory in its place");
        let mut journal = Journal::open(&path);
        (1..=3).for_each(|moment| journal.write(&line(moment)));
        let lost = Lost { lines: 3, reason: "is a directory".to_owned() };
        assert_eq!(journal.lost(), Some(&lost));
        fs::remove_dir(&path).expect("ours");
        journal.write(&line(4));
        assert_eq!(journal.lost(), None);
        let (seen, torn) = read(&path);
        assert_eq!(seen[0].entry, Entry::Lost(lost));
        assert_eq!((seen.len(), seen[1].moment.0, torn), (2, 4, 0));
    }

    #[test]
    fn half_a_line_on_a_full_disk_spoils_no_other() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        let mut journal = Journal::open(&path);
        journal.write(&line(1));
        // As `write_all` leaves it when the disk is full after some bytes.
        let real = journal.file.replace(OpenOptions::new().write(true).open("/dev/full").expect("there"));
        journal.write(&line(2));
        journal.file = real;
        let whole = fs::read(&path).expect("reads");
        fs::write(&path, [&whole[..], b"{\"at\":5,\"mo"].concat()).expect("writes");
        journal.write(&line(3));
        let (seen, torn) = read(&path);
        assert_eq!((seen.len(), torn), (3, 1), "line, gap, line: {seen:?}");
        assert_eq!(seen[2].moment.0, 3);
    }

    #[test]
    fn cut_at_any_byte_it_is_read_and_written_on() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        let mut journal = Journal::open(&path);
        (1..=3).for_each(|moment| journal.write(&line(moment)));
        let whole = fs::read(&path).expect("reads");
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).expect("writes");
            Journal::open(&path).write(&line(9));
            let (seen, torn) = read(&path);
            let ends = whole[..cut].split(|byte| *byte == b'\n').count() - 1;
            // A line without its newline is whole all the same.
            let kept = ends + usize::from(whole.get(cut) == Some(&b'\n'));
            assert_eq!(seen.len(), kept + 1, "cut at {cut}");
            assert!(torn <= 1 && seen.last().is_some_and(|line| line.moment.0 == 9), "cut at {cut}");
        }
    }

    #[test]
    fn rubbish_of_any_length_is_skipped_and_counted_in_bounded_memory() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        Journal::open(&path).write(&line(1));
        let mut file = OpenOptions::new().append(true).open(&path).expect("opens");
        let rubbish = vec![0xF5_u8; 1 << 20];
        for _ in 0..100 {
            file.write_all(&rubbish).expect("written");
        }
        file.write_all(b"\n\0\xFF{}\n[1,2]\n").expect("written");
        Journal::open(&path).write(&line(2));
        let (seen, torn) = read(&path);
        assert_eq!((seen.len(), torn), (2, 3));
    }

    #[test]
    fn a_torn_line_is_counted_and_the_next_one_stands_alone() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        Journal::open(&path).write(&line(1));
        let mut text = fs::read(&path).expect("reads");
        text.extend_from_slice(b"{\"at\": 5, \"mom");
        fs::write(&path, text).expect("writes");
        Journal::open(&path).write(&line(2));
        let mut seen = Vec::new();
        let mut reader = JournalReader::open(&path).expect("opens");
        let torn = reader.read(|line| seen.push(line.moment.0)).expect("reads");
        assert_eq!((torn, &seen), (1, &vec![1, 2]));
        fs::rename(&path, path.with_extension("1.jsonl")).expect("rotates");
        Journal::open(&path).write(&line(3));
        assert_eq!(reader.read(|line| seen.push(line.moment.0)).expect("reads"), 0);
        assert_eq!(seen, [1, 2, 3], "a rotation neither hides nor repeats a line");
    }
}
