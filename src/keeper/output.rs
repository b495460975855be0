//! The read end of what a service writes.

use std::fs::File;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use crate::store::log::{LogWriter, Source};
use crate::sys::{clock, pipe};

/// What a pipe holds at first; idle services must not eat their user's share of pipe memory.
const USUAL: usize = 64 << 10;

/// What it grows to when it was found full.
const FLOOD: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Output {
    reader: PipeReader,
    log: LogWriter,
    grown: bool,
    ended: bool,
}

impl Output {
    pub(super) fn new(reader: PipeReader, log: LogWriter) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok(Self { reader, log, grown: false, ended: false })
    }

    /// Nobody can write any more, and all is in the log.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The last writer is gone, and nothing is left in the pipe.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Moves once what is there into the log.
    pub(super) fn pump(&mut self) {
        let waiting = pipe::waiting(self.reader.as_fd());
        if waiting == 0 {
            return;
        }
        if waiting >= USUAL / 2 && !self.grown {
            pipe::grow(self.reader.as_fd(), FLOOD);
            self.grown = true;
        }
        self.take(FLOOD);
    }

    /// Moves what is there now, and not what a flood adds meanwhile: this ends.
    pub(super) fn drain(&mut self) {
        let mut left = pipe::waiting(self.reader.as_fd());
        while left > 0 {
            match self.take(left) {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
    }

    /// The log is complete as far as it can be.
    pub(super) fn finish(&mut self) {
        self.drain();
        self.log.finish(clock::wall());
    }

    fn take(&mut self, most: usize) -> usize {
        let mut source = FromPipe(&mut self.reader);
        self.log.pump(&mut source, most, clock::wall()).unwrap_or(0)
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

struct FromPipe<'a>(&'a mut PipeReader);

impl Source for FromPipe<'_> {
    fn move_to(&mut self, file: &File, most: usize) -> io::Result<usize> {
        pipe::splice(self.0.as_fd(), file, most)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
