//! Do the probes tell the truth, at once, and leave nothing behind?

mod cost;
#[cfg(target_os = "linux")]
mod exec;
mod http;
mod log;
mod simple;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use devstack::domain::PortHolder;
use devstack::health::{Context, Ownership, gate};
use devstack::machine::Answer;
use devstack::plan::Probe;
use tokio::sync::watch;

/// Longer than anything here takes, on however busy a machine.
const LONG: Duration = Duration::from_secs(20);

/// A context in a directory; the owner is always the same.
fn context(dir: &Path, owner: Ownership) -> (Context, watch::Sender<bool>) {
    let (sender, notified) = watch::channel(false);
    let path = std::env::var("PATH").unwrap_or_default();
    let ctx = Context {
        environment: [("PATH".to_owned(), path), ("COLOUR".to_owned(), "green".to_owned())].into(),
        working_dir: dir.to_owned(),
        log_path: dir.join("a.log"),
        log_from: devstack::store::log::Position::now(&dir.join("a.log")).expect("a place"),
        owner: Rc::new(move |_| owner.clone()),
        contained: None,
        notified,
    };
    (ctx, sender)
}

/// A gate as the supervisor asks it.
async fn ask(probe: Probe, timeout: Duration, ctx: Context, tell: impl FnMut(Answer)) {
    gate(probe, timeout, Duration::from_millis(10), Duration::from_secs(5), ctx, tell).await;
}

/// The first answer of a probe.
async fn first(probe: Probe, timeout: Duration, owner: Ownership) -> Answer {
    let dir = tempfile::tempdir().expect("a directory");
    let (ctx, _sender) = context(dir.path(), owner);
    first_in(probe, timeout, ctx).await
}

async fn first_in(probe: Probe, timeout: Duration, ctx: Context) -> Answer {
    let answer = Rc::new(RefCell::new(None));
    let told = Rc::new(tokio::sync::Notify::new());
    let asking = ask(probe, timeout, ctx, |new| {
        answer.borrow_mut().get_or_insert(new);
        told.notify_one();
    });
    tokio::select! {
        biased;
        () = told.notified() => {}
        () = asking => {}
        () = tokio::time::sleep(LONG) => panic!("no answer"),
    }
    answer.take().expect("an answer")
}

fn bad(asked: &str, got: &str) -> Answer {
    Answer::Bad { asked: asked.to_owned(), got: got.to_owned() }
}

fn stranger() -> PortHolder {
    PortHolder {
        process: None,
        command: "node server.js".to_owned(),
        user: "somebody".to_owned(),
        dir: None,
        age_ms: None,
        stack: None,
    }
}
