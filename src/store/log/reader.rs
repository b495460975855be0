//! Reads the lines of a unit across its rotated files, with the time of each, and on while it is being written.

use std::io;
use std::path::Path;

use regex::bytes::Regex;

use super::Position;
use super::follow::Follower;
use super::reader_parts::Snapshot;
use super::reader_text::printable;
use crate::domain::WallTime;

/// A line longer than this is given in pieces.
pub const PIECE: usize = 64 * 1024;
/// How much is read at once.
const CHUNK: usize = 256 * 1024;
/// How much of a log is looked at for evidence, and how long its lines may be.
const TAIL_BYTES: u64 = 64 * 1024;
const TAIL_CHARS: usize = 500;

/// Which lines of a log are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only lines begun at or after this time.
    pub since: Option<WallTime>,
    /// Only lines begun at or before this time.
    pub until: Option<WallTime>,
    /// Only so many of the last ones (of those that match).
    pub last: Option<u64>,
    /// Only lines that match; the reader uses it to count `last`, it gives the others too.
    pub pattern: Option<Regex>,
    /// Whether times are needed; without, [`Line::time`] is meaningless.
    pub timed: bool,
    /// Whether to go on as the log grows.
    pub live: bool,
}

/// A line, or a piece of a very long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When its first byte was written.
    pub time: WallTime,
    /// Its bytes without the newline.
    pub bytes: &'a [u8],
    /// Whether the line goes on in the next piece.
    pub cut: bool,
    /// Where the line begins in the stream of bytes.
    pub(super) position: u64,
}

/// The lines of a log.
#[derive(Debug)]
pub struct Lines {
    follower: Follower,
    timed: bool,
    /// Lines that begin here or later, or after this time, are not wanted.
    bound: u64,
    until: Option<WallTime>,
    over: bool,
    buffer: Vec<u8>,
    /// The present line.
    line: Option<(std::ops::Range<usize>, bool)>,
    /// Where the next line begins in the buffer, and how much of the buffer is filled.
    next: usize,
    filled: usize,
    /// Where the last chunk begins in the buffer.
    chunk: usize,
    /// Time and place of the line in hand.
    time: WallTime,
    begun: u64,
    /// Whether the next piece goes on with a line that was begun earlier, so that its time is known.
    inside: bool,
}

impl Lines {
    /// Opens a log. A log that does not exist has no lines yet.
    pub fn open(path: &Path, wanted: &Wanted) -> io::Result<Self> {
        let (snapshot, start, bound) = places(path, wanted)?;
        let open_ended = wanted.live && bound == snapshot.end();
        let timed = wanted.timed || (wanted.live && wanted.until.is_some());
        let mut lines = snapshot.lines(start, wanted.live, timed);
        lines.bound = if open_ended { u64::MAX } else { bound };
        lines.until = wanted.until.filter(|_| wanted.live);
        Ok(lines)
    }

    /// Reads on from a place, as the log grows; without times.
    pub fn follow(path: &Path, from: Position) -> io::Result<Self> {
        Follower::new(path, from).map(|follower| Self::new(follower, false))
    }

    pub(super) fn new(follower: Follower, timed: bool) -> Self {
        Self {
            follower,
            timed,
            bound: u64::MAX,
            until: None,
            over: false,
            buffer: vec![0; PIECE + 1 + CHUNK],
            line: None,
            next: 0,
            filled: 0,
            chunk: 0,
            time: WallTime::default(),
            begun: 0,
            inside: false,
        }
    }

    /// Goes to the next line; false where there is none (now).
    pub fn advance(&mut self) -> io::Result<bool> {
        self.line = None;
        loop {
            if self.over {
                return Ok(false);
            }
            if self.next < self.filled && !self.inside {
                self.begin();
                continue;
            }
            let rest = &self.buffer[self.next..self.filled];
            // One byte more: a line of just this length is whole.
            let within = &rest[..rest.len().min(PIECE + 1)];
            if let Some(length) = memchr::memchr(b'\n', within) {
                self.take(length, 1, false);
                return Ok(true);
            }
            if within.len() > PIECE {
                self.take(PIECE, 0, true);
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(self.next < self.filled && !self.follower.is_live() && {
                    self.take(self.filled - self.next, 0, false);
                    true
                });
            }
        }
    }

