//! What is told, to whom: the supervisor that started this keeper, and those that connect later.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::FromKeeper;
use crate::sys::{socket, users};

#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) listener: UnixListener,
    pub(crate) peers: Vec<UnixStream>,
    /// All lines so far: whoever comes later is told the same story.
    told: Vec<u8>,
    path: PathBuf,
}

impl Talk {
    /// Listens for supervisors; none is there yet.
    pub(crate) fn listen(path: &Path) -> io::Result<Self> {
        Ok(Self { listener: listen(path)?, peers: Vec::new(), told: Vec::new(), path: path.to_owned() })
    }

    /// Makes the socket anew, where it was swept away.
    pub(crate) fn renew(&mut self) {
        if !self.path.exists()
            && let Ok(renewed) = listen(&self.path)
        {
            self.listener = renewed;
        }
    }

    pub(crate) fn tell(&mut self, what: &FromKeeper) {
        let line = line_of(what);
        self.told.extend_from_slice(&line);
        self.peers.retain_mut(|peer| send(peer, &line));
    }

    /// Takes one new connection; `false` where there is none. Strangers are dropped.
    pub(crate) fn accept(&mut self) -> bool {
        let Ok((mut peer, _)) = self.listener.accept() else { return false };
        let known = socket::peer_uid(&peer).is_ok_and(|uid| uid == users::own_uid() || uid == 0);
        if known && peer.set_nonblocking(true).is_ok() && send(&mut peer, &self.told) {
            self.peers.push(peer);
        }
        true
    }

    /// A peer has said something (nobody has to) or is gone. The last one first: indices must stay true.
    pub(crate) fn hear(&mut self, index: usize) {
        let mut ignored = [0_u8; 256];
        let gone = match self.peers[index].read(&mut ignored) {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        };
        if gone {
            self.peers.swap_remove(index);
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may be gone with its directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let listener = socket::listen(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Tells one that is not listened to any more.
pub(super) fn tell_once(supervisor: &mut UnixStream, what: &FromKeeper) {
    send(supervisor, &line_of(what));
}

fn line_of(what: &FromKeeper) -> Vec<u8> {
    let mut line = serde_json::to_vec(what).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Whether it could be sent at once. A peer that does not read is given up: the service must not wait for it.
fn send(peer: &mut UnixStream, text: &[u8]) -> bool {
    matches!(peer.write(text), Ok(count) if count == text.len())
}
