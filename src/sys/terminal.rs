//! The controlling terminal, and which process group it listens to.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;

use super::proc::{self, Stat};
use super::signals::Held;
use crate::domain::Pid;

/// The terminal that this process was started from.
#[derive(Debug)]
pub struct Terminal(File);

/// How a command stands to the terminal and to whoever called devstack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// There is no terminal: a session of its own.
    Session,
    /// A group of its own in the caller's session, in whose place this process answers to the shell.
    Own,
    /// The caller's group: a script, a pipe, or no shell that knows of jobs. The kernel tells all of it alike.
    Shared,
}

impl Terminal {
    /// The one of this session; none where it has none.
    #[must_use]
    pub fn controlling() -> Option<Self> {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        options.open("/dev/tty").ok().map(Self)
    }

    /// Whether it listens to this group now.
    #[must_use]
    pub fn is_with(&self, group: Pid) -> bool {
        rustix::termios::tcgetpgrp(&self.0).is_ok_and(|now| now.as_raw_nonzero().get() == group.get())
    }

    /// Whether it listens to the group of this process.
    #[must_use]
    pub fn is_with_us(&self) -> bool {
        own_group().is_some_and(|own| self.is_with(own))
    }

    /// Lets it listen to this group.
    pub fn give_to(&self, group: Pid) -> io::Result<()> {
        let group = rustix::process::Pid::from_raw(group.get()).ok_or(io::ErrorKind::InvalidInput)?;
        // From the background this stops the caller, unless the signal is held back.
        let _held = Held::back(libc::SIGTTOU);
        Ok(rustix::termios::tcsetpgrp(&self.0, group)?)
    }

    /// Lets it listen to the group of this process again.
    pub fn take_back(&self) -> io::Result<()> {
        self.give_to(own_group().ok_or(io::ErrorKind::InvalidInput)?)
    }
}

/// What the standing of a command depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that was looked up")]
pub struct Standing {
    /// The session has a terminal.
    pub terminal: bool,
    /// This process leads its group: a shell started it as a job of its own.
    pub leads: bool,
    /// Its parent is of the same session and of another group: it is that shell.
    pub under_shell: bool,
    /// Input and output are terminals: nobody else is in the group by way of a pipe.
    pub alone: bool,
}

impl Standing {
    /// Of this process.
    #[must_use]
    pub fn own(terminal: Option<&Terminal>) -> Self {
        let own = own_stat();
        let parent = own.as_ref().and_then(|own| proc::stat(own.ppid));
        Self {
            terminal: terminal.is_some(),
            leads: own.as_ref().is_some_and(|own| own.pgid == own.pid && own.sid != own.pid),
            under_shell: own.zip(parent).is_some_and(|(own, parent)| is_under_shell(&own, &parent)),
            alone: io::stdin().is_terminal() && io::stdout().is_terminal(),
        }
    }

    /// The standing that its command gets.
    #[must_use]
    pub fn group(self) -> Group {
        match self {
            Self { terminal: false, .. } => Group::Session,
            // A job that stopped is told to the shell by this process, which must be the shell's to be heard. Taking the
            // terminal away from others of our own group would stop them.
            Self { leads: true, under_shell: true, alone: true, .. } => Group::Own,
            Self { .. } => Group::Shared,
        }
    }
}

fn own_stat() -> Option<Stat> {
    proc::stat(rustix::process::getpid().as_raw_nonzero().get())
}

/// None where it was opened outside of our PID namespace: the kernel calls it 0 then, as `docker exec` and `unshare` show.
fn own_group() -> Option<Pid> {
    own_stat().and_then(|own| Pid::new(own.pgid))
}

/// Two sessions outside of our view are both 0, and need not be the same.
fn is_under_shell(own: &Stat, parent: &Stat) -> bool {
    own.sid != 0 && own.sid == parent.sid && own.pgid != parent.pgid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_is_taken_only_from_a_shell_and_from_nobody_else() {
        let shell = Standing { terminal: true, leads: true, under_shell: true, alone: true };
        assert_eq!(shell.group(), Group::Own);
        for beside in [
            Standing { leads: false, ..shell },
            Standing { under_shell: false, ..shell },
            Standing { alone: false, ..shell },
        ] {
            assert_eq!(beside.group(), Group::Shared, "{beside:?}");
        }
        assert_eq!(Standing { terminal: false, ..shell }.group(), Group::Session);
    }
}
