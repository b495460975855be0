//! Who is in a cage, who is signalled, and who is left in peace: with real processes, each started by its test, each
//! judged by a look of the test's own at `/proc`, never by the code under test.
#![cfg(target_os = "linux")]

mod leaf;
mod shape;
mod sweep;

use std::fs;
use std::io::Read as _;
use std::process::Command;

use devstack::cage::{Depth, ENV_LIFE, ENV_STACK_ID, MARK_DESCRIPTOR, Whom, World, memfd_name};
use devstack::domain::{FoundBy, Pid, ProcId, Signal};
use devstack::sys::proc;

use shape::{
    SLEEPER, Shape, await_end, await_fact, await_orphan, await_program, cage_of, fresh_mark, full, identity,
    processes, runs, why,
};

#[test]
fn a_tree_is_counted_the_cheap_way_and_the_thorough_way() {
    let mut shape =
        Shape::start(&format!("echo up; {SLEEPER} & echo $!; setsid {SLEEPER} & echo $!; wait"), |_| {});
    let (child, own_session) = (shape.told(), shape.told());
    let canary = Shape::start(&format!("echo up; exec {SLEEPER}"), |_| {});
    let cage = cage_of(shape.id);
    for members in [cage.census(&mut World::new(), Depth::Tree), full(&cage)] {
        assert_eq!(why(&members, shape.id), Some(FoundBy::Leader));
        assert_eq!(why(&members, child), Some(FoundBy::Parentage));
        assert_eq!(why(&members, own_session), Some(FoundBy::Parentage));
        assert_eq!(why(&members, canary.id), None);
        assert_eq!(members.len(), 3);
    }
    let view = full(&cage)[0].view();
    assert!(view.memory_bytes > 0 && view.command.contains("607.1") && view.cpu_percent >= 0.0);
}

#[test]
fn what_left_the_tree_is_known_by_ledger_session_and_mark() {
    // The inner shells end: their sleepers are orphans, each with another trace left.
    let script = format!(
        "echo up; (env -i setsid {SLEEPER} & echo $!); (env -i {SLEEPER} & echo $!); \
         (setsid {SLEEPER} & echo $!); exec {SLEEPER}"
    );
    let mark = fresh_mark();
    let mut shape = Shape::start(&script, |command| {
        command.env(ENV_LIFE, mark.as_str());
    });
    let (bare, in_session, marked) = (shape.told(), shape.told(), shape.told());
    for id in [bare, in_session, marked] {
        await_program(id, "sleep");
        await_orphan(id, shape.id);
    }
    let mut cage = cage_of(shape.id);
    cage.mark = mark;
    let members = full(&cage);
    assert_eq!(why(&members, bare), None, "no trace is left of this one");
    assert_eq!(why(&members, in_session), Some(FoundBy::Session));
    assert_eq!(why(&members, marked), Some(FoundBy::Mark));
    cage.ledger.insert(bare);
    assert_eq!(why(&full(&cage), bare), Some(FoundBy::Ledger));
    // Another process with the same number is nobody of ours.
    cage.ledger.remove(&bare);
    cage.ledger.insert(ProcId { start: bare.start + 1, ..bare });
    assert_eq!(why(&full(&cage), bare), None);
    // Without a living member the session is a plain number again.
    let mut elsewhere = cage_of(ProcId { start: shape.id.start - 1, ..shape.id });
    assert!(full(&elsewhere).is_empty() && elsewhere.is_empty());
    elsewhere.ledger.insert(bare);
    assert!(!elsewhere.is_empty());
    let outcome = cage.kill();
    assert!(outcome.survivors.is_empty());
    for id in [shape.id, in_session, marked] {
        await_end(id);
    }
    assert!(runs(bare), "what is not proven is not signalled");
}

#[test]
fn a_copied_mark_does_not_make_a_users_session_ours() {
    let mark = fresh_mark();
    let script =
        format!("echo up; {ENV_LIFE}={} {SLEEPER} & echo $!; {SLEEPER} & echo $!; wait", mark.as_str());
    let mut terminal = Shape::start(&script, |_| {});
    let (marked, bystander) = (terminal.told(), terminal.told());
    await_program(marked, "sleep");
    let mut cage = cage_of(ProcId { start: terminal.id.start - 1, ..terminal.id });
    cage.mark = mark;
    let members = full(&cage);
    assert_eq!(why(&members, marked), Some(FoundBy::Mark));
    assert_eq!(why(&members, bystander), None);
    assert_eq!(why(&members, terminal.id), None);
}

