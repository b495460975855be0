//! `sd_notify`: datagrams of lines, of which one matters here.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::domain::Mark;
use crate::sys::{socket, users};

/// What fits into a socket address on every system.
const LONGEST_PATH: usize = 103;

/// Where a service says that it is ready.
#[derive(Debug)]
pub(super) struct Notify {
    pub(super) socket: UnixDatagram,
    /// What the service finds in `NOTIFY_SOCKET`.
    pub(super) address: String,
    path: Option<PathBuf>,
    /// The user of the service, beside our own and root.
    uid: u32,
}

impl Notify {
    /// Binds the socket. A path that begins with `@` is a name in the abstract namespace; one that is too long for the
    /// service to connect to becomes one.
    pub(super) fn bind(wanted: &Path, mark: &Mark, uid: Option<u32>) -> io::Result<Self> {
        let uid = uid.unwrap_or_else(users::own_uid);
        let text = wanted.to_string_lossy();
        let name = match text.strip_prefix('@') {
            Some(name) => Some(name.to_owned()),
            None if text.len() > LONGEST_PATH => Some(format!("devstack/{}", mark.as_str())),
            None => None,
        };
        if let Some(name) = name {
            let socket = socket::abstract_datagram(&name)?;
            return Ok(Self { socket, address: format!("@{name}"), path: None, uid });
        }
        let socket = socket::datagram(wanted)?;
        if uid != users::own_uid() {
            std::os::unix::fs::chown(wanted, Some(uid), None)?;
        }
        Ok(Self { socket, address: text.into_owned(), path: Some(wanted.to_owned()), uid })
    }

    /// Takes all that has come; whether `READY=1` was in it.
    pub(super) fn take(&self) -> bool {
        let mut ready = false;
        let mut buffer = [0_u8; 4096];
        loop {
            match socket::receive(&self.socket, &mut buffer) {
                // Anyone can write to an abstract socket: only the kernel's word on the sender counts.
                Ok((count, sender)) => {
                    let known = sender.is_none_or(|uid| [0, self.uid, users::own_uid()].contains(&uid));
                    ready |= known && says_ready(&buffer[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return ready,
            }
        }
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It may be gone with its directory.
            let _ = fs::remove_file(path);
        }
    }
}

pub(super) fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_a_line_of_its_own() {
        for message in ["READY=1", "READY=1\n", "STATUS=up\nREADY=1\nMAINPID=7", "X=\n\nREADY=1"] {
            assert!(says_ready(message.as_bytes()), "{message:?}");
        }
        for message in ["", "READY=0", "READY=10", "STATUS=READY=1", "NOTREADY=1"] {
            assert!(!says_ready(message.as_bytes()), "{message:?}");
        }
    }
}
