//! The controlling terminal, and which process group it listens to.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::process::{getpgid, getpgrp, getpid, getppid, getsid};

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
        rustix::termios::tcgetpgrp(&self.0).is_ok_and(|now| now == getpgrp())
    }

    /// Lets it listen to this group.
    pub fn give_to(&self, group: Pid) -> io::Result<()> {
        let group = rustix::process::Pid::from_raw(group.get()).ok_or(io::ErrorKind::InvalidInput)?;
        self.set(group)
    }

    /// Lets it listen to the group of this process again.
    pub fn take_back(&self) -> io::Result<()> {
        self.set(getpgrp())
    }

    fn set(&self, group: rustix::process::Pid) -> io::Result<()> {
        // From the background this stops the caller, unless the signal is held back.
        let _held = Held::back(libc::SIGTTOU);
        Ok(rustix::termios::tcsetpgrp(&self.0, group)?)
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
        let (group, session) = (getpgrp(), getsid(None).ok());
        let under_shell = getppid().is_some_and(|parent| {
            getsid(Some(parent)).ok() == session && getpgid(Some(parent)).is_ok_and(|other| other != group)
        });
        Self {
            terminal: terminal.is_some(),
            leads: group == getpid() && session != Some(getpid()),
            under_shell,
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
