//! Writes a log: as fast as the disk, in bounded memory, and never in the way of the service.
//!
//! Bytes go from the pipe to the file inside the kernel: they leave the one by being in the other, so that none is lost
//! wherever this process is killed. Near the end of a file, where a place between two lines must be found for the next one
//! to begin, they are looked at first. What cannot be written (the disk is full) is taken
//! from the pipe all the same, counted, and said in the log once there is room again.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::rotate::make_room;
use super::times::TimesWriter;
use crate::domain::WallTime;
use crate::store::private_file;

/// So many bytes before a file's end they are looked at; lines shorter than this are never cut in two.
const WINDOW: usize = 64 * 1024;

/// What the buffer asks for: from this size on the allocator gives it back to the system when it is dropped.
const BUFFER: usize = 128 * 1024;

/// On a full disk another attempt is made after so many milliseconds.
const RETRY_MS: u64 = 1000;

/// Where output comes from.
pub trait Source {
    /// Moves up to `most` bytes to the file without looking at them; `Unsupported` where that cannot be done,
    /// `WouldBlock` where nothing is there, 0 at the end. Other errors are the file's.
    fn move_to(&mut self, file: &File, most: usize) -> io::Result<usize>;
    /// Copies what is next into the buffer and takes nothing away; otherwise as `move_to`.
    fn look(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Reads; `WouldBlock` where nothing is there, 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// The one writer of a unit's log.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    max_size: u64,
    max_files: u32,
    file: File,
    times: TimesWriter,
    size: u64,
    /// Whether the file's last byte ends a line; unknown after bytes that nobody looked at.
    line_ended: Option<bool>,
    /// Moving without looking works here.
    movable: bool,
    /// Only there near the end of a file.
    buffer: Vec<u8>,
    lost: Option<Lost>,
    /// The file was removed, and no other can be made in its place.
    adrift: bool,
}

#[derive(Debug)]
struct Lost {
    bytes: u64,
    reason: String,
    tried: WallTime,
}

impl LogWriter {
    /// Opens the log for appending; it is made if it is not there. A new file begins after `max_size` bytes, and
    /// `max_files` files are kept, the present one included.
    pub fn open(path: &Path, max_size: u64, max_files: u32) -> io::Result<Self> {
        let (file, size) = open_at_end(path)?;
        Ok(Self {
            path: path.to_owned(),
            max_size,
            max_files,
            file,
            times: TimesWriter::open(path)?,
            size,
            line_ended: None,
            movable: true,
            buffer: Vec::new(),
            lost: None,
            adrift: false,
        })
    }

    /// Moves up to `most` bytes of what the source holds into the log, once. Gives the bytes taken; 0 at the end.
    /// Only the source's own errors are told: what cannot be written is counted and said in the log itself.
    pub fn pump(&mut self, source: &mut impl Source, most: usize, now: WallTime) -> io::Result<usize> {
        self.notice_changes(now);
        if !self.recover(now, false) {
            return self.discard(source, most);
        }
        while self.movable {
            match self.move_on(source, most, now) {
                Ok(Some(count)) => return Ok(count),
                // A new file has begun.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => self.movable = false,
                Err(error) => {
                    self.lose(0, &error, now);
                    return self.discard(source, most);
                }
            }
        }
        self.buffer.resize(BUFFER, 0);
        let mut buffer = std::mem::take(&mut self.buffer);
        let count = source.read(&mut buffer[..most.min(WINDOW)]);
        if let Ok(count) = count {
            self.write(&buffer[..count], now);
        }
        self.buffer = buffer;
        count
    }