#[test]
fn a_named_memfd_marks_what_lost_its_environment() {
    let (life, stack) = (fresh_mark(), fresh_mark());
    let name = memfd_name(&stack, &life);
    let memfd = rustix::fs::memfd_create(&name, rustix::fs::MemfdFlags::CLOEXEC).expect("memfds exist");
    let number = std::os::fd::AsRawFd::as_raw_fd(&memfd);
    let own = std::process::id();
    let script = format!(
        "exec {MARK_DESCRIPTOR}</proc/{own}/fd/{number}; echo up; (env -i setsid {SLEEPER} & echo $!); exec sleep 607.2"
    );
    if Command::new("bash").arg("--version").output().is_err() {
        return skip("only bash opens a descriptor this high");
    }
    let mut shape = Shape::start("exec bash -c \"$SCRIPT\"", |command| {
        command.env("SCRIPT", script);
    });
    let orphan = shape.told();
    await_program(orphan, "sleep");
    await_orphan(orphan, shape.id);
    let mut cage = cage_of(shape.id);
    (cage.mark, cage.stack) = (life, stack);
    assert_eq!(why(&full(&cage), orphan), Some(FoundBy::Mark));
    // The mark of another life is not ours.
    cage.mark = fresh_mark();
    assert_eq!(why(&full(&cage), orphan), None);
}

#[test]
fn each_member_is_asked_once_and_the_stopped_are_woken() {
    // The leader only counts what it hears: no other process comes or goes.
    // Not SIGINT: a shell that was started in the background ignores it for ever, and so do all below it.
    let script = "trap 'echo term' TERM; trap 'echo end; exit' USR1; echo up; \
                  sh -c 'kill -STOP $$' & echo $!; while :; do wait; done";
    let mut shape = Shape::start(script, |_| {});
    let stopped = shape.told();
    let state = || proc::stat(stopped.pid.get()).map(|stat| stat.state);
    await_fact("it stops itself", || state() == Some(proc::RunState::Stopped));
    let mut cage = cage_of(shape.id);
    let heard = cage.ask(&mut World::new(), Whom::All, Signal::TERM);
    assert!(heard.refused.is_empty());
    assert_eq!(heard.heard.len(), 2);
    await_end(stopped);
    assert_eq!(shape.line(), "term");
    assert_eq!(cage.ask(&mut World::new(), Whom::All, Signal::TERM).heard.len(), 0);
    cage.forget_asked();
    assert_eq!(cage.ask(&mut World::new(), Whom::All, Signal::from_number(libc::SIGUSR1)).heard.len(), 1);
    assert_eq!(shape.line(), "end", "it heard TERM twice");
    await_end(shape.id);
}

#[test]
fn who_asked_is_spared_even_inside_the_group() {
    let script = format!("echo up; {SLEEPER} & echo $!; {SLEEPER} & echo $!; wait");
    let mut shape = Shape::start(&script, |_| {});
    let (caller, other) = (shape.told(), shape.told());
    let mut cage = cage_of(shape.id);
    cage.spared.insert(caller);
    let outcome = cage.ask(&mut World::new(), Whom::All, Signal::TERM);
    assert_eq!(processes(&outcome.refused), [caller]);
    await_end(other);
    await_end(shape.id);
    cage.ledger.insert(caller);
    let outcome = cage.kill();
    assert!(runs(caller));
    assert_eq!(outcome.survivors.len(), 1);
    assert_eq!(outcome.survivors[0].process, caller);
    assert_eq!(outcome.survivors[0].reason, "devstack was called from it");
    assert!(!cage.is_empty());
}

#[test]
fn the_deaf_are_killed_and_look_alikes_are_not() {
    let script = format!("trap '' TERM; echo up; {SLEEPER} & echo $!; setsid {SLEEPER} & echo $!; wait");
    let mut shape = Shape::start(&script, |_| {});
    let children = [shape.told(), shape.told()];
    let mut canary = Shape::start(&script, |_| {});
    let canaries = [canary.told(), canary.told(), canary.id];
    let mut cage = cage_of(shape.id);
    assert_eq!(cage.ask(&mut World::new(), Whom::All, Signal::TERM).heard.len(), 3);
    assert!(runs(shape.id), "it is deaf");
    let outcome = cage.kill();
    assert!(outcome.survivors.is_empty(), "{outcome:?}");
    assert!(outcome.forced.iter().any(|one| one.process == shape.id && one.command.contains("607.1")));
    for id in children.into_iter().chain([shape.id]) {
        await_end(id);
    }
    assert!(cage.is_empty());
    for id in canaries {
        assert!(runs(id), "a look-alike was signalled");
    }
}

#[test]
fn a_chain_that_opens_a_new_session_at_each_hop_is_ended() {
    // Capped: 60 hops at most, each with one sleeper of six seconds; its mark is the judge's way to see it.
    let dir = tempfile::tempdir().expect("a directory");
    let hop = dir.path().join("hop");
    let text = "[ $1 -gt 0 ] || exit 0\nsleep 6.071 &\nsetsid /bin/sh \"$0\" $(($1 - 1)) &\nwait\n";
    fs::write(&hop, text).expect("writable");
    let mark = fresh_mark();
    let script = format!("echo up; exec /bin/sh '{}' 60", hop.display());
    let shape = Shape::start(&script, |command| {
        command.env(ENV_LIFE, mark.as_str());
    });
    let mut cage = cage_of(shape.id);
    cage.mark = mark.clone();
    let outcome = cage.kill();
    assert!(outcome.survivors.is_empty());
    for one in &outcome.forced {
        await_end(one.process);
    }
    let needle = format!("{ENV_LIFE}={}", mark.as_str());
    let living: Vec<ProcId> = bearing(&needle).into_iter().filter(|id| runs(*id)).collect();
    assert!(living.is_empty(), "{living:?}");
    assert!(cage.is_empty());
}

