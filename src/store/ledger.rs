//! The ledger: one record per life, appended line by line; what must be known after a crash of everything of ours.
//!
//! The supervisor writes the intent before the keeper is spawned, the keeper writes the leader before the service's code
//! runs. The record is removed when the life is proven empty. A line without its seal (torn, or not this stack's own word
//! about this life) is skipped.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StackDir;
use super::files::{private_file, read_whole};
use super::seal::{Seal, unverified};
use crate::domain::{Exit, Life, Mark, Moment, ProcId, UnitName, WallTime};
use crate::plan::UnitPlan;
use crate::sys::pipe::PipeId;

/// A life of a unit as it was meant, written before anything of it exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Boot id of the machine: in another boot nothing of this can live.
    pub boot: String,
    /// The plan that it is started by.
    pub plan: UnitPlan,
    /// Which life.
    pub life: Life,
    /// Its mark.
    pub mark: Mark,
    /// Its cgroup leaf with its inode, where there is one.
    pub cgroup: Option<(PathBuf, u64)>,
    /// Its leaves in cgroup trees of single controllers, where its limits are held there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<(PathBuf, u64)>,
    /// Where its keeper listens.
    pub socket: PathBuf,
    /// When.
    pub at: Moment,
}

impl Intent {
    /// The key that seals the record of this life of this stack.
    #[must_use]
    pub fn seal(&self, dir: &StackDir) -> Seal {
        let unit = self.plan.name.as_str();
        Seal::of(&self.mark, &["life", &dir.hash, unit, &self.life.to_string()])
    }
}

/// One line of a life's record on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordLine {
    /// Written by the supervisor before the keeper is spawned.
    Intent(Box<Intent>),
    /// Written by the keeper before the service's code runs.
    Leader {
        /// Boot id of the machine: in another boot none of these identities means anything.
        boot: String,
        /// The keeper.
        keeper: ProcId,
        /// The leader.
        leader: ProcId,
        /// The pipe of its output.
        #[serde(default)]
        output: Option<PipeId>,
        /// The session that it shares with its caller: nobody is a member for being in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<i32>,
        /// When.
        at: WallTime,
    },
    /// A member seen for the first time.
    Member(ProcId),
    /// The service sent `READY=1`.
    Notified,
    /// Written by the supervisor: its gate held.
    Ready,
    /// The leader ended.
    Exited {
        /// How.
        exit: Exit,
        /// When.
        at: WallTime,
    },
    /// Written by the supervisor before it asks or kills for the first time: whoever takes this life over ends it.
    Ending,
    /// Written by the keeper: no supervisor is there any more, and it ends the service, as the manifest says.
    Alone {
        /// When.
        at: WallTime,
    },
    /// Nothing is left (`ECHILD`).
    Emptied,
    /// Written by a supervisor that found no leader here. Whichever is first, this or the leader, is true: lines are
    /// appended one after the other, and both writers look at what came before theirs.
    GivenUp,
}

impl RecordLine {
    /// As it is written, sealed, in one write: a reader sees all of it or nothing.
    ///
    /// It begins with a line end as well: what a full disk left of the line before, which another process may have
    /// written, cannot spoil it.
    pub fn to_bytes(&self, seal: &Seal) -> io::Result<Vec<u8>> {
        let mut text = vec![b'\n'];
        text.extend(seal.close(serde_json::to_vec(self)?));
        text.push(b'\n');
        Ok(text)
    }
}

/// A record read back.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line that was read or was not")]
pub struct LifeRecord {
    /// What was meant.
    pub intent: Intent,
    /// The keeper, as far as it came.
    pub keeper: Option<ProcId>,
    /// The leader, as far as it came.
    pub leader: Option<ProcId>,
    /// The pipe of its output.
    pub output: Option<PipeId>,
    /// The session that it shares with its caller.
    pub session: Option<i32>,
    /// When its code began to run.
    pub started_at: Option<WallTime>,
    /// Every member seen, the leader included.
    pub members: BTreeSet<ProcId>,
    /// It had sent `READY=1`.
    pub notified: bool,
    /// Its gate had held.
    pub ready: bool,
    /// How its leader ended.
    pub exit: Option<Exit>,
    /// It was being ended.
    pub ending: bool,
    /// When its keeper began to end it, because its supervisor was gone.
    pub alone: Option<WallTime>,
    /// Proven to be empty.
    pub emptied: bool,
    /// Lines that are this stack's own word and not understood: a newer devstack wrote them.
    pub strange: usize,
}

