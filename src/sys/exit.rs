//! What the kernel says about the end of a process, in our words.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::domain::{Exit, Signal};

/// How a process ended, by the status that `wait` gave.
#[must_use]
pub fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(Signal::from_number(signal)),
        (None, None) => Exit::Unknown,
    }
}

/// The same, by the bare number.
#[must_use]
pub fn exit_of_raw(status: i32) -> Exit {
    exit_of(ExitStatus::from_raw(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_code_or_a_signal() {
        assert_eq!(exit_of_raw(7 << 8), Exit::Code(7));
        assert_eq!(exit_of_raw(libc::SIGKILL), Exit::Signal(Signal::KILL));
        // With a core dump.
        assert_eq!(exit_of_raw(libc::SIGSEGV | 0x80), Exit::Signal(Signal::from_number(libc::SIGSEGV)));
        // Stopped is not ended.
        assert_eq!(exit_of_raw((libc::SIGSTOP << 8) | 0x7f), Exit::Unknown);
    }
}
