//! How a process ended, and signals by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It ended by itself with this code.
    Code(i32),
    /// A signal ended it.
    Signal(Signal),
    /// It ended, and nobody could see how (its keeper was dead).
    Unknown,
}

impl Exit {
    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code as a shell tells it: 128+N for signal N.
    #[must_use]
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal.number(),
            Self::Unknown => 1,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "killed by {signal}"),
            Self::Unknown => write!(f, "exit unknown"),
        }
    }
}

/// A signal; read and shown by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(i32);

/// The text names no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a signal")]
pub struct UnknownSignal(pub String);

const NAMES: [(&str, i32); 29] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("SYS", libc::SIGSYS),
];

impl Signal {
    /// Asks a program to end.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// Ends a process without asking.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// Freezes a process.
    pub const STOP: Self = Self(libc::SIGSTOP);
    /// Wakes a frozen process.
    pub const CONT: Self = Self(libc::SIGCONT);
    /// What Ctrl-C sends.
    pub const INT: Self = Self(libc::SIGINT);
    /// What Ctrl-\ sends.
    pub const QUIT: Self = Self(libc::SIGQUIT);

    /// A signal by number, as a wait status gives it.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The number on this system.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Understands `SIGTERM`, `TERM`, `term`, `15`, and `SIG34`, as signals without a name are shown.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let unknown = || UnknownSignal(text.to_owned());
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Ok(number) = bare.parse::<i32>() {
            return if (1..=64).contains(&number) { Ok(Self(number)) } else { Err(unknown()) };
        }
        let found = NAMES.iter().find(|(name, _)| *name == bare);
        found.map(|(_, number)| Self(*number)).ok_or_else(unknown)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "SIG{}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Signal {
    type Error = UnknownSignal;
    fn try_from(text: String) -> Result<Self, UnknownSignal> {
        text.parse()
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_in_every_usual_form() {
        for text in ["SIGTERM", "TERM", "term", "15"] {
            assert_eq!(text.parse::<Signal>(), Ok(Signal::TERM));
        }
        // As a signal without a name is shown, in `config` too.
        assert_eq!("SIG34".parse::<Signal>(), Ok(Signal::from_number(34)));
        assert!("SIG99".parse::<Signal>().is_err());
        assert!("SIGNOPE".parse::<Signal>().is_err());
        assert!("0".parse::<Signal>().is_err());
        assert!("-9".parse::<Signal>().is_err());
    }

    #[test]
    fn an_exit_survives_json() {
        for exit in
            [Exit::Code(3), Exit::Signal(Signal::KILL), Exit::Signal(Signal::from_number(34)), Exit::Unknown]
        {
            let text = serde_json::to_string(&exit).expect("serialises");
            assert_eq!(serde_json::from_str::<Exit>(&text).expect("reads back"), exit);
        }
        assert_eq!(Exit::Signal(Signal::TERM).shell_code(), 143);
        assert_eq!(Exit::Signal(Signal::TERM).to_string(), "killed by SIGTERM");
    }
}