    /// The present line.
    #[must_use]
    pub fn line(&self) -> Option<Line<'_>> {
        let (range, cut) = self.line.clone()?;
        Some(Line { time: self.time, bytes: &self.buffer[range], cut, position: self.begun })
    }

    /// What has come of a line that is not finished yet.
    #[must_use]
    pub fn unfinished(&self) -> &[u8] {
        if self.line.is_some() { &[] } else { &self.buffer[self.next..self.filled] }
    }

    /// What is read from; its newest file is the one to watch.
    #[must_use]
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// Whether the last wanted line was given, however the log grows.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Notes time and place of the line that begins at `next`.
    fn begin(&mut self) {
        self.begun = self.follower.position() - (self.filled - self.next) as u64;
        // All that is left in the buffer when a line begins came with the last chunk.
        if self.timed {
            self.time = self.follower.time(self.next - self.chunk);
        }
        self.inside = true;
        self.over = self.begun >= self.bound || self.until.is_some_and(|until| self.time > until);
    }

    fn take(&mut self, length: usize, newline: usize, cut: bool) {
        self.line = Some((self.next..self.next + length, cut));
        self.next += length + newline;
        self.inside = cut;
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.next..self.filled, 0);
        self.filled -= self.next;
        self.next = 0;
        self.chunk = self.filled;
        let end = self.filled + CHUNK;
        let count = self.follower.read(&mut self.buffer[self.filled..end])?;
        self.filled += count;
        Ok(count > 0)
    }
}

/// The bytes of the wanted lines where nothing needs to look into them: no pattern, no `until`.
pub fn bytes(path: &Path, wanted: &Wanted) -> io::Result<Follower> {
    let (mut snapshot, start, _) = places(path, wanted)?;
    Ok(snapshot.follower(start, wanted.live))
}

fn places(path: &Path, wanted: &Wanted) -> io::Result<(Snapshot, u64, u64)> {
    let snapshot = Snapshot::open(path)?;
    let from = wanted.since.map_or(Ok(0), |time| snapshot.since(time))?;
    let bound = wanted.until.map_or_else(|| snapshot.end(), |time| snapshot.until(time));
    let start = match (wanted.last, &wanted.pattern) {
        (None, _) => from,
        (Some(count), None) => snapshot.last(count, from, bound)?,
        (Some(count), Some(pattern)) => snapshot.last_matching(count, from, bound, pattern)?,
    };
    Ok((snapshot, start, bound))
}

/// The last `n` lines of a log, for evidence: few bytes, lossy UTF-8, no control characters. Empty where it cannot be read.
#[must_use]
pub fn tail(path: &Path, n: usize) -> Vec<String> {
    tail_from(path, &Position::default(), n)
}

/// As [`tail`], of what was written after `from` (the beginning of a life).
#[must_use]
pub fn tail_from(path: &Path, from: &Position, n: usize) -> Vec<String> {
    read_tail(path, from, n).unwrap_or_default()
}

fn read_tail(path: &Path, from: &Position, n: usize) -> io::Result<Vec<String>> {
    if from.is_end_of(path) {
        return Ok(Vec::new());
    }
    let snapshot = Snapshot::open(path)?;
    let end = snapshot.end();
    let start = snapshot.place_of(from).max(end.saturating_sub(TAIL_BYTES)).min(end);
    let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
    snapshot.read_exact(start, &mut bytes)?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines: Vec<String> =
        text.rsplit(|byte| *byte == b'\n').take(n).map(|line| printable(line, TAIL_CHARS)).collect();
    lines.reverse();
    Ok(lines)
}