    /// Moves once, without bytes in this process's hands. `None`: nothing was moved, but a new file has begun.
    fn move_on(&mut self, source: &mut impl Source, most: usize, now: WallTime) -> io::Result<Option<usize>> {
        let room = usize::try_from(self.max_size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if room > WINDOW {
            self.times.stamp(self.size, now);
            let count = source.move_to(&self.file, most.min(room - WINDOW))?;
            self.size += count as u64;
            self.line_ended = None;
            return Ok(Some(count));
        }
        self.buffer.resize(BUFFER, 0);
        let mut buffer = std::mem::take(&mut self.buffer);
        let moved = self.move_seen(source, &mut buffer[..most.min(WINDOW)], now);
        // A file that is far from its end needs no buffer.
        if self.size > 0 || self.max_size <= WINDOW as u64 {
            self.buffer = buffer;
        }
        moved
    }

    /// Looks at what is next, and moves it up to where the next file begins.
    fn move_seen(
        &mut self,
        source: &mut impl Source,
        buffer: &mut [u8],
        now: WallTime,
    ) -> io::Result<Option<usize>> {
        let count = source.look(buffer)?;
        let data = &buffer[..count];
        let cut = self.next_file_begins(data);
        let here = cut.unwrap_or(count);
        if here > 0 {
            self.times.stamp(self.size, now);
            let moved = source.move_to(&self.file, here)?;
            self.size += moved as u64;
            self.line_ended = moved.checked_sub(1).map(|last| data[last] == b'\n');
            if moved < here {
                return Ok(Some(moved));
            }
        }
        if cut.is_some() {
            self.rotate();
        }
        Ok(Some(here).filter(|here| *here > 0 || cut.is_none()))
    }

    /// Says what is lost, if it can be said now. For the end, when no further output will come.
    pub fn finish(&mut self, now: WallTime) {
        self.recover(now, true);
    }

    fn write(&mut self, mut data: &[u8], now: WallTime) {
        while !data.is_empty() && self.lost.is_none() {
            let cut = self.next_file_begins(data);
            let (here, rest) = data.split_at(cut.unwrap_or(data.len()));
            self.append(here, now);
            data = rest;
            if cut.is_some() && self.lost.is_none() {
                self.rotate();
            }
        }
        if let Some(lost) = &mut self.lost {
            lost.bytes += data.len() as u64;
        }
    }

    /// Where in this data the next file begins, if it does.
    fn next_file_begins(&mut self, data: &[u8]) -> Option<usize> {
        let room = self.max_size.saturating_sub(self.size);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if data.len() <= room {
            return None;
        }
        if let Some(end) = data[..room].iter().rposition(|byte| *byte == b'\n') {
            return Some(end + 1);
        }
        if self.size > 0 && self.line_ended() {
            return Some(0);
        }
        // A line goes over the limit: it is let through to its end, unless it has none.
        let most = (self.max_size + WINDOW as u64).saturating_sub(self.size);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let within = &data[..most.min(data.len())];
        match within[room..].iter().position(|byte| *byte == b'\n') {
            // Where nothing comes after it yet, the next file begins with the next byte, whenever that comes.
            Some(end) => Some(room + end + 1).filter(|next| *next < data.len()),
            None => (data.len() > most).then_some(most),
        }
    }

    fn line_ended(&mut self) -> bool {
        *self.line_ended.get_or_insert_with(|| {
            let mut last = [0_u8];
            // Readable: see `open_at_end`.
            self.size == 0 || (self.file.read_exact_at(&mut last, self.size - 1).is_ok() && last == [b'\n'])
        })
    }

    fn append(&mut self, mut data: &[u8], now: WallTime) {
        if data.is_empty() {
            return;
        }
        self.times.stamp(self.size, now);
        while !data.is_empty() {
            match self.file.write(data) {
                Ok(count @ 1..) => {
                    self.line_ended = Some(data[count - 1] == b'\n');
                    self.size += count as u64;
                    data = &data[count..];
                }
                Ok(0) => return self.lose(data.len(), &io::ErrorKind::WriteZero.into(), now),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.lose(data.len(), &error, now),
            }
        }
    }

    /// A new file. Where none can be made, the present one goes on for as long again: a log that is too long is better
    /// than none.
    fn rotate(&mut self) {
        let fresh = make_room(&self.path, self.max_files).and_then(|()| self.reopen());
        if fresh.is_err() {
            self.max_size = self.max_size.max(WINDOW as u64).saturating_add(self.size);
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let times = TimesWriter::open(&self.path)?;
        (self.file, self.size) = open_at_end(&self.path)?;
        self.times = times;
        self.line_ended = None;
        Ok(())
    }

    /// People empty logs (`> api.log`), remove them, move them away and put others in their place: nothing of it may leave
    /// a hole or write into nowhere.
    fn notice_changes(&mut self, now: WallTime) {
        let Ok(ours) = self.file.metadata() else { return };
        let same = |there: &Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        if !std::fs::symlink_metadata(&self.path).is_ok_and(|there| same(&there)) {
            match self.reopen() {
                Ok(()) => {
                    self.adrift = false;
                    // They tell of the file that was there before.
                    self.times.clear();
                }
                // One that was only moved is still there to be read.
                Err(error) if ours.nlink() == 0 => {
                    self.adrift = true;
                    if self.lost.is_none() {
                        self.lose(0, &error, now);
                    }
                }
                Err(_) => {}
            }
        } else if ours.len() != self.size {
            if ours.len() < self.size {
                self.times.clear();
            }
            if let Ok(end) = self.file.seek(SeekFrom::End(0)) {
                self.size = end;
                self.line_ended = None;
            }
        }
    }

    fn lose(&mut self, bytes: usize, error: &io::Error, now: WallTime) {
        let lost = Lost { bytes: bytes as u64, reason: reason(error), tried: now };
        self.lost = Some(lost);
    }

    fn discard(&mut self, source: &mut impl Source, most: usize) -> io::Result<usize> {
        self.buffer.resize(BUFFER, 0);
        let count = source.read(&mut self.buffer[..most.min(BUFFER)])?;
        if let Some(lost) = &mut self.lost {
            lost.bytes += count as u64;
        }
        Ok(count)
    }

    /// Whether all is well (again): the gap is said first.
    fn recover(&mut self, now: WallTime, at_once: bool) -> bool {
        let Some(lost) = &mut self.lost else { return true };
        if self.adrift {
            return false;
        }
        if lost.bytes > 0 && !at_once && now.0.abs_diff(lost.tried.0) < RETRY_MS {
            return false;
        }
        lost.tried = now;
        let text = format!("[devstack: {} bytes of output lost: {}]\n", lost.bytes, lost.reason);
        if lost.bytes > 0 {
            let start = if self.line_ended() { "" } else { "\n" };
            let (before, whole) = (self.size, format!("{start}{text}"));
            let written = self.file.write_all_at(whole.as_bytes(), before);
            if written.is_err() {
                // Half a marker would read like output.
                let _ = self.file.set_len(before);
                return false;
            }
            self.times.stamp(before, now);
            self.size = self.file.seek(SeekFrom::End(0)).unwrap_or(before + whole.len() as u64);
            self.line_ended = Some(true);
        }
        self.lost = None;
        self.buffer = Vec::new();
        true
    }
}

/// Not opened for appending: the kernel moves nothing into such a file.
fn open_at_end(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    let mut file = private_file(options.read(true).write(true).create(true).truncate(false), path)?;
    let size = file.seek(SeekFrom::End(0))?;
    Ok((file, size))
}

fn reason(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::StorageFull => "no space left on device".to_owned(),
        io::ErrorKind::QuotaExceeded => "disk quota exceeded".to_owned(),
        _ => error.to_string(),
    };
    // The number behind the text tells people nothing.
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
