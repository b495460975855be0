//! The supervisor's work in the command's own process, where no supervisor lives.

use std::io;

use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::driver::Driver;
use crate::control::{Answers, Call, DownCall, Views};
use crate::domain::StackView;
use crate::machine::Reply;
use crate::store::{Lock, StackDir};

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
            let driver = Driver::new(dir, inbox)?;
            let (accepted, _) = oneshot::channel();
            let (answer, reply) = oneshot::channel();
            let views = driver.views();
            let _ = calls.send(Call::Down(Box::new(call), Answers { accepted, reply: answer }));
            let work = tokio::task::spawn_local(driver.run());
            let told = follow(Inline { views, reply, calls }).await;
            work.abort();
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
