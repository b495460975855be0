//! A log as it is at one moment: all its files as one row of bytes, and the places in it that are asked for.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use regex::bytes::Regex;

use super::Position;
use super::follow::{FileKey, Follower, Part, newer};
use super::reader::Lines;
use super::reader_times::Times;
use crate::domain::WallTime;

/// How much is read at once while searching.
const BLOCK: usize = 64 * 1024;

/// All files of a log, oldest first. Places count bytes from the beginning of the oldest.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    path: PathBuf,
    parts: Vec<Part>,
}

impl Snapshot {
    /// Opens all files of a log; there may be none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), parts: newer(path, None)? })
    }

    /// The place behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }

    /// The beginning of the first line that was begun at or after a time.
    pub(super) fn since(&self, time: WallTime) -> io::Result<u64> {
        let place = self.boundary(|times| times.first_from(time), |written| written >= time);
        self.line_from(place)
    }

    /// The place before which every line was begun at or before a time.
    pub(super) fn until(&self, time: WallTime) -> u64 {
        self.boundary(|times| times.first_after(time), |written| written > time)
    }

    /// The beginning of the `count` last lines that begin in `from..bound`.
    pub(super) fn last(&self, count: u64, from: u64, bound: u64) -> io::Result<u64> {
        if count == 0 || bound <= from {
            return Ok(bound.max(from));
        }
        let mut block = vec![0; BLOCK];
        let (mut left, mut end) = (count, bound);
        while end > from {
            let start = from.max(end.saturating_sub(BLOCK as u64));
            let bytes = &mut block[..usize::try_from(end - start).unwrap_or(BLOCK)];
            self.read_exact(start, bytes)?;
            // The newline right before the bound ends the last line; it begins none.
            let skip = usize::from(end == bound && bytes.last() == Some(&b'\n'));
            for place in memchr::memrchr_iter(b'\n', &bytes[..bytes.len() - skip]) {
                left -= 1;
                if left == 0 {
                    return Ok(start + place as u64 + 1);
                }
            }
            end = start;
        }
        Ok(from)
    }

    /// As [`Snapshot::last`], of the lines that match.
    pub(super) fn last_matching(
        &self,
        count: u64,
        from: u64,
        bound: u64,
        pattern: &Regex,
    ) -> io::Result<u64> {
        let mut many = count.saturating_mul(8).max(64);
        loop {
            let start = self.last(many, from, bound)?;
            let mut found = std::collections::VecDeque::new();
            let mut lines = self.clone().lines(start, false, false);
            while lines.advance()? {
                let Some(line) = lines.line().filter(|line| line.position < bound) else { break };
                if pattern.is_match(line.bytes) && found.back() != Some(&line.position) {
                    found.push_back(line.position);
                    if found.len() as u64 > count {
                        found.pop_front();
                    }
                }
            }
            if found.len() as u64 == count || start == from {
                return Ok(found.front().copied().unwrap_or(bound));
            }
            many = many.saturating_mul(8);
        }
    }

    /// The lines from a place on. With `live` they go on as the log grows; otherwise they end where it ends now.
    pub(super) fn lines(mut self, start: u64, live: bool, timed: bool) -> Lines {
        Lines::new(self.follower(start, live), timed)
    }

    /// The bytes from a place on.
    pub(super) fn follower(&mut self, start: u64, live: bool) -> Follower {
        let (index, offset) = self.locate(start);
        Follower::of(&self.path, self.parts.split_off(index.min(self.parts.len())), offset, start, live)
    }

    /// A place as one that outlives this look.
    pub(super) fn position(&self, place: u64) -> Position {
        let (index, offset) = self.locate(place);
        Position { file: self.parts.get(index).map(|part| part.file.clone()), offset }
    }

    /// Where a position is now; the beginning, where its file is gone.
    pub(super) fn place_of(&self, position: &Position) -> u64 {
        let key = position.file.as_ref().and_then(|file| file.metadata().ok()).map(|meta| FileKey::of(&meta));
        let mut base = 0;
        for part in &self.parts {
            if Some(part.key) == key {
                // Shorter than it was: it was truncated, all in it is new.
                return base + if position.offset <= part.length { position.offset } else { 0 };
            }
            base += part.length;
        }
        0
    }

    /// Fills the buffer from a place on.
    pub(super) fn read_exact(&self, mut place: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let (index, offset) = self.locate(place);
            let Some(part) = self.parts.get(index) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            let most = buffer.len().min(usize::try_from(part.length - offset).unwrap_or(usize::MAX));
            let (now, later) = buffer.split_at_mut(most);
            part.file.read_exact_at(now, offset)?;
            place += most as u64;
            buffer = later;
        }
        Ok(())
    }

    /// Which file holds a place, and where in it. A place at the end of all belongs to the last file.
    fn locate(&self, place: u64) -> (usize, u64) {
        let mut base = 0;
        for (index, part) in self.parts.iter().enumerate() {
            if place < base + part.length || index + 1 == self.parts.len() {
                return (index, place.saturating_sub(base));
            }
            base += part.length;
        }
        (0, 0)
    }

    /// The first record of all files that `first` finds; a file without an index counts as a whole.
    fn boundary(
        &self,
        first: impl Fn(&Times) -> Option<(u64, u64)>,
        whole: impl Fn(WallTime) -> bool,
    ) -> u64 {
        let mut base = self.end();
        let mut place = base;
        for part in self.parts.iter().rev() {
            base -= part.length;
            if part.times.is_empty() {
                if !whole(part.written) {
                    break;
                }
                place = base;
                continue;
            }
            match first(&part.times) {
                Some((0, _)) => place = base,
                Some((_, offset)) => {
                    place = base + offset.min(part.length);
                    break;
                }
                None => break,
            }
        }
        place
    }

    /// The first beginning of a line at or behind a place.
    fn line_from(&self, place: u64) -> io::Result<u64> {
        let mut block = vec![0; BLOCK];
        let end = self.end();
        let mut at = place.saturating_sub(1);
        if place == 0 {
            return Ok(0);
        }
        while at < end {
            let count = BLOCK.min(usize::try_from(end - at).unwrap_or(BLOCK));
            self.read_exact(at, &mut block[..count])?;
            if let Some(newline) = memchr::memchr(b'\n', &block[..count]) {
                return Ok(at + newline as u64 + 1);
            }
            at += count as u64;
        }
        Ok(end)
    }
}