impl LifeRecord {
    /// What people must know of the record itself.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let (unit, life) = (&self.intent.plan.name, self.intent.life);
        let lines = match self.strange {
            0 => return None,
            1 => "1 line".to_owned(),
            many => format!("{many} lines"),
        };
        Some(format!("the record of {unit} (life {life}) has {lines} that this devstack does not understand"))
    }
}

/// Begins the record of a life. What an earlier file of that name holds is nobody's.
pub fn create_record(dir: &StackDir, intent: Intent) -> io::Result<PathBuf> {
    let path = dir.record(&intent.plan.name, intent.life);
    let mut file = match private_file(OpenOptions::new().append(true).create_new(true), &path) {
        // Only then is there something to cut off: a file that was ever cut is written to the disk when it is closed
        // (ext4), and a start would wait for that.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            private_file(OpenOptions::new().append(true), &path)
                .and_then(|file| file.set_len(0).map(|()| file))?
        }
        created => created?,
    };
    let seal = intent.seal(dir);
    write_line(&mut file, &seal, &RecordLine::Intent(Box::new(intent)))?;
    Ok(path)
}

/// Gives up a life whose record has no leader: its keeper may live and be about to write one. Gives the record as it
/// stands then: with the leader, if that one came first.
pub fn give_up(dir: &StackDir, intent: &Intent) -> io::Result<Option<LifeRecord>> {
    let (unit, life) = (&intent.plan.name, intent.life);
    append_record(&dir.record(unit, life), &intent.seal(dir), &RecordLine::GivenUp)?;
    read_record(dir, unit, life)
}

/// Whether a life was given up before it had a leader.
#[must_use]
pub fn is_given_up(seal: &Seal, record: &[u8]) -> bool {
    let lines = record.split(|byte| *byte == b'\n');
    // The intent holds a whole plan, and is none of the two.
    let lines = lines.filter(|line| !line.starts_with(b"{\"intent\":"));
    let mut lines = lines.filter_map(|line| serde_json::from_slice(&seal.open(line)?).ok());
    let first = lines.find(|line| matches!(line, RecordLine::Leader { .. } | RecordLine::GivenUp));
    first == Some(RecordLine::GivenUp)
}

/// Adds a line to the record of a life, in one write.
pub fn append_record(path: &Path, seal: &Seal, line: &RecordLine) -> io::Result<()> {
    write_line(&mut private_file(OpenOptions::new().append(true), path)?, seal, line)
}

/// Forgets a life that is proven empty (or never began), with the sockets of its keeper.
pub fn remove_record(dir: &StackDir, unit: &UnitName, life: Life) {
    // A record that is left over costs nothing: the next supervisor finds none of its processes alive.
    let _ = fs::remove_file(dir.record(unit, life));
    // A keeper that was killed has left them.
    let _ = fs::remove_file(dir.keeper_socket(unit, life));
    let _ = fs::remove_file(dir.notify_socket(unit, life));
}

/// Reads every record of a stack, whichever boot it is of, in order of unit and life.
pub fn read_records(dir: &StackDir) -> io::Result<Vec<LifeRecord>> {
    read_records_but(dir, &BTreeSet::new())
}

/// The same without these files ([`StackDir::record`]), which are not even opened: whoever holds a life need not read it.
pub fn read_records_but(dir: &StackDir, known: &BTreeSet<PathBuf>) -> io::Result<Vec<LifeRecord>> {
    let mut records = Vec::new();
    for entry in entries(dir)?.into_iter().filter(|entry| !known.contains(entry)) {
        // One that cannot be read is told with those that cannot be believed: it must not hide the others.
        if let Ok(text) = read_whole(&entry) {
            records.extend(parse_record(dir, &text));
        }
    }
    records.sort_by(|a, b| (&a.intent.plan.name, a.intent.life).cmp(&(&b.intent.plan.name, b.intent.life)));
    Ok(records)
}

