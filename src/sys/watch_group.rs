//! A child that leads a process group of its own, ended and reaped as a whole.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// A child and its process group. Its descriptor is readable once the child has ended. The child is not reaped before
/// the group was killed: until then the kernel cannot give its number to another group.
#[derive(Debug)]
pub struct Group {
    child: Child,
    end: OwnedFd,
    reaped: bool,
}

impl Group {
    /// Starts the command as the leader of a new group.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        match end_of(&child) {
            Ok(end) => Ok(Self { child, end, reaped: false }),
            Err(error) => {
                // Without a way to see its end it must not run.
                kill_group(&child);
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Kills all that is in the group now; the child stays unreaped.
    pub fn kill(&self) {
        if !self.reaped {
            kill_group(&self.child);
        }
    }

    /// Whether the child has ended; waits at most so long.
    #[must_use]
    pub fn has_ended(&self, within: Duration) -> bool {
        let mut fds = [PollFd::new(&self.end, PollFlags::IN)];
        let limit = Timespec::try_from(within).ok();
        matches!(poll(&mut fds, limit.as_ref()), Ok(1..))
    }

    /// Kills what is left of the group, reaps the child (waits for its end) and tells how it ended.
    pub fn finish(mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.reaped = true;
        self.child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            self.reaped = true;
            let _ = self.child.wait();
        }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl AsRawFd for Group {
    fn as_raw_fd(&self) -> RawFd {
        self.end.as_raw_fd()
    }
}

fn kill_group(child: &Child) {
    let pid = Pid::from_child(child);
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // Somebody else's `waitpid(-1)` may have taken the child: then its number is no longer ours to signal.
    if waitid(WaitId::Pid(pid), look).is_ok() {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(target_os = "linux")]
fn end_of(child: &Child) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    Ok(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?)
}

#[cfg(not(target_os = "linux"))]
fn end_of(child: &Child) -> io::Result<OwnedFd> {
    use rustix::event::kqueue::{self, Event, EventFilter, EventFlags, ProcessEvents};
    let queue = kqueue::kqueue()?;
    rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
    let filter = EventFilter::Proc { pid: Pid::from_child(child), flags: ProcessEvents::EXIT };
    let change = Event::new(filter, EventFlags::ADD, std::ptr::null_mut());
    let mut none: Vec<Event> = Vec::with_capacity(1);
    // SAFETY: the change names a process, no descriptor.
    unsafe {
        kqueue::kevent(&queue, &[change], rustix::buffer::spare_capacity(&mut none), Some(Duration::ZERO))?;
    }
    Ok(queue)
}
