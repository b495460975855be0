//! The shim's standard output, where the container's log goes.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::Sender;

/// What a pipe takes whole or not at all (`PIPE_BUF` of Linux): a kill never leaves half of it.
pub(super) const WHOLE: usize = 4096;

/// Standard output.
#[derive(Debug)]
pub(super) enum Output {
    /// As a keeper gives it. It may be full for long, when nobody reads: then all else goes on meanwhile.
    Pipe(Sender),
    /// Anything else, which takes what it is given.
    File(File),
    /// Nobody reads any more.
    Gone,
}

impl Output {
    /// Standard output of this process.
    pub(super) fn of_process() -> Self {
        let Ok(own) = io::stdout().as_fd().try_clone_to_owned() else { return Self::Gone };
        let file = File::from(own);
        match file.try_clone().and_then(Sender::from_file) {
            Ok(pipe) => Self::Pipe(pipe),
            Err(_) => Self::File(file),
        }
    }

    /// Writes all of it; says whether somebody took it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> bool {
        let written = match self {
            Self::Pipe(pipe) => pipe.write_all(bytes).await,
            Self::File(file) => file.write_all(bytes),
            Self::Gone => return false,
        };
        if written.is_err() {
            *self = Self::Gone;
        }
        written.is_ok()
    }
}
