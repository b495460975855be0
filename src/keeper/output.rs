//! The read end of what a service writes, and the way from there into its log.
//!
//! A flood goes through a second pipe. The kernel locks a pipe as long as it copies from it into a file, and a service
//! that wants to write would stand still that long; from pipe to pipe it only hands pages over.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::domain::Moment;
use crate::store::log::{LogWriter, Source};
use crate::sys::{clock, pipe};

/// What a pipe holds at first; idle services must not eat their user's share of pipe memory.
const USUAL: usize = 64 << 10;

/// What it grows to when it was found half full.
const FLOOD: usize = 1 << 20;

/// A service that writes many small pieces is let alone for so long between two looks: woken for each of them, this
/// process would take more of the machine than the service does.
const BREATH: Duration = Duration::from_micros(300);

#[derive(Debug)]
pub(super) struct Output {
    pipes: Pipes,
    log: LogWriter,
    last: Moment,
    ended: bool,
}

impl Output {
    pub(super) fn new(reader: PipeReader, log: LogWriter) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&reader, true)?;
        let pipes = Pipes { reader, second: None, held: 0, asked: false };
        Ok(Self { pipes, log, last: Moment::default(), ended: false })
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
        let waiting = self.pipes.waiting();
        if waiting == 0 {
            return;
        }
        let busy = clock::moment().since(self.last) <= Duration::from_millis(1);
        if busy && waiting < USUAL / 2 {
            std::thread::sleep(BREATH);
        }
        if waiting >= USUAL / 2 {
            self.pipes.widen();
        }
        self.move_up_to(FLOOD);
        self.last = clock::moment();
    }

    /// Moves what is there now, and not what a flood adds meanwhile: this ends.
    pub(super) fn drain(&mut self) {
        let mut left = self.pipes.waiting();
        while left > 0 {
            match self.move_up_to(left) {
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

    fn move_up_to(&mut self, most: usize) -> usize {
        let mut total = 0;
        loop {
            match self.log.pump(&mut self.pipes, most, clock::wall()) {
                Ok(count) if count > 0 => total += count,
                _ => return total,
            }
            // What was handed over to the second pipe wakes nobody: it is moved on now.
            if self.pipes.held == 0 {
                return total;
            }
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipes.reader.as_fd()
    }
}

#[derive(Debug)]
struct Pipes {
    reader: PipeReader,
    second: Option<(PipeReader, PipeWriter)>,
    /// Bytes in the second pipe.
    held: usize,
    /// More room was asked for, whether it was given or not.
    asked: bool,
}

impl Pipes {
    fn waiting(&self) -> usize {
        self.held + pipe::waiting(self.reader.as_fd())
    }

    fn widen(&mut self) {
        if !std::mem::replace(&mut self.asked, true) && pipe::grow(self.reader.as_fd(), FLOOD) {
            let second = io::pipe().ok();
            // A small one would be slower than none.
            self.second = second.filter(|(reader, _)| pipe::grow(reader.as_fd(), FLOOD));
        }
    }
}

impl Source for Pipes {
    fn move_to(&mut self, file: &File, most: usize) -> io::Result<usize> {
        let Some((out, into)) = &self.second else {
            return pipe::splice(self.reader.as_fd(), file.as_fd(), most);
        };
        if self.held == 0 {
            self.held = pipe::splice(self.reader.as_fd(), into.as_fd(), most)?;
        }
        let mut moved = 0;
        while self.held > 0 && moved < most {
            match pipe::splice(out.as_fd(), file.as_fd(), self.held.min(most - moved)) {
                Ok(count @ 1..) => {
                    self.held -= count;
                    moved += count;
                }
                // What is moved is moved; the error will be met again.
                Ok(0) | Err(_) if moved > 0 => break,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((out, _)) = self.second.as_mut().filter(|_| self.held > 0) else {
            return self.reader.read(buffer);
        };
        let most = buffer.len().min(self.held);
        let count = out.read(&mut buffer[..most])?;
        self.held -= count;
        Ok(count)
    }
}
