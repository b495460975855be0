//! Log probes: told by the kernel, since the life began, across rotation, in pieces.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use devstack::health::Ownership;
use devstack::machine::Answer;
use devstack::plan::Probe;
use tokio::sync::Notify;

use crate::{LONG, ask, bad, context};

fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(path).expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

/// Runs a gate for the pattern; after its first answer these steps are made, each once the gate waits. Gives the answers.
async fn waited(dir: &Path, pattern: &str, before: &str, steps: &[&dyn Fn(&Path)]) -> Vec<Answer> {
    let path = dir.join("a.log");
    let (ctx, _sender) = context(dir, Ownership::Own);
    append(&path, before);
    let answers = Rc::new(RefCell::new(Vec::new()));
    let asked = Notify::new();
    let asking = ask(Probe::Log(pattern.to_owned()), LONG, ctx, |answer| {
        answers.borrow_mut().push(answer);
        asked.notify_one();
    });
    let making = async {
        asked.notified().await;
        for step in steps {
            // Lets the gate see the step before, so that each must wake it anew.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            step(&path);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = asking => {}
        () = making => {}
        () = tokio::time::sleep(LONG) => panic!("not told; answers: {:?}", answers.borrow()),
    }
    answers.take()
}

fn not_yet(pattern: &str, got: &str) -> Answer {
    bad(&format!("a line in the log that matches /{pattern}/"), got)
}

#[tokio::test]
async fn only_lines_of_this_life_count() {
    let dir = tempfile::tempdir().expect("a directory");
    append(&dir.path().join("a.log"), "ready on 1 (an earlier life)\n");
    let answers = waited(
        dir.path(),
        "ready on",
        "starting\n",
        &[&|path| append(path, "more\n"), &|path| append(path, "ready on 2\n")],
    )
    .await;
    assert_eq!(answers, [not_yet("ready on", "not in the 1 line so far"), Answer::Good]);
}

#[tokio::test]
async fn what_stands_there_already_is_good_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(waited(dir.path(), "^ready$", "a\nready\r\nb\n", &[]).await, [Answer::Good]);
}

#[tokio::test]
async fn a_line_may_come_in_pieces() {
    let dir = tempfile::tempdir().expect("a directory");
    let steps: [&dyn Fn(&Path); 3] =
        [&|path| append(path, "listening "), &|path| append(path, "on 30"), &|path| append(path, "00\n")];
    let answers = waited(dir.path(), "^listening on 3000$", "", &steps).await;
    assert_eq!(answers, [not_yet("^listening on 3000$", "nothing written yet"), Answer::Good]);
}

#[tokio::test]
async fn a_prompt_needs_no_end_of_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let answers = waited(dir.path(), "^db> $", "x\n", &[&|path| append(path, "db> ")]).await;
    assert_eq!(answers.last(), Some(&Answer::Good));
}

#[tokio::test]
async fn rotation_hides_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let rotate = |path: &Path| {
        fs::rename(path, path.with_extension("log.1")).expect("renamed");
        append(path, "a new file\n");
    };
    let steps: [&dyn Fn(&Path); 4] =
        [&|path| append(path, "one\nrea"), &rotate, &rotate, &|path| append(path, "ready\n")];
    let answers = waited(dir.path(), "^ready", "", &steps).await;
    assert_eq!(answers.last(), Some(&Answer::Good));
    assert_eq!(answers.len(), 2);
}

#[tokio::test]
async fn a_log_may_begin_late_and_have_colours() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ctx, _sender) = context(dir.path(), Ownership::Own);
    let path = ctx.log_path.clone();
    let mut answers = Vec::new();
    let asking = ask(Probe::Log("listening on".into()), LONG, ctx, |answer| {
        if answers.is_empty() {
            let path = path.clone();
            tokio::spawn(async move { append(&path, "\u{1b}[32mlistening\u{1b}[0m on 3000\n") });
        }
        answers.push(answer);
    });
    tokio::time::timeout(LONG, asking).await.expect("told");
    assert_eq!(answers, [not_yet("listening on", "nothing written yet"), Answer::Good]);
}

#[tokio::test]
async fn many_gates_share_one_watch() {
    let dir = tempfile::tempdir().expect("a directory");
    let before = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let told = RefCell::new(Vec::new());
    let gates = (0..50).map(|number| {
        let (mut ctx, _sender) = context(dir.path(), Ownership::Own);
        ctx.log_path = dir.path().join(format!("{number}.log"));
        let told = &told;
        async move {
            ask(Probe::Log("go".into()), LONG, ctx, |answer| {
                if answer == Answer::Good {
                    told.borrow_mut().push(number);
                }
            })
            .await;
        }
    });
    let mut gates: Vec<_> = gates.map(Box::pin).collect();
    let mut all = std::pin::pin!(std::future::poll_fn(|context| {
        gates.retain_mut(|gate| gate.as_mut().poll(context).is_pending());
        if gates.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    }));
    let writing = async {
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        // Other tests of this program open descriptors too, but not hundreds.
        assert!(open < before + 45, "{before} → {open} descriptors");
        for number in (0..50).rev() {
            append(&dir.path().join(format!("{number}.log")), "go\n");
            while !told.borrow().contains(&number) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        std::future::pending::<()>().await;
    };
    let both = async {
        tokio::select! { () = &mut all => {}, () = writing => {} }
    };
    tokio::time::timeout(LONG, both).await.expect("in time");
    assert_eq!(told.take(), (0..50).rev().collect::<Vec<_>>());
}
