//! The supervisor as a process of its own: away from every terminal, with the API on the socket it was handed.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::driver::Driver;
use crate::control::{self, Call};
use crate::store::{Lock, StackDir};
use crate::sys;

/// Answers may still be on their way to clients when the loop ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Fewer would not do for a single life.
const DESCRIPTORS: usize = 24;

/// Runs the supervisor of the stack with these directories; standard input is its listening socket.
pub fn run(state: PathBuf, runtime: PathBuf) -> io::Result<()> {
    // Until they are listened for, they must not end this process.
    sys::signals::ignore(&[libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2]);
    // A full disk takes no words; to complain about that on the same stream would end this process.
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false)
        .init();
    // Whatever else the client's own caller left open is not ours to hold: a pipe of a script would never end.
    sys::reaper::close_foreign_descriptors();
    let listener = std::os::unix::net::UnixListener::from(take_stdin()?);
    sys::leave_terminal();
    // What the keepers' services leave behind when a keeper is killed lands here, not at PID 1.
    if let Err(error) = sys::reaper::become_subreaper() {
        tracing::warn!(%error, "no subreaper on this system");
    }
    sys::reaper::set_own_name(c"devstack-super");
    std::env::set_current_dir("/")?;
    let hash = runtime.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let dir = StackDir { hash, state, runtime };
    // An ending supervisor, or a command that does its work, holds the lock for a moment longer: this waits for it.
    let lock = Lock::take(&dir.lock())?;
    // The runtime would panic without.
    sys::descriptors::can_open(DESCRIPTORS)?;
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async { LocalSet::new().run_until(Box::pin(supervise(dir, listener))).await });
    drop(lock);
    result
}

async fn supervise(dir: StackDir, listener: std::os::unix::net::UnixListener) -> io::Result<()> {
    let listener = serveable(listener)?;
    let (calls, inbox) = mpsc::unbounded_channel();
    let stack = dir.read_stack().map_err(io::Error::other)?;
    let stack = stack.ok_or_else(|| io::Error::other("its stack.json is missing or damaged"))?;
    let driver = Driver::new(dir.clone(), stack, inbox, true)?;
    let (end, ending) = oneshot::channel();
    let (renewed, listeners) = mpsc::unbounded_channel();
    let listener = control::Listener::renewable(listener, listeners);
    tokio::task::spawn_local(renew_when_called(dir, calls.clone(), renewed));
    let server = tokio::spawn(control::serve(listener, calls, driver.views(), async { drop(ending.await) }));
    driver.run().await?;
    let _ = end.send(());
    let _ = tokio::time::timeout(LAST_WORDS, server).await;
    Ok(())
}

/// Called by SIGHUP, what is missing of its files is made anew: a client that could not reach it waits for the socket.
async fn renew_when_called(
    dir: StackDir,
    calls: mpsc::UnboundedSender<Call>,
    listeners: mpsc::UnboundedSender<UnixListener>,
) {
    let Ok(mut called) = signal(SignalKind::hangup()) else { return };
    let mut locks = Vec::new();
    while called.recv().await.is_some() {
        tracing::info!("called by SIGHUP: what is missing of its files is made anew");
        if let Err(error) = dir.restore() {
            tracing::warn!(%error, "a directory cannot be made anew");
        }
        // Where the lock was removed, whoever comes next meets a new one. While the old one is there this is refused.
        locks.extend(Lock::try_take(&dir.lock()).ok().flatten());
        let (done, restored) = oneshot::channel();
        // The socket comes last: a client that meets it must find the ledger as well.
        if calls.send(Call::Restore(done)).is_ok() {
            let _ = restored.await;
        }
        match sys::socket::listen(&dir.socket()).and_then(serveable) {
            Ok(listener) => drop(listeners.send(listener)),
            Err(error) => tracing::warn!(%error, "the socket cannot be made anew"),
        }
    }
}

/// A listener for the runtime.
pub(super) fn serveable(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// The listening socket; its place is taken by `/dev/null` so that no later file gets descriptor 0.
fn take_stdin() -> io::Result<OwnedFd> {
    let listener = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(listener)
}
