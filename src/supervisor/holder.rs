//! Who works on a stack: the process that holds its lock. Whether it acts, and how it is woken or ended where it does not.
//!
//! The number in the lock file is only a hint. It counts where the kernel shows that this process holds the lock; and it is
//! looked at again behind the handle, before any signal.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::domain::{ProcId, Signal};
use crate::store::{Lock, StackDir};
use crate::sys::flock::{holds_lock, holds_removed_lock};
use crate::sys::pidfd::{Pidfd, PidfdError};
use crate::sys::proc::{self, RunState};

/// An ending supervisor, or a command that does its work, holds the lock for a moment longer: so long that is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// What a process that should answer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs: it is busy, or the machine is.
    Runs,
    /// It waits for something.
    Waits,
    /// It was stopped (SIGSTOP, Ctrl-Z).
    Stopped,
    /// A debugger holds it.
    Traced,
}

/// The process that holds a stack's lock.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Which.
    pub id: ProcId,
    /// Its command line.
    pub command: String,
    /// A supervisor; else a command that does its work.
    pub is_supervisor: bool,
    /// The stack's directories.
    pub dir: StackDir,
}

/// Who holds the stack now; none where nobody does, or where the kernel does not show it.
#[must_use]
pub fn holder(dir: &StackDir) -> Option<Holder> {
    let pid = Lock::holder(&dir.lock())?;
    let stat = proc::stat(pid)?;
    let id = stat.id().filter(|_| holds_lock(pid, &dir.lock()))?;
    let is_supervisor = proc::argv(pid).get(1).is_some_and(|word| word == "__supervise");
    Some(Holder { id, command: proc::command(&stat), is_supervisor, dir: dir.clone() })
}

/// Takes a lock; none where another holds it for too long.
///
/// Never by a wait within the kernel: that could not be ended by Ctrl-C, and a holder that was stopped never lets go.
pub(super) async fn lock_in_time(path: &Path) -> io::Result<Option<Lock>> {
    let begun = Instant::now();
    loop {
        match Lock::try_take(path)? {
            None if begun.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            taken => return Ok(taken),
        }
    }
}

impl Holder {
    /// What it is doing now; none where it has ended.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let stat =
            proc::stat(self.id.pid.get()).filter(|stat| stat.start == self.id.start && !stat.is_gone());
        stat.map(|stat| match stat.state {
            RunState::Stopped => Standing::Stopped,
            RunState::Traced => Standing::Traced,
            RunState::Running => Standing::Runs,
            RunState::Sleeping
            | RunState::Uninterruptible
            | RunState::Zombie
            | RunState::Dead
            | RunState::Other => Standing::Waits,
        })
    }

    /// How much work it has done, in clock ticks: more than before means that it is busy, whatever it does just now.
    #[must_use]
    pub fn work(&self) -> u64 {
        proc::stat(self.id.pid.get())
            .filter(|stat| stat.start == self.id.start)
            .map_or(0, |stat| stat.cpu_ticks)
    }

    /// Lets it go on (SIGCONT).
    pub fn wake(&self) -> Result<(), PidfdError> {
        self.send(Signal::CONT)
    }

    /// Ends it by SIGKILL. Keepers and services live on; whoever takes the lock next takes them over.
    pub fn end(&self) -> Result<(), PidfdError> {
        self.send(Signal::KILL)
    }

    pub(super) fn send(&self, signal: Signal) -> Result<(), PidfdError> {
        // The handle first: what is read from now on is read of this process, or the signal reaches nobody.
        let handle = Pidfd::open(self.id)?;
        let (pid, lock) = (self.id.pid.get(), self.dir.lock());
        if holds_lock(pid, &lock) || holds_removed_lock(pid, &lock) {
            handle.send(signal)
        } else {
            Err(PidfdError::Gone)
        }
    }
}
