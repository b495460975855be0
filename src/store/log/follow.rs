//! Reads a log as one stream of bytes across its rotated files, and on at its end while it is being written.

use std::collections::VecDeque;
use std::fs::{File, Metadata, symlink_metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader_parts::Snapshot;
use super::reader_times::Times;
use super::rotate::rotated_path;
use crate::domain::WallTime;
use crate::store::read_private;

/// How many rotated files may be missing in a row before the rest is believed not to exist.
const GAP: u32 = 3;

/// A place in a unit's log that stays true when the file is rotated (it holds the file open).
#[derive(Clone, Debug, Default)]
pub struct Position {
    pub(super) file: Option<Arc<File>>,
    pub(super) offset: u64,
}

impl Position {
    /// The end of the log as it is now; its beginning where there is none yet.
    pub fn now(path: &Path) -> io::Result<Self> {
        match read_private(path) {
            Ok(file) => {
                let offset = file.metadata()?.len();
                Ok(Self { file: Some(Arc::new(file)), offset })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Whether nothing was written since: it is where the log ends, and no other file has taken its place.
    pub(super) fn is_end_of(&self, path: &Path) -> bool {
        let Some(held) = self.file.as_ref().and_then(|file| file.metadata().ok()) else { return false };
        let same = |now: Metadata| FileKey::of(&now) == FileKey::of(&held);
        held.len() == self.offset && symlink_metadata(path).is_ok_and(same)
    }

    /// The first line written at or after `time`: for a life that an earlier supervisor started.
    pub fn since(path: &Path, time: WallTime) -> io::Result<Self> {
        let snapshot = Snapshot::open(path)?;
        let start = snapshot.since(time)?;
        Ok(snapshot.position(start))
    }
}

/// What tells one file from another while it is held open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileKey(u64, u64);

impl FileKey {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self(meta.dev(), meta.ino())
    }
}

/// One file of a log, held open: its number cannot be given to another file meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) key: FileKey,
    pub(super) times: Times,
    /// Its size when it was opened.
    pub(super) length: u64,
    /// When it was last written to, as seen when it was opened; stands in where there is no index.
    pub(super) written: WallTime,
}

impl Part {
    /// Opens a file of a log; none where there is none of this name.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match read_private(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let times = Times::open(path);
        Self::of(file.into(), times).map(Some)
    }

    pub(super) fn of(file: Arc<File>, times: Times) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { key: FileKey::of(&meta), length: meta.len(), written: modified(&meta), file, times })
    }

    /// When the byte at `offset` was written.
    pub(super) fn time(&mut self, offset: u64) -> WallTime {
        self.times.at(offset).unwrap_or(self.written)
    }
}

/// The files of a log that are newer than `last` (all, if none), oldest first.
///
/// Rotation only moves files to higher numbers, and they are looked at from low to high: a rotation in between shows
/// a file twice or leaves a gap for a moment, but hides none.
pub(super) fn newer(path: &Path, last: Option<&Part>) -> io::Result<Vec<Part>> {
    let mut found: Vec<Part> = Vec::new();
    let (mut number, mut missing, mut met) = (0, 0, false);
    while missing <= GAP {
        let part = Part::open(&rotated_path(path, number))?;
        number += 1;
        let Some(part) = part else {
            missing += 1;
            continue;
        };
        missing = 0;
        if last.is_some_and(|last| last.key == part.key) {
            met = true;
            break;
        }
        if !found.iter().any(|other| other.key == part.key) {
            found.push(part);
        }
    }
    if let Some(last) = last
        && !met
    {
        // Ours was deleted or moved away by somebody: what was written before its last byte is older, not newer.
        let ours = written(&last.file.metadata()?);
        let mut kept = Vec::new();
        for (place, part) in found.into_iter().enumerate() {
            if place == 0 || written(&part.file.metadata()?) >= ours {
                kept.push(part);
            }
        }
        found = kept;
    }
    found.reverse();
    Ok(found)
}

/// Reads a log from a place on, each byte once, whatever is rotated or truncated meanwhile.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    queue: VecDeque<Part>,
    /// Where the next byte of the front file is.
    offset: u64,
    /// Where the last chunk began in the front file.
    chunk: u64,
    /// Bytes read from the beginning of the stream on.
    position: u64,
    /// Whether it goes on when the log grows; otherwise it ends where the log ended when it was opened.
    live: bool,
}

impl Follower {
    /// Reads on from a place.
    pub fn new(path: &Path, from: Position) -> io::Result<Self> {
        let mut follower = Self {
            path: path.to_owned(),
            queue: VecDeque::new(),
            offset: from.offset,
            chunk: 0,
            position: 0,
            live: true,
        };
        if let Some(file) = from.file {
            // The name can mean a younger file by now: its index would give this one wrong times.
            let same = std::fs::metadata(path).ok().map(|meta| FileKey::of(&meta))
                == file.metadata().ok().map(|meta| FileKey::of(&meta));
            let times = if same { Times::open(path) } else { Times::none() };
            follower.queue.push_back(Part::of(file, times)?);
        }
        Ok(follower)
    }

    pub(super) fn of(path: &Path, parts: Vec<Part>, offset: u64, position: u64, live: bool) -> Self {
        Self { path: path.to_owned(), queue: parts.into(), offset, chunk: offset, position, live }
    }

    /// Whether it goes on when the log grows.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Reads the next bytes, all of one file; 0 means that there are none now.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Looked up before the read: what has a successor is not written to any more, so its end is final.
            if self.live {
                self.look()?;
            }
            let is_last = self.queue.len() == 1;
            let Some(front) = self.queue.front_mut() else { return Ok(0) };
            let most = if self.live {
                buffer.len()
            } else {
                let left = front.length.saturating_sub(self.offset);
                buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX))
            };
            let count = match front.file.read_at(&mut buffer[..most], self.offset) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if count > 0 {
                if self.live {
                    front.times.grow();
                }
                self.chunk = self.offset;
                self.offset += count as u64;
                self.position += count as u64;
                return Ok(count);
            }
            if !is_last {
                self.queue.pop_front();
                self.offset = 0;
            } else if self.live && front.file.metadata()?.len() < self.offset {
                self.offset = 0;
                front.times.renew();
            } else {
                return Ok(0);
            }
        }
    }

    /// When a byte of the last chunk was written.
    pub(super) fn time(&mut self, place_in_chunk: usize) -> WallTime {
        let offset = self.chunk + place_in_chunk as u64;
        let Some(front) = self.queue.front_mut() else { return WallTime::default() };
        if front.times.is_empty() && self.live && self.queue.len() == 1 {
            // The index may have appeared after its log.
            if let Some(front) = self.queue.front_mut() {
                front.times = Times::open(&self.path);
            }
        }
        self.queue.front_mut().map(|part| part.time(offset)).unwrap_or_default()
    }

    /// Bytes from the beginning of the stream to the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The newest file, which grows; none while there is none.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<File>> {
        self.queue.back().map(|part| &part.file)
    }

    fn look(&mut self) -> io::Result<()> {
        let present = match std::fs::metadata(&self.path) {
            Ok(meta) => FileKey::of(&meta),
            // In the middle of a rotation: the next look finds the new file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.queue.back().is_none_or(|last| last.key != present) {
            let more = newer(&self.path, self.queue.back())?;
            self.queue.extend(more);
        }
        Ok(())
    }
}

fn modified(meta: &Metadata) -> WallTime {
    WallTime(meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000)
}

fn written(meta: &Metadata) -> (i64, i64) {
    (meta.mtime(), meta.mtime_nsec())
}
