//! The journal: what happened and what was signalled, in order, one JSON document per line, bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
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

/// The open journal of a stack. Several processes may write it at once: a supervisor and jobs, each a line in one write.
///
/// It is a help, never a condition: a full disk or a directory that became read-only must not end the one that writes
/// it. What could not be written is counted, and said in the journal itself once it can be.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// None while it cannot be opened.
    file: Option<File>,
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
        let mut journal = Self { path: path.to_owned(), file: None, lost: None };
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
        let size = self.make_ready()?;
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        // Half a line may stand at the end, this one's own or another writer's: the next one must not be glued to it.
        let torn = size > 0 && !ends_with_newline(file, size);
        let mut text = if torn { b"\n".to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
        file.write_all(&text)
    }

    /// Begins a new file where the present one is full, or was moved away or removed by somebody. Gives its size.
    fn make_ready(&mut self) -> io::Result<u64> {
        if let Some(size) = self.size_where_it_stands() {
            if size <= MAX_BYTES {
                return Ok(size);
            }
            // Where it cannot be moved away it goes on: too long is better than none.
            if !self.put_aside() {
                return Ok(size);
            }
        }
        self.reopen()?;
        Ok(self.size_where_it_stands().unwrap_or(0))
    }

    /// The size of the open file, if it is the one that stands at the path.
    fn size_where_it_stands(&self) -> Option<u64> {
        let ours = self.file.as_ref()?.metadata().ok()?;
        let there = fs::metadata(&self.path).ok()?;
        ((ours.dev(), ours.ino()) == (there.dev(), there.ino())).then_some(ours.len())
    }

    /// Moves the full file away; whoever comes second finds another one at the path, and leaves it alone.
    fn put_aside(&mut self) -> bool {
        let Some(file) = &self.file else { return false };
        let locked = flock(file, FlockOperation::NonBlockingLockExclusive).is_ok();
        locked
            && (self.size_where_it_stands().is_none()
                || fs::rename(&self.path, self.path.with_extension("1.jsonl")).is_ok())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        self.file = Some(private_file(OpenOptions::new().read(true).append(true).create(true), &self.path)?);
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
        let aside = temp.path().join("aside");
        fs::rename(&path, &aside).and_then(|()| fs::create_dir(&path)).expect("ours");
        journal.write(&line(2));
        fs::remove_dir(&path).and_then(|()| fs::rename(&aside, &path)).expect("ours");
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
    fn several_writers_lose_no_line_also_while_the_file_is_put_aside() {
        const LINES: u64 = 400;
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("journal.jsonl");
        // Nearly full: some of them find it so.
        let filler = vec![b' '; usize::try_from(MAX_BYTES).expect("a size") - 20_000];
        fs::write(&path, [&filler[..], b"\n"].concat()).expect("written");
        let mut reader = JournalReader::open(&path).expect("opens");
        std::thread::scope(|scope| {
            for writer in 0..4_u64 {
                let path = &path;
                scope.spawn(move || {
                    let mut journal = Journal::open(path);
                    (0..LINES).for_each(|number| journal.write(&line(writer * LINES + number)));
                    assert_eq!(journal.lost(), None);
                });
            }
        });
        let mut seen = Vec::new();
        reader.read(|line| seen.push(line.moment.0)).expect("reads");
        seen.sort_unstable();
        assert_eq!(seen, (0..4 * LINES).collect::<Vec<_>>());
        assert!(path.with_extension("1.jsonl").exists());
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
