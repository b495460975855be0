//! The side file of a log that knows when each part was written.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::times::times_path;
use crate::domain::WallTime;
use crate::store::read_private;

/// Size of one record in bytes.
const RECORD: u64 = 16;
/// How many records are read at a time while going forward.
const BLOCK: usize = 512;

/// One record: from this offset on, the log was written at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    offset: u64,
    time: WallTime,
}

/// The index of one log file. Everything in it is a help, never a condition: where it is missing or torn, times are
/// unknown and the log is read all the same.
#[derive(Clone, Debug)]
pub(super) struct Times {
    file: Option<Arc<File>>,
    /// Whole records in the file when it was last looked at.
    count: u64,
    /// Records `first..first + block.len()`.
    first: u64,
    block: Vec<Record>,
    /// The last answer's place in the block: lines are mostly asked for in order.
    hint: Cell<usize>,
}

impl Times {
    /// The index of a log file.
    pub(super) fn open(log: &Path) -> Self {
        let file = read_private(&times_path(log)).ok().map(Arc::new);
        let mut times = Self { file, count: 0, first: 0, block: Vec::new(), hint: Cell::new(0) };
        times.grow();
        times
    }

    /// No index.
    pub(super) fn none() -> Self {
        Self { file: None, count: 0, first: 0, block: Vec::new(), hint: Cell::new(0) }
    }

    /// Whether there is no record at all.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Sees the records that were added since.
    pub(super) fn grow(&mut self) {
        let length = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
        self.count = length / RECORD;
    }

    /// Forgets what it has read: the log was truncated, and its index with it.
    pub(super) fn renew(&mut self) {
        self.block.clear();
        self.grow();
    }

    /// When the byte at this offset was written; what lies before the first record has the first record's time.
    pub(super) fn at(&mut self, offset: u64) -> Option<WallTime> {
        if self.count == 0 {
            return None;
        }
        if !self.covers(offset) {
            let before = self.search(|record| record.offset <= offset);
            self.load(before.saturating_sub(1));
        }
        let from = self.hint.get();
        let from = if self.block.get(from).is_some_and(|record| record.offset <= offset) { from } else { 0 };
        let steps = self.block.get(from..)?.iter().take_while(|record| record.offset <= offset).count();
        let place = (from + steps).saturating_sub(1);
        self.hint.set(place);
        self.block.get(place).map(|record| record.time)
    }

    /// The first record at or after a time: its number and its offset.
    pub(super) fn first_from(&self, time: WallTime) -> Option<(u64, u64)> {
        self.numbered(self.search(|record| record.time < time))
    }

    /// The first record after a time: its number and its offset.
    pub(super) fn first_after(&self, time: WallTime) -> Option<(u64, u64)> {
        self.numbered(self.search(|record| record.time <= time))
    }

    fn numbered(&self, index: u64) -> Option<(u64, u64)> {
        (index < self.count).then(|| self.record(index)).flatten().map(|record| (index, record.offset))
    }

    /// How many records hold `before`, which is true for the first ones only.
    fn search(&self, before: impl Fn(&Record) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.record(middle) {
                Some(record) if before(&record) => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    fn covers(&self, offset: u64) -> bool {
        let (Some(first), Some(last)) = (self.block.first(), self.block.last()) else { return false };
        let is_last = self.first + self.block.len() as u64 >= self.count;
        (first.offset <= offset || self.first == 0) && (offset < last.offset || is_last)
    }

    fn load(&mut self, first: u64) {
        let mut bytes = vec![0; BLOCK * 16];
        let read =
            self.file.as_ref().and_then(|file| file.read_at(&mut bytes, first * RECORD).ok()).unwrap_or(0);
        self.block = bytes[..read].chunks_exact(16).filter_map(decode).collect();
        self.first = first;
        self.hint.set(0);
    }

    fn record(&self, index: u64) -> Option<Record> {
        let mut bytes = [0; 16];
        self.file.as_ref()?.read_exact_at(&mut bytes, index * RECORD).ok()?;
        decode(&bytes)
    }
}

fn decode(bytes: &[u8]) -> Option<Record> {
    let offset = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let time = i64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    Some(Record { offset, time: WallTime(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(records: &[(u64, i64)]) -> (tempfile::TempDir, Times) {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("a.log");
        let bytes: Vec<u8> =
            records.iter().flat_map(|(at, ms)| [at.to_le_bytes(), ms.to_le_bytes()].concat()).collect();
        std::fs::write(times_path(&log), bytes).expect("written");
        let times = Times::open(&log);
        (dir, times)
    }

    #[test]
    fn a_byte_has_the_time_of_its_chunk() {
        let (_dir, mut times) = index(&[(0, 100), (10, 200), (30, 300)]);
        let asked = [0, 9, 10, 29, 30, 1000, 5, 31, 12].map(|at| times.at(at).expect("known").0);
        assert_eq!(asked, [100, 100, 200, 200, 300, 300, 100, 300, 200]);
    }

    #[test]
    fn a_long_index_is_right_forwards_and_at_random() {
        let records: Vec<(u64, i64)> =
            (0..5000).map(|n| (n * 7, i64::try_from(n).expect("small") * 3)).collect();
        let (_dir, mut times) = index(&records);
        let random = (0..5000_u64).map(|n| n * 7919 % 35_000);
        for at in (0..35_000).chain(random) {
            assert_eq!(times.at(at), Some(WallTime(i64::try_from(at / 7).expect("small") * 3)), "at {at}");
        }
    }

    #[test]
    fn times_are_found() {
        let (_dir, times) = index(&[(0, 100), (10, 200), (30, 300)]);
        assert_eq!(times.first_from(WallTime(50)), Some((0, 0)));
        assert_eq!(times.first_from(WallTime(200)), Some((1, 10)));
        assert_eq!(times.first_after(WallTime(200)), Some((2, 30)));
        assert_eq!(times.first_from(WallTime(301)), None);
    }

    #[test]
    fn a_torn_or_missing_index_is_no_error() {
        let (dir, mut times) = index(&[(0, 100), (10, 200)]);
        let log = dir.path().join("a.log");
        let file = File::options().append(true).open(times_path(&log)).expect("open");
        file.set_len(27).expect("torn");
        times.grow();
        assert_eq!(times.at(20), Some(WallTime(100)));
        assert_eq!(Times::open(&dir.path().join("b.log")).at(0), None);
        assert!(Times::none().is_empty());
    }
}
