//! A command of an engine while it runs. It leads a process group of its own, which ends with whoever waits for it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;

use tokio::io::AsyncReadExt as _;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;

use crate::sys::watch::readable;
use crate::sys::watch_group::Group;

/// A command that was started; dropping it ends its group.
#[derive(Debug)]
pub(super) struct Running(Option<AsyncFd<Group>>);

impl Running {
    /// Starts it. Both its outputs go into the one pipe that is given back, so that they stay in order.
    pub(super) fn start(mut command: Command) -> io::Result<(Self, Receiver)> {
        let (read, write) = io::pipe()?;
        command.stdout(write.try_clone()?).stderr(write);
        Ok((Self::spawn(command)?, receiver(read)?))
    }

    /// Runs it to its end: its exit code, what it said, and what it complained about.
    pub(super) async fn finish(mut command: Command) -> io::Result<(Option<i32>, Vec<u8>, Vec<u8>)> {
        let ((out, to_out), (err, to_err)) = (io::pipe()?, io::pipe()?);
        command.stdout(to_out).stderr(to_err);
        let mut running = Self::spawn(command)?;
        let (mut out, mut err) = (receiver(out)?, receiver(err)?);
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        tokio::try_join!(out.read_to_end(&mut said), err.read_to_end(&mut complained))?;
        Ok((running.code().await?, said, complained))
    }

    /// Waits for its end: its exit code, none where a signal ended it.
    pub(super) async fn code(&mut self) -> io::Result<Option<i32>> {
        let group = self.0.as_ref().ok_or(io::ErrorKind::NotFound)?;
        group.readable().await?.retain_ready();
        let group = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        Ok(group.into_inner().finish()?.code())
    }

    /// Takes the command: our copies of the writing ends go with it, so that the pipes end with the process.
    fn spawn(mut command: Command) -> io::Result<Self> {
        Ok(Self(Some(readable(Group::spawn(&mut command)?)?)))
    }
}

fn receiver(pipe: io::PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(OwnedFd::from(pipe))
}