/// The files of all records. Where there is no directory of them, or something else in its place, there are none.
fn entries(dir: &StackDir) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir.state.join("lives")) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Reads the record of one life; none where there is none.
pub fn read_record(dir: &StackDir, unit: &UnitName, life: Life) -> io::Result<Option<LifeRecord>> {
    match read_whole(&dir.record(unit, life)) {
        Ok(text) => Ok(parse_record(dir, &text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What stands in the ledger and is not this stack's own word: told, never believed.
#[derive(Debug, Default)]
pub struct Doubted {
    /// Processes that such lines name.
    pub named: BTreeSet<ProcId>,
    /// Files without anything to be believed.
    pub files: Vec<PathBuf>,
}

/// Reads what [`read_records`] leaves out.
pub fn read_doubted(dir: &StackDir) -> io::Result<Doubted> {
    let mut doubted = Doubted::default();
    for path in entries(dir)? {
        let Ok(text) = read_whole(&path) else {
            doubted.files.push(path);
            continue;
        };
        let seal = parse_record(dir, &text).map(|record| record.intent.seal(dir));
        for line in text.split(|byte| *byte == b'\n') {
            if seal.as_ref().is_some_and(|seal| seal.open(line).is_some()) {
                continue;
            }
            let line = unverified(line).unwrap_or_else(|| line.to_vec());
            match serde_json::from_slice(&line) {
                Ok(RecordLine::Leader { leader, .. }) => doubted.named.insert(leader),
                Ok(RecordLine::Member(member)) => doubted.named.insert(member),
                _ => false,
            };
        }
        if seal.is_none() {
            doubted.files.push(path);
        }
    }
    Ok(doubted)
}

/// A record from its text; none where even the intent is torn: then nothing of it was ever started.
pub(super) fn parse_record(dir: &StackDir, text: &[u8]) -> Option<LifeRecord> {
    let lines = || text.split(|byte| *byte == b'\n');
    let intent = lines().find_map(|line| read_intent(dir, line))?;
    let seal = intent.seal(dir);
    let lines: Vec<_> = lines()
        .filter_map(|line| seal.open(line))
        .map(|line| serde_json::from_slice::<RecordLine>(&line))
        .collect();
    let strange = lines.iter().filter(|line| line.is_err()).count();
    let mut record = LifeRecord {
        intent,
        keeper: None,
        leader: None,
        output: None,
        session: None,
        started_at: None,
        members: BTreeSet::new(),
        notified: false,
        ready: false,
        exit: None,
        ending: false,
        alone: None,
        emptied: false,
        strange,
    };
    let mut given_up = false;
    for line in lines.into_iter().flatten() {
        match line {
            RecordLine::Intent(_) => {}
            RecordLine::Leader { keeper, leader, output, session, at, .. } => {
                // It was too late, and never ran.
                if given_up {
                    continue;
                }
                record.output = output;
                record.session = session;
                record.keeper = Some(keeper);
                record.leader = Some(leader);
                record.started_at = Some(at);
                record.members.insert(leader);
            }
            RecordLine::Member(id) => {
                record.members.insert(id);
            }
            RecordLine::Notified => record.notified = true,
            RecordLine::Ready => record.ready = true,
            RecordLine::Exited { exit, .. } => record.exit = Some(exit),
            RecordLine::Ending => record.ending = true,
            RecordLine::Alone { at } => record.alone = Some(at),
            RecordLine::Emptied => record.emptied = true,
            RecordLine::GivenUp => given_up |= record.leader.is_none(),
        }
    }
    Some(record)
}

/// The intent in a line that is sealed for what it says itself.
fn read_intent(dir: &StackDir, line: &[u8]) -> Option<Intent> {
    match serde_json::from_slice(&unverified(line)?).ok()? {
        RecordLine::Intent(intent) => intent.seal(dir).open(line).map(|_| *intent),
        _ => None,
    }
}

fn write_line(file: &mut File, seal: &Seal, line: &RecordLine) -> io::Result<()> {
    file.write_all(&line.to_bytes(seal)?)
}
