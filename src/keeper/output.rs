//! The read end of what a service writes, and the way from there into its log.
//!
//! Read by the keeper; when that was killed, by the supervisor, who goes on where it stopped: nothing of the output is ever
//! in a process of ours alone.

use std::fs::File;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::domain::Moment;
use crate::store::log::{LogWriter, Source};
use crate::sys::{clock, pipe};

/// What a pipe holds at first; idle services must not eat their user's share of pipe memory.
const USUAL: usize = 64 << 10;

/// What it grows to when it was found half full.
const FLOOD: usize = 1 << 20;

/// Moved at once. The kernel locks a pipe as long as it copies from it into a file, and a service that wants to write
/// stands still that long.
const PIECE: usize = 128 << 10;

/// A service that writes many small pieces is let alone for so long between two looks: woken for each of them, this
/// process would take more of the machine than the service does.
const BREATH: Duration = Duration::from_micros(300);

/// What a service writes, on its way into the log.
#[derive(Debug)]
pub struct Output {
    pipe: Pipe,
    log: LogWriter,
    /// More room was asked for, whether it was given or not.
    widened: bool,
    last: Moment,
    ended: bool,
}

impl Output {
    /// From this read end into this log. At any time there is one `Output` at work for a log.
    pub fn new(read_end: OwnedFd, log: LogWriter) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&read_end, true)?;
        let pipe = Pipe(read_end.into());
        Ok(Self { pipe, log, widened: false, last: Moment::default(), ended: false })
    }

    /// Nobody can write any more, and all is in the log.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The last writer is gone, and nothing is left in the pipe.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Bytes that wait to be moved.
    #[must_use]
    pub fn waiting(&self) -> usize {
        pipe::waiting(self.pipe.0.as_fd())
    }

    /// Lets a service alone that writes many small pieces.
    pub(super) fn breathe(&self) {
        let busy = clock::moment().since(self.last) <= Duration::from_millis(1);
        if busy && (1..USUAL / 2).contains(&self.waiting()) {
            std::thread::sleep(BREATH);
        }
    }

    /// Moves a piece of what is there into the log.
    pub fn pump(&mut self) {
        let waiting = self.waiting();
        if waiting == 0 {
            return;
        }
        if waiting >= USUAL / 2 && !std::mem::replace(&mut self.widened, true) {
            // Where it is refused, the service waits a little more often.
            let _ = pipe::grow(self.pipe.0.as_fd(), FLOOD);
        }
        self.move_up_to(PIECE);
        self.last = clock::moment();
    }

    /// Moves what is there now, and not what a flood adds meanwhile: this ends.
    pub fn drain(&mut self) {
        let mut left = self.waiting();
        while left > 0 {
            match self.move_up_to(left) {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
    }

    /// The log is complete as far as it can be.
    pub fn finish(&mut self) {
        self.drain();
        self.log.finish(clock::wall());
    }

    fn move_up_to(&mut self, most: usize) -> usize {
        self.log.pump(&mut self.pipe, most, clock::wall()).unwrap_or(0)
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.0.as_fd()
    }
}

#[derive(Debug)]
struct Pipe(PipeReader);

impl Source for Pipe {
    fn move_to(&mut self, file: &File, most: usize) -> io::Result<usize> {
        pipe::splice(self.0.as_fd(), file.as_fd(), most)
    }

    fn look(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        pipe::look(self.0.as_fd(), buffer)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
