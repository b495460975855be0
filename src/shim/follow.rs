//! The log of a container, copied until the container ends, whatever happens to the engine meanwhile.

use std::future::ready;
use std::time::Duration;

use super::life::Shim;
use super::output::{Output, WHOLE};
use super::position::Position;
use super::trouble::sort;
use crate::domain::ContainerTrouble;
use crate::engine::{Ended, Engine as _, LogPosition, Logs, Status, Trouble, TroubleKind};

/// How long it is waited before the engine is asked once more: it may have been started anew, which takes seconds.
const PATIENCE: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// A log that ends although the container runs is followed again after this, and later each time.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_AT_MOST: Duration = Duration::from_secs(5);

/// How a container ended.
#[derive(Debug)]
pub(super) enum End {
    /// By itself, or by a signal.
    Exited(Ended),
    /// The engine is the reason that nothing is known of it.
    Trouble(ContainerTrouble),
}

impl Shim<'_> {
    /// Copies what it writes until it has ended and all was told.
    pub(super) async fn follow(&self, id: &str) -> End {
        let mut output = Output::of_process();
        let (file, mut position) = match Position::open(&self.spec.position, id) {
            Ok((file, position)) => (Some(file), position),
            Err(_) => (None, None),
        };
        let (mut again, mut silent) = (AGAIN, false);
        loop {
            let followed = match self.client.logs(id, position.clone()) {
                Ok(mut logs) => {
                    let followed = copy(&mut logs, &mut output, file.as_ref()).await;
                    let before = position.clone();
                    position = logs.position();
                    if position != before {
                        again = AGAIN;
                    }
                    followed
                }
                Err(trouble) => Err(trouble),
            };
            if let Some(end) = self.look(id).await {
                return end;
            }
            if let Err(Trouble { kind: TroubleKind::NoLog, text }) = followed {
                if !std::mem::replace(&mut silent, true) {
                    output.write(format!("devstack: its log cannot be read: {text}\n").as_bytes()).await;
                }
                if self.client.wait(id).await.is_ok() {
                    continue;
                }
            }
            // Somebody started it anew behind our back, or the engine was.
            tokio::time::sleep(again).await;
            again = (again * 2).min(AGAIN_AT_MOST);
        }
    }

    /// What became of it; none where it runs.
    async fn look(&self, id: &str) -> Option<End> {
        let mut patience = PATIENCE.iter();
        loop {
            let text = match self.client.inspect(id).await {
                Ok(found) => match found.status {
                    Status::Exited(ended) => return Some(End::Exited(ended)),
                    Status::Running { .. } | Status::Paused => {
                        // It may be another life of it: somebody started it anew behind our back.
                        match self.runs(id, self.spec.asks_own_health()).await {
                            Ok(Some(_)) => return None,
                            Ok(None) => continue,
                            Err(trouble) => trouble.text,
                        }
                    }
                    Status::Created { error } => error,
                    Status::Between => "it is neither there nor gone".to_owned(),
                },
                Err(Trouble { kind: TroubleKind::NoSuchContainer, .. }) => {
                    return Some(End::Trouble(ContainerTrouble::Removed));
                }
                Err(trouble) if is_silence(&trouble.kind) => trouble.text,
                Err(trouble) => return Some(End::Trouble(sort(self.plan, trouble))),
            };
            match patience.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Some(End::Trouble(ContainerTrouble::NotAnswering { text })),
            }
        }
    }
}

/// Nobody answers; it may be a moment only.
fn is_silence(kind: &TroubleKind) -> bool {
    matches!(kind, TroubleKind::NotRunning | TroubleKind::TimedOut | TroubleKind::Unreadable)
}

/// Copies lines until there are no more. What is told is kept as told right after it: only a kill between these two calls
/// makes a later shim tell it twice.
async fn copy(logs: &mut Logs, output: &mut Output, file: Option<&Position>) -> Result<(), Trouble> {
    let mut batch = Vec::with_capacity(2 * WHOLE);
    let mut told: Option<LogPosition> = None;
    loop {
        let line = tokio::select! {
            biased;
            line = logs.next() => line,
            // No other line is there now: what was gathered must not wait for the next.
            () = ready(()), if !batch.is_empty() => {
                flush(&mut batch, output, file, told.as_ref()).await;
                continue;
            }
        };
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) | Err(_) if !batch.is_empty() => {
                flush(&mut batch, output, file, told.as_ref()).await;
                return line.map(drop);
            }
            Ok(None) => return Ok(()),
            Err(trouble) => return Err(trouble),
        };
        if batch.len() + line.text.len() >= WHOLE && !batch.is_empty() {
            flush(&mut batch, output, file, told.as_ref()).await;
        }
        batch.extend_from_slice(&line.text);
        batch.push(b'\n');
        told = logs.position();
    }
}

async fn flush(
    batch: &mut Vec<u8>,
    output: &mut Output,
    file: Option<&Position>,
    told: Option<&LogPosition>,
) {
    let taken = output.write(batch).await;
    batch.clear();
    // What was told to nobody, because the keeper was killed, is for the shim of the next life to tell.
    if let (true, Some(file), Some(told)) = (taken, file, told) {
        file.keep(told);
    }
}