/// The judge's own search: processes whose environment holds a text.
fn bearing(needle: &str) -> Vec<ProcId> {
    let entries = fs::read_dir("/proc").expect("a process table").flatten();
    let pids =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).filter_map(Pid::new);
    pids.filter(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|entry| entry == needle.as_bytes())
    })
    .filter_map(proc::identify)
    .collect()
}

#[test]
fn another_stacks_process_is_never_signalled() {
    let other = fresh_mark();
    let script = format!("echo up; {ENV_STACK_ID}={} {SLEEPER} & echo $!; wait", other.as_str());
    let mut shape = Shape::start(&script, |_| {});
    let nested = shape.told();
    await_program(nested, "sleep");
    let mut cage = cage_of(shape.id);
    cage.ledger.insert(nested);
    assert_eq!(processes(&cage.ask(&mut World::new(), Whom::All, Signal::TERM).refused), [nested]);
    await_end(shape.id);
    let outcome = cage.kill();
    assert!(runs(nested));
    assert_eq!(outcome.survivors[0].reason, "it belongs to another devstack stack");
}

#[test]
fn a_keeper_is_no_member_and_ends_last() {
    // A stand-in for the keeper: a program of that name, with one child that is deaf and one of its own kind.
    let dir = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink("/bin/sh", dir.path().join("devstack")).expect("links exist");
    let made = Command::new("mkfifo").arg(dir.path().join("never")).status().expect("mkfifo exists");
    assert!(made.success());
    let keeper = "echo up; sh -c 'trap \"\" TERM; echo ready; sleep 607.5' & echo $!; \
                  ./devstack __nested & echo $!; wait; read x <never";
    fs::write(dir.path().join("__keeper"), keeper).expect("writable");
    fs::write(dir.path().join("__nested"), "read x <never").expect("writable");
    let mut keeper = Shape::start("exec ./devstack __keeper", |command| {
        command.current_dir(dir.path());
    });
    let mut lines = [keeper.line(), keeper.line(), keeper.line()].to_vec();
    lines.retain(|line| line != "ready");
    let ids: Vec<ProcId> = lines.iter().map(|line| identity(line.parse().expect("a number"))).collect();
    keeper.others.extend(&ids);
    let (leader, nested) = (ids[0], ids[1]);
    let words = || fs::read_to_string(format!("/proc/{}/cmdline", nested.pid)).unwrap_or_default();
    await_fact("the nested one runs", || words().contains("__nested"));
    let mut cage = cage_of(leader);
    cage.keeper = Some(keeper.id);
    assert!(cage.is_kept());
    assert!(processes(&cage.ask(&mut World::new(), Whom::All, Signal::TERM).refused).contains(&nested));
    let outcome = cage.kill();
    await_end(leader);
    assert!(runs(keeper.id) && runs(nested), "machinery is never signalled");
    assert_eq!(outcome.survivors.len(), 1);
    assert_eq!(outcome.survivors[0].reason, "it is a keeper or supervisor of devstack");
    cage.end_keeper().expect("it may be ended when asked for");
    await_end(keeper.id);
    assert!(!cage.is_kept());
    cage.end_keeper().expect("a second time is fine");
}

#[test]
fn a_program_whose_first_thread_ended_is_alive_and_marked() {
    let code = "import threading,time,ctypes\n\
                threading.Thread(target=time.sleep,args=(60.71,)).start()\n\
                print('thread',flush=True)\nctypes.CDLL(None).syscall(60,0)";
    if !cfg!(target_arch = "x86_64") || Command::new("python3").arg("--version").output().is_err() {
        return skip("python3 on x86-64 is needed");
    }
    let mark = fresh_mark();
    let mut shape = Shape::start("echo up; exec python3 -c \"$CODE\"", |command| {
        command.env("CODE", code).env(ENV_LIFE, mark.as_str());
    });
    assert_eq!(shape.line(), "thread");
    let state = || proc::stat(shape.id.pid.get()).map(|stat| stat.state);
    await_fact("its first thread ends", || state() == Some(proc::RunState::Zombie));
    assert!(proc::is_alive(shape.id));
    let mut cage = cage_of(ProcId { start: shape.id.start - 1, ..shape.id });
    cage.mark = mark;
    assert_eq!(why(&full(&cage), shape.id), Some(FoundBy::Mark));
    let outcome = cage.kill();
    assert_eq!(outcome.forced.len(), 1);
    assert!(outcome.forced[0].command.contains("python3"), "{outcome:?}");
    let mut rest = String::new();
    shape.out.read_to_string(&mut rest).expect("its output ends with it");
    await_fact("it is gone", || cage.is_empty());
}

/// Says loudly that a test did not run: past the test runner, which keeps what a passing test prints to itself.
fn skip(why: &str) {
    use std::io::Write as _;
    let thread = std::thread::current();
    let text = format!("\n!!!! SKIPPED: {}: {why}\n", thread.name().unwrap_or("a test"));
    let _ = std::io::stderr().write_all(text.as_bytes());
}
