//! Command probes: their answer, their surroundings, and that nothing of them is left.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use devstack::health::Ownership;
use devstack::machine::Answer;
use devstack::plan::{CommandPlan, Probe};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::{LONG, ask, bad, context, first, first_in};

fn shell(text: &str) -> Probe {
    Probe::Exec(CommandPlan::Shell(text.to_owned()))
}

fn program(words: &[&str]) -> Probe {
    Probe::Exec(CommandPlan::Exec(words.iter().map(|word| (*word).to_owned()).collect()))
}

#[tokio::test]
async fn the_exit_code_decides_and_the_last_line_is_the_evidence() {
    assert_eq!(first(shell("exit 0"), LONG, Ownership::Own).await, Answer::Good);
    assert_eq!(first(program(&["true"]), LONG, Ownership::Own).await, Answer::Good);
    assert_eq!(first(program(&["false"]), LONG, Ownership::Own).await, bad("exec false", "exit 1"));
    let text = "echo one; printf '\\033[31mtwo\\033[0m\\n\\n' >&2; exit 3";
    assert_eq!(first(shell(text), LONG, Ownership::Own).await, bad(&format!("exec {text}"), "exit 3: two"));
    let text = "kill -KILL $$";
    assert_eq!(
        first(shell(text), LONG, Ownership::Own).await,
        bad("exec kill -KILL $$", "killed by SIGKILL")
    );
    let text = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 1";
    assert_eq!(
        first(shell(text), LONG, Ownership::Own).await,
        bad(&format!("exec {text}"), "exit 1: line 19999")
    );
}

#[tokio::test]
async fn it_has_the_environment_and_directory_of_the_unit() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("here"), "").expect("written");
    let (ctx, _sender) = context(dir.path(), Ownership::Own);
    let text =
        r#"test -e here && test "$COLOUR" = green && test -z "$HOME$CARGO_MANIFEST_DIR" && ! read line"#;
    assert_eq!(first_in(shell(text), LONG, ctx).await, Answer::Good);
}

#[tokio::test]
async fn what_cannot_be_run_is_told() {
    let answer = first(program(&["no-such-program", "x"]), LONG, Ownership::Own).await;
    assert_eq!(answer, bad("exec no-such-program x", "command not found: no-such-program"));
    let answer = first(program(&["/"]), LONG, Ownership::Own).await;
    assert_eq!(answer, bad("exec /", "cannot run /: permission denied"));
    let (ctx, _sender) = context(Path::new("/nonexistent"), Ownership::Own);
    assert_eq!(
        first_in(program(&["true"]), LONG, ctx).await,
        bad("exec true", "its directory /nonexistent is not there")
    );
}

/// A command that tells its own and a child's number through a pipe of the file system, and goes on when it may.
struct Family {
    dir: tempfile::TempDir,
}

impl Family {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        for name in ["pipe", "go"] {
            let path = dir.path().join(name);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                .expect("a named pipe");
        }
        Self { dir }
    }

    fn command(then: &str) -> Probe {
        shell(&format!("{FAMILY}{then}"))
    }

    /// Waits until both run; gives their numbers and handles, and lets them go on.
    async fn born(&self) -> [(Pid, OwnedFd); 2] {
        let (pipe, go) = (self.dir.path().join("pipe"), self.dir.path().join("go"));
        let born = tokio::task::spawn_blocking(move || {
            let text = std::fs::read_to_string(pipe).expect("read");
            let handle = |pid: &str| {
                let pid = Pid::from_raw(pid.parse().expect("a number")).expect("a process");
                (pid, pidfd_open(pid, PidfdFlags::empty()).expect("it lives"))
            };
            let both: Vec<_> = text.split_whitespace().map(handle).collect();
            std::fs::write(go, "go\n").expect("written to the one who waits");
            both.try_into().expect("two")
        });
        born.await.expect("joined")
    }
}

const FAMILY: &str = "sleep 1000 & echo $$ $! > pipe; read go < go; ";

fn assert_ended(who: &str, process: &OwnedFd) {
    let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)).expect("polled");
    assert_eq!(ended, 1, "{who} lives");
}

fn assert_reaped(pid: Pid) {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    assert_eq!(waitid(WaitId::Pid(pid), look).err(), Some(rustix::io::Errno::CHILD), "{pid} was not reaped");
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group() {
    let family = Family::new();
    let (ctx, _sender) = context(family.dir.path(), Ownership::Own);
    let timeout = Duration::from_secs(1);
    let (answer, born) = tokio::join!(first_in(Family::command("wait"), timeout, ctx), family.born());
    assert_eq!(answer, bad(&format!("exec {FAMILY}wait"), "timed out after 1.0s"));
    let [(leader, ended), (_, child_ended)] = born;
    assert_ended("the command", &ended);
    assert_ended("its child", &child_ended);
    assert_reaped(leader);
}

#[tokio::test]
async fn a_dropped_future_leaves_no_process() {
    let family = Family::new();
    let (ctx, _sender) = context(family.dir.path(), Ownership::Own);
    let asking = ask(Family::command("trap '' TERM; wait"), LONG, ctx, |answer| panic!("{answer:?}"));
    let [(leader, ended), (_, child_ended)] = tokio::select! {
        () = asking => panic!("it ended"),
        born = family.born() => born,
    };
    assert_ended("the command", &ended);
    assert_ended("its child", &child_ended);
    assert_reaped(leader);
}

#[tokio::test]
async fn what_it_leaves_behind_neither_delays_it_nor_lives() {
    let family = Family::new();
    let (ctx, _sender) = context(family.dir.path(), Ownership::Own);
    let began = Instant::now();
    // The child holds the output open: an end of the output is not waited for.
    let (answer, born) =
        tokio::join!(first_in(Family::command("echo done; exit 4"), LONG, ctx), family.born());
    assert_eq!(answer, bad(&format!("exec {FAMILY}echo done; exit 4"), "exit 4: done"));
    assert!(began.elapsed() < LONG / 2);
    assert_ended("its child", &born[1].1);
}
