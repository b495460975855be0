//! A supervisor that lives and cannot be reached: its socket was swept away, its lock removed. It is found by what the
//! kernel shows of it, and called back.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;

use super::holder::{Holder, PAUSE, holder};
use crate::domain::{ProcId, Signal};
use crate::store::StackDir;
use crate::sys::flock::{holds_lock, holds_removed_lock};
use crate::sys::pidfd::Pidfd;
use crate::sys::proc;
use crate::sys::users::own_uid;

/// What calls a supervisor or a keeper to make its files anew.
const HANGUP: Signal = Signal::from_number(libc::SIGHUP);

/// So long a supervisor that was called may take to make its socket anew.
const ANSWER: Duration = Duration::from_secs(4);

/// So long one that is ending may take to tell its last words.
const ENDING: Duration = Duration::from_secs(3);

/// The supervisor that lives, though its socket is gone: it holds the lock, or a lock that was removed under it.
///
/// What it calls its directories is in the answer: they may be others than who asks would take.
#[must_use]
pub fn unreachable(dir: &StackDir) -> Option<Holder> {
    if let Some(holder) = holder(dir) {
        let own = own_dirs(holder.id.pid.get(), dir).unwrap_or_else(|| dir.clone());
        return Some(Holder { dir: own, ..holder }).filter(|holder| holder.is_supervisor);
    }
    // The number in the lock file is a help that may be missing: on a full disk, or with the whole file.
    proc::pids().into_iter().find_map(|pid| {
        let own = own_dirs(pid, dir)?;
        let stat = proc::stat(pid)?;
        let holds = holds_lock(pid, &own.lock()) || holds_removed_lock(pid, &own.lock());
        let id = stat.id().filter(|_| holds)?;
        Some(Holder { id, command: proc::command(&stat), is_supervisor: true, dir: own })
    })
}

/// The directories that a supervisor of this stack was started with. The stack's name may have been another then.
fn own_dirs(pid: i32, dir: &StackDir) -> Option<StackDir> {
    let words = proc::argv(pid);
    let [_, word, state, runtime] = words.as_slice() else { return None };
    let (state, runtime) = (PathBuf::from(state), PathBuf::from(runtime));
    let hash = || state.file_name()?.to_str()?.rsplit_once('-').map(|(_, hash)| hash.to_owned());
    let is_ours = word == "__supervise" && state.parent() == dir.state.parent();
    (is_ours && hash()? == dir.hash).then(|| StackDir { hash: dir.hash.clone(), state, runtime })
}

/// What came of calling a supervisor whose socket is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Somebody listens on the stack's socket.
    Reachable,
    /// There is no supervisor.
    Nobody,
    /// It lives, and does not make its socket anew.
    Deaf,
}

/// Sees to it that a supervisor that lives can be reached: one whose socket was swept away (somebody cleaned `/tmp`) is
/// asked by SIGHUP to make it anew, with whatever else of its files is missing.
pub async fn recall(dir: &StackDir) -> Recalled {
    let socket = dir.socket();
    if is_served(&socket).await {
        return Recalled::Reachable;
    }
    let mut called = None;
    let begun = Instant::now();
    loop {
        // A socket that is there and refuses is that of one who has ended, or is just ending.
        let swept = !socket.exists();
        if !swept && begun.elapsed() > ENDING {
            return Recalled::Deaf;
        }
        let Some(holder) = (if swept { unreachable(dir) } else { holder(dir).filter(|it| it.is_supervisor) })
        else {
            return Recalled::Nobody;
        };
        if swept && called.replace(holder.id) != Some(holder.id) && holder.send(HANGUP).is_err() {
            return Recalled::Deaf;
        }
        if begun.elapsed() > ANSWER {
            return Recalled::Deaf;
        }
        tokio::time::sleep(PAUSE).await;
        if is_served(&socket).await {
            return Recalled::Reachable;
        }
    }
}

/// Sees to it that a supervisor that lives can be reached, and that what is known of its stack can be read: one whose state
/// was removed writes it anew, also where its socket was left.
pub async fn restored(living: &Holder) -> bool {
    let dir = &living.dir;
    let is_there = || dir.read_stack().is_ok_and(|stack| stack.is_some());
    if is_there() {
        return recall(dir).await == Recalled::Reachable;
    }
    // Its socket is made anew as the last: whoever met the old one would be lost with it.
    let socket = || fs::symlink_metadata(dir.socket()).ok().map(|meta| (meta.dev(), meta.ino()));
    let before = socket();
    if living.send(HANGUP).is_err() {
        return false;
    }
    let begun = Instant::now();
    while begun.elapsed() < ANSWER {
        if is_there() && socket().is_some_and(|now| Some(now) != before) {
            return is_served(&dir.socket()).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    false
}

/// Whether somebody listens on a socket.
pub(super) async fn is_served(socket: &Path) -> bool {
    match UnixStream::connect(socket).await {
        Ok(_) => true,
        // So many callers wait already that the kernel takes no more.
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Calls a keeper to make its socket anew. Nothing is sent to what is no keeper, whatever a ledger may say.
pub(super) fn call_keeper(id: ProcId) -> Option<Pidfd> {
    // The handle first: what is read from now on is read of this process.
    let keeper = Pidfd::open(id).ok()?;
    let is_keeper = proc::argv(id.pid.get()).get(1).is_some_and(|word| word == "__keeper");
    let called = is_keeper && proc::uid(id.pid.get()) == Some(own_uid()) && keeper.send(HANGUP).is_ok();
    called.then_some(keeper)
}
