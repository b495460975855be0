//! The supervisor's work in the command's own process, where no supervisor lives.
//!
//! While it lasts the command is the stack's supervisor in all but the starting: it holds the lock and serves the socket.
//! So a second `down` joins the first, `down --force` hardens it, `ps` sees it, and an `up` is told that the stack is held.

use std::io;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::daemon::serveable;
use super::driver::Driver;
use super::holder::lock_in_time;
use super::recall::is_served;
use crate::control::{self, Answers, Call, DownCall, Peer, Views};
use crate::domain::StackView;
use crate::machine::Reply;
use crate::plan::Plan;
use crate::store::{Lock, StackDir, StackFile};
use crate::sys;

/// A whole stack that has ended takes a turn of the loop to be laid to rest, and others who asked are told as well.
const LAST_WORK: Duration = Duration::from_millis(500);

/// What a command needs to follow a `down` that runs in its own process.
pub struct Inline {
    /// The units as they change.
    pub views: Views,
    /// The end.
    pub reply: oneshot::Receiver<Reply>,
    /// For a `down` by force on Ctrl-C.
    pub calls: mpsc::UnboundedSender<Call>,
}

/// The right to do a supervisor's work: the stack's lock, and its socket.
pub struct Claim {
    dir: StackDir,
    lock: Lock,
    listener: Option<UnixListener>,
}

/// Takes lock and socket; none where another has one of them.
///
/// A socket that is served belongs to a supervisor, if only to one that waits for the lock: it must be asked, not replaced,
/// or whoever asks it next would never find it. `mute`: it was asked and does not answer.
pub async fn claim(dir: &StackDir, mute: bool) -> io::Result<Option<Claim>> {
    let Some(starting) = lock_in_time(&dir.start_lock()).await? else { return Ok(None) };
    if !mute && is_served(&dir.socket()).await {
        return Ok(None);
    }
    // The socket before the lock: nobody can start a supervisor in between. Without it (a full disk) others find nobody
    // and wait for the lock; the work is the same.
    let listener = sys::socket::listen(&dir.socket()).and_then(serveable).ok();
    drop(starting);
    let lock = lock_in_time(&dir.lock()).await?;
    Ok(lock.map(|lock| Claim { dir: dir.clone(), lock, listener }))
}

/// Ends units without a supervisor: takes over what lives, and works until the reply.
///
/// `follow` runs beside it and gives what the command returns. With it comes what is wrong with the stack's files.
pub async fn down<T>(
    claim: Claim,
    stack: StackFile,
    call: DownCall,
    follow: impl AsyncFnOnce(Inline) -> T,
) -> io::Result<(T, Vec<String>)> {
    let Claim { dir, lock, listener } = claim;
    let (calls, inbox) = mpsc::unbounded_channel();
    let result = LocalSet::new()
        .run_until(async {
            let driver = Driver::new(dir, stack, inbox, false)?;
            let (accepted, _) = oneshot::channel();
            let (answer, reply) = oneshot::channel();
            let views = driver.views();
            let _ = calls.send(Call::Down(Box::new(call), Peer::own(), Answers { accepted, reply: answer }));
            let (end, ending) = oneshot::channel::<()>();
            let server = listener.map(|listener| {
                let ending = async { drop(ending.await) };
                tokio::spawn(control::serve(listener.into(), calls.clone(), driver.views(), ending))
            });
            let mut work = tokio::task::spawn_local(driver.run());
            let told = follow(Inline { views, reply, calls }).await;
            // It ends by itself when all who asked are answered, and puts the last things in order.
            let warnings = match tokio::time::timeout(LAST_WORK, &mut work).await {
                Ok(Ok(ended)) => ended?,
                Ok(Err(_)) => Vec::new(),
                Err(_) => {
                    work.abort();
                    Vec::new()
                }
            };
            drop(end);
            if let Some(server) = server {
                let _ = tokio::time::timeout(LAST_WORK, server).await;
            }
            Ok((told, warnings))
        })
        .await;
    drop(lock);
    result
}

/// The stack as ledger and kernel show it, without a supervisor. `planned`: the manifest, where the stack has no plan.
pub async fn look(dir: &StackDir, stack: &StackFile, planned: Option<&Plan>) -> io::Result<StackView> {
    super::look::from_ledger(dir, stack, planned).await
}
