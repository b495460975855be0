//! The supervisor's work in the command's own process, where no supervisor lives.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::driver::Driver;
use crate::control::{Answers, Call, DownCall, Views};
use crate::domain::StackView;
use crate::machine::Reply;
use crate::store::{Lock, StackDir};

/// A whole stack that has ended takes a turn of the loop to be laid to rest.
const LAST_WORK: Duration = Duration::from_millis(200);

/// What a command needs to follow a `down` that runs in its own process.
pub struct Inline {
    /// The units as they change.
    pub views: Views,
    /// The end.
    pub reply: oneshot::Receiver<Reply>,
    /// For a `down` by force on Ctrl-C.
    pub calls: mpsc::UnboundedSender<Call>,
}

/// Ends units without a supervisor: takes the lock, takes over what lives, and works until the reply.
///
/// `follow` runs beside it and gives what the command returns.
pub async fn down<T>(dir: StackDir, call: DownCall, follow: impl AsyncFnOnce(Inline) -> T) -> io::Result<T> {
    let lock = Lock::take(&dir.lock())?;
    let (calls, inbox) = mpsc::unbounded_channel();
    let result = LocalSet::new()
        .run_until(async {
            let driver = Driver::new(dir, inbox, false)?;
            let (accepted, _) = oneshot::channel();
            let (answer, reply) = oneshot::channel();
            let views = driver.views();
            let _ = calls.send(Call::Down(Box::new(call), Answers { accepted, reply: answer }));
            let mut work = tokio::task::spawn_local(driver.run());
            let told = follow(Inline { views, reply, calls }).await;
            // With nothing left it ends by itself and puts the last things in order; else there is no end to wait for.
            if tokio::time::timeout(LAST_WORK, &mut work).await.is_err() {
                work.abort();
            }
            Ok(told)
        })
        .await;
    drop(lock);
    result
}

/// The stack as ledger and kernel show it, without a supervisor.
pub fn look(dir: &StackDir) -> io::Result<StackView> {
    super::look::from_ledger(dir)
}
