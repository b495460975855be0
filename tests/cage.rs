//! Who is in a cage, who is signalled, and who is left in peace: with real processes, each started by its test, each
//! judged by a look of the test's own at `/proc`, never by the code under test.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so aloud")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use devstack::cage::{
    Cage, Depth, ENV_LIFE, ENV_STACK_ID, Hearth, MARK_DESCRIPTOR, Member, StackFacts, World, memfd_name,
};
use devstack::cage::{seek, verify};
use devstack::domain::{FoundBy, Life, Mark, Pid, ProcId, Signal, UnitName};
use devstack::sys::cgroup::{Leaf, writable_parent};
use devstack::sys::pidfd::Pidfd;
use devstack::sys::proc;

/// Marks that no other test and no other run has.
fn fresh_mark() -> Mark {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut bytes = [0x7e_u8; 16];
    bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
    bytes[4..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    bytes[8..12].copy_from_slice(&clock.subsec_nanos().to_be_bytes());
    Mark::from_random(bytes)
}

/// A process of a test, with all that it told about its children; ended with the test, whatever happens.
struct Shape {
    child: Child,
    out: BufReader<ChildStdout>,
    id: ProcId,
    others: Vec<ProcId>,
}

impl Shape {
    /// Runs a shell script as the leader of a session of its own.
    fn start(script: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setsid");
        command.args(["/bin/sh", "-c", script]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        // Marks of whoever runs these tests under devstack are not ours.
        command.env_remove(ENV_LIFE).env_remove(ENV_STACK_ID);
        change(&mut command);
        let mut child = command.spawn().expect("setsid and sh exist");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let mut shape = Self { id: identity(child.id()), child, out, others: Vec::new() };
        assert_eq!(shape.line(), "up", "each script says when it is in a session of its own");
        shape
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("its output can be read");
        line.trim().to_owned()
    }

    /// The process whose number the script tells next.
    fn told(&mut self) -> ProcId {
        let pid: u32 = self.line().parse().expect("a process number");
        let id = identity(pid);
        self.others.push(id);
        id
    }
}

impl Drop for Shape {
    fn drop(&mut self) {
        // The leader first: it would go on with its script when a child ends.
        for id in [&self.id].into_iter().chain(&self.others) {
            if let Ok(handle) = Pidfd::open(*id) {
                let _ = handle.send(Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

fn identity(pid: u32) -> ProcId {
    let pid = i32::try_from(pid).ok().and_then(Pid::new).expect("a process number");
    proc::identify(pid).expect("it runs")
}

/// The test's own judge: does this process run, zombies aside?
fn runs(id: ProcId) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{}/stat", id.pid)) else { return false };
    let rest = text.rsplit(") ").next().expect("a name in brackets");
    let fields: Vec<&str> = rest.split(' ').collect();
    fields[0] != "Z" && fields[0] != "X" && fields[19] == id.start.to_string()
}

/// Waits for the end of a process that was signalled: by the kernel's own word, with a limit that only a bug reaches.
fn await_end(id: ProcId) {
    if let Ok(handle) = Pidfd::open(id) {
        let mut fds = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        let ready = rustix::event::poll(&mut fds, Some(&limit)).expect("it can be awaited");
        assert!(ready > 0, "{id} lives on");
    }
    assert!(!runs(id), "{id} lives on");
}

/// Waits for a fact that no descriptor tells, with a limit that only a bug reaches.
fn await_fact(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// `env` and `setsid` become the program that they were given: waits until it is there.
fn await_program(id: ProcId, name: &str) {
    let comm = || fs::read_to_string(format!("/proc/{}/comm", id.pid)).unwrap_or_default();
    await_fact(name, || comm().trim() == name);
}

fn cage_of(leader: ProcId) -> Cage {
    let unit = UnitName::parse("api").expect("a name");
    Cage::new(unit, Life(1), fresh_mark(), fresh_mark(), None, leader)
}

fn full(cage: &Cage) -> Vec<Member> {
    cage.census(&mut World::new(), Depth::Full)
}

fn why(members: &[Member], id: ProcId) -> Option<FoundBy> {
    members.iter().find(|member| member.id == id).map(|member| member.found_by)
}

const SLEEPER: &str = "sleep 607.1";

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
        eprintln!(
            "SKIPPED a_named_memfd_marks_what_lost_its_environment: only bash opens a descriptor this high"
        );
        return;
    }
    let mut shape = Shape::start("exec bash -c \"$SCRIPT\"", |command| {
        command.env("SCRIPT", script);
    });
    let orphan = shape.told();
    await_program(orphan, "sleep");
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
    let script = "trap 'echo term' TERM; trap 'echo end; exit' INT; echo up; \
                  sh -c 'kill -STOP $$' & echo $!; while :; do wait; done";
    let mut shape = Shape::start(script, |_| {});
    let stopped = shape.told();
    let state = || proc::stat(stopped.pid.get()).map(|stat| stat.state);
    await_fact("it stops itself", || state() == Some(proc::RunState::Stopped));
    let mut cage = cage_of(shape.id);
    let heard = cage.ask(Signal::TERM);
    assert!(heard.refused.is_empty());
    assert_eq!(heard.heard, 2);
    await_end(stopped);
    assert_eq!(shape.line(), "term");
    assert_eq!(cage.ask(Signal::TERM).heard, 0);
    cage.forget_asked();
    assert_eq!(cage.ask(Signal::INT).heard, 1);
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
    let outcome = cage.ask(Signal::TERM);
    assert_eq!(outcome.refused, [caller]);
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
    assert_eq!(cage.ask(Signal::TERM).heard, 3);
    assert!(runs(shape.id), "it is deaf");
    let outcome = cage.kill();
    assert!(outcome.survivors.is_empty(), "{outcome:?}");
    assert!(outcome.forced.iter().any(|(id, command)| *id == shape.id && command.contains("607.1")));
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
    for (id, _) in &outcome.forced {
        await_end(*id);
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
    assert_eq!(cage.ask(Signal::TERM).refused, [nested]);
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
    assert!(cage.ask(Signal::TERM).refused.contains(&nested));
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
fn a_cgroup_holds_what_left_everything_else() {
    let Some(parent) = writable_parent() else {
        eprintln!("SKIPPED a_cgroup_holds_what_left_everything_else: no cgroup v2 can be written here");
        return;
    };
    let leaf = Leaf::create(&parent, &format!("devstack-test-cage-{}", std::process::id())).expect("a leaf");
    let events = leaf.events().expect("it can be watched");
    let procs = leaf.path().join("cgroup.procs");
    let script = format!(
        "echo $$ > '{}'; echo up; (env -i setsid {SLEEPER} & echo $!); exec {SLEEPER}",
        procs.display()
    );
    let mut shape = Shape::start(&script, |_| {});
    let orphan = shape.told();
    await_program(orphan, "sleep");
    let canary = Shape::start(&format!("echo up; exec {SLEEPER}"), |_| {});
    let mut cage = cage_of(shape.id);
    cage.cgroup = Some(leaf.clone());
    assert_eq!(leaf.populated(), Some(true));
    assert_eq!(why(&full(&cage), orphan), Some(FoundBy::Cgroup));
    let outcome = cage.kill();
    assert!(outcome.survivors.is_empty());
    assert_eq!(outcome.forced.len(), 2);
    await_end(orphan);
    await_end(shape.id);
    while leaf.populated() == Some(true) {
        let mut fds = [rustix::event::PollFd::new(&events, rustix::event::PollFlags::PRI)];
        let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        assert!(rustix::event::poll(&mut fds, Some(&limit)).expect("pollable") > 0);
    }
    leaf.remove().expect("it is empty");
    assert!(runs(canary.id));
}

#[test]
fn a_program_whose_first_thread_ended_is_alive_and_marked() {
    let code = "import threading,time,ctypes\n\
                threading.Thread(target=time.sleep,args=(60.71,)).start()\n\
                print('thread',flush=True)\nctypes.CDLL(None).syscall(60,0)";
    if !cfg!(target_arch = "x86_64") || Command::new("python3").arg("--version").output().is_err() {
        eprintln!(
            "SKIPPED a_program_whose_first_thread_ended_is_alive_and_marked: python3 on x86-64 is needed"
        );
        return;
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
    assert!(outcome.forced[0].1.contains("python3"), "{outcome:?}");
    let mut rest = String::new();
    shape.out.read_to_string(&mut rest).expect("its output ends with it");
    await_fact("it is gone", || cage.is_empty());
}

fn facts(dir: &Path) -> StackFacts {
    StackFacts {
        stack: fresh_mark(),
        dir: dir.to_owned(),
        lives: Vec::new(),
        hearth: None,
        spared: BTreeSet::new(),
        patterns: Vec::new(),
        user_wide: false,
    }
}

#[test]
fn a_pattern_sweeps_this_checkout_and_nothing_else() {
    let root = tempfile::tempdir().expect("a directory");
    // Blanks and other scripts in the path, as people have them.
    let (ours, theirs) = (root.path().join("mein stäck"), root.path().join("mein stäck 2"));
    let nested = ours.join("trees/b");
    for dir in [&ours, &theirs, &nested] {
        fs::create_dir_all(dir).expect("writable");
        fs::write(dir.join("devstack.yaml"), "services: {}\n").expect("writable");
    }
    std::os::unix::fs::symlink("/bin/sleep", ours.join("vim")).expect("links exist");
    // A number of this run only: other runs of these tests have others.
    let seconds = format!("6{}.25", std::process::id());
    let start = |dir: &Path, script: &str| {
        Shape::start(script, |command| {
            command.current_dir(dir);
        })
    };
    let sleeper = format!("echo up; exec sleep {seconds}");
    let (here, second, inner) = (start(&ours, &sleeper), start(&theirs, &sleeper), start(&nested, &sleeper));
    let editor = start(&ours, &format!("echo up; exec ./vim {seconds}"));
    let elsewhere = start(root.path(), &sleeper);
    // It works in `/` by the time it is seen; its child has nothing in common with the pattern.
    let mut parent =
        start(&ours, &format!("cd /; echo up; env -i setsid sleep 607.3 & echo $!; : {seconds}; wait"));
    let child = parent.told();
    let foreign = fresh_mark();
    let mut other = start(
        &ours,
        &format!("echo up; {ENV_STACK_ID}={} sleep {seconds} & echo $!; exec sleep 607.4", foreign.as_str()),
    );
    let other_stack = other.told();
    for id in [here.id, second.id, inner.id, other_stack, elsewhere.id, other.id, child] {
        await_program(id, "sleep");
    }
    await_program(editor.id, "vim");
    let mut facts = facts(&ours);
    facts.patterns = vec![regex::Regex::new(&regex::escape(&seconds)).expect("a pattern")];
    let mut sought = seek(&facts);
    let strays: BTreeSet<ProcId> = sought.strays.iter().map(|stray| stray.process).collect();
    assert_eq!(strays, BTreeSet::from([here.id]), "{:?}", sought.strays);
    let left: BTreeSet<ProcId> = sought.left_alone.iter().map(|one| one.process).collect();
    let expected = [second.id, inner.id, editor.id, elsewhere.id, other_stack, parent.id];
    assert_eq!(left, BTreeSet::from(expected), "{:?}", sought.left_alone);
    let told = |id: ProcId, text: &str| {
        let evidence = &sought.left_alone.iter().find(|one| one.process == id).expect("left alone").evidence;
        assert!(evidence.contains(text), "{evidence}");
    };
    told(second.id, "another stack");
    told(inner.id, "another stack");
    told(editor.id, "editor");
    told(elsewhere.id, "no evidence");
    assert_eq!(sought.prey.ask(Signal::TERM).heard, 1);
    await_end(here.id);
    assert!(sought.prey.is_empty());
    // Asked for loudly, the directory does not matter; other stacks still do, and a swept tree goes as a whole.
    facts.user_wide = true;
    let mut sought = seek(&facts);
    let strays: BTreeSet<ProcId> = sought.strays.iter().map(|stray| stray.process).collect();
    assert_eq!(strays, BTreeSet::from([elsewhere.id, parent.id, child]), "{:?}", sought.strays);
    let outcome = sought.prey.kill();
    assert!(outcome.survivors.is_empty());
    for id in [elsewhere.id, parent.id, child] {
        await_end(id);
    }
    for id in [second.id, inner.id, editor.id, other_stack, other.id] {
        assert!(runs(id));
    }
}

#[test]
fn the_secret_of_a_stack_finds_lives_that_no_ledger_knows() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut facts = facts(dir.path());
    let secret = facts.stack.clone();
    let stray = Shape::start(&format!("echo up; exec {SLEEPER}"), |command| {
        command.env(ENV_STACK_ID, secret.as_str()).env(ENV_LIFE, fresh_mark().as_str());
    });
    // One that lives under a living keeper is no stray: its own life looks after it.
    let script = format!("echo up; {ENV_STACK_ID}={} {SLEEPER} & echo $!; wait", secret.as_str());
    let mut keeper = Shape::start(&script, |_| {});
    let kept = keeper.told();
    await_program(kept, "sleep");
    let unit = UnitName::parse("api").expect("a name");
    facts.lives.push(Cage::new(unit, Life(3), fresh_mark(), secret, Some(keeper.id), kept));
    let sought = seek(&facts);
    let found: Vec<ProcId> = sought.strays.iter().map(|one| one.process).collect();
    assert_eq!(found, [stray.id]);
    let left: BTreeSet<ProcId> = verify(&facts, None, &[]).0.iter().map(|one| one.process).collect();
    assert_eq!(left, BTreeSet::from([stray.id, kept]));
    assert!(verify(&facts, Some(&[]), &[]).0.is_empty(), "no unit was asked about");
}

#[test]
fn orphans_of_a_dead_keeper_are_found_at_the_supervisor() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = format!("echo up; env -i setsid {SLEEPER} & echo $!; {SLEEPER} & echo $!; wait");
    let mut supervisor = Shape::start(&script, |_| {});
    let (orphan, keeper) = (supervisor.told(), supervisor.told());
    let mut facts = facts(dir.path());
    facts.hearth = Some(Hearth { supervisor: supervisor.id, own: BTreeSet::from([keeper]) });
    await_program(orphan, "sleep");
    let mut sought = seek(&facts);
    assert_eq!(sought.strays.iter().map(|one| one.process).collect::<Vec<_>>(), [orphan]);
    let outcome = sought.prey.kill();
    assert!(outcome.survivors.is_empty());
    await_end(orphan);
    assert!(runs(keeper) && runs(supervisor.id));
}

#[test]
fn the_verdict_names_who_is_left_and_who_holds_a_port() {
    let dir = tempfile::tempdir().expect("a directory");
    let shape = Shape::start(&format!("echo up; exec {SLEEPER}"), |_| {});
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    let port = socket.local_addr().expect("it is bound").port();
    let mut facts = facts(dir.path());
    let mut cage = cage_of(shape.id);
    cage.stack = facts.stack.clone();
    facts.lives.push(cage.clone());
    let unit = cage.unit.clone();
    let (survivors, ports) = verify(&facts, Some(std::slice::from_ref(&unit)), &[port]);
    assert_eq!(survivors.len(), 1);
    assert_eq!((survivors[0].process, survivors[0].unit.as_ref()), (shape.id, Some(&unit)));
    assert!(!ports[0].free);
    assert_eq!(ports[0].owner.as_ref().and_then(|owner| owner.process), proc::own_id());
    drop(socket);
    let _ = cage.kill();
    await_end(shape.id);
    let (survivors, ports) = verify(&facts, None, &[port]);
    assert!(survivors.is_empty() && ports[0].free);
}
