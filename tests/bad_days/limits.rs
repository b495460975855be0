//! What the system lets a process have runs out: descriptors, quota, memory. And what others do to it: a tracer, closed
//! marks, lines that a newer devstack has written.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use devstack::domain::Mark;
use devstack::store::Seal;
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, behind, finish, is_root, kill, runs, skip, until};

/// The same command with a limit of the shell's (`ulimit`) on it.
fn limited(world: &World, limit: &str, args: &[&str]) -> crate::world::Ran {
    finish(behind(&["sh", "-c", &format!("ulimit {limit}; exec \"$@\""), "sh"], &world.command(args)))
}

/// The system's own limit (ENFILE) cannot be lowered for a test alone; it is met at the same calls.
#[test]
fn too_few_descriptors_are_told_and_nothing_is_left_behind() {
    let world = World::plain(concat!(
        "services:\n",
        "  api: { command: stand-in wait }\n",
        "  many: { command: stand-in child --count 3 --session --life 600 }\n",
    ));
    let mut worked = 0;
    for most in [4, 6, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64] {
        let ran = limited(&world, &format!("-n {most}"), &["up"]);
        worked += u32::from(ran.status.code() == Some(0));
        let code = ran.status.code();
        assert!(code.is_some_and(|code| ![70, 101].contains(&code)), "{most}: {:?} {}", ran.status, ran.err);
        // Below ten not even the program and its libraries can be loaded.
        assert!(code == Some(0) || most < 10 || ran.err.contains("error["), "{most}: {}", ran.err);
        let report = world.down(&["--force"], 0);
        assert_eq!(report["clean"], true, "{most}: {report:#}");
        world.assert_none_but(&[]);
    }
    assert!(worked > 0, "no limit was enough");
    // What runs is ended by a command that has few itself.
    world.up();
    world.await_living(5);
    kill(world.supervisor(), Signal::KILL);
    for most in [10, 12, 16, 24] {
        let ran = limited(&world, &format!("-n {most}"), &["down", "--json"]);
        let clean = ran.status.code() == Some(0);
        assert!(!clean || world.living().is_empty(), "{most}: told clean\n{}{}", ran.out, ran.err);
        assert!(ran.status.code().is_some_and(|code| ![70, 101].contains(&code)), "{most}: {}", ran.err);
    }
    assert_eq!(world.down(&[], 0)["clean"], true);
    world.assert_none_but(&[]);
}

/// A limit on the size of files: writes fail as under a quota, and the kernel sends SIGXFSZ besides.
#[test]
fn a_limit_on_files_loses_no_process() {
    let world = World::plain("services:\n  api: { command: stand-in wait }\n");
    for blocks in [0, 1, 2, 4, 16] {
        let ran = limited(&world, &format!("-f {blocks}"), &["up"]);
        assert_ne!(ran.status.code(), Some(70), "{}", ran.err);
        assert_ne!(ran.status.code(), Some(101), "{}", ran.err);
        let report = world.down(&["--force"], 0);
        assert_eq!(report["clean"], true, "{blocks}: {report:#}");
        world.assert_none_but(&[]);
    }
}

/// A record of a line that only a newer devstack knows, sealed as all of its lines are.
#[test]
fn lines_of_a_newer_ledger_are_told_and_hide_nothing() {
    let world = World::plain(concat!(
        "services:\n",
        "  daemon:\n",
        "    command: stand-in child --session --double-fork --env-clear --life 600\n",
        "    ready: { log: 'child [0-9]+' }\n",
    ));
    world.up();
    world.await_living(2);
    let supervisor = world.supervisor();
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    let state = world.stack_state();
    let file = fs::read_dir(state.join("lives")).expect("records").flatten().next().expect("one").path();
    let hash = state.to_str().and_then(|path| path.rsplit_once('-')).expect("a hash").1.to_owned();
    let lines: Vec<Value> = fs::read_to_string(&file)
        .expect("text")
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let intent = lines.iter().find_map(|line| line.get("intent")).expect("an intent");
    let mark = Mark::parse(intent["mark"].as_str().expect("text")).expect("a mark");
    let seal = Seal::of(&mark, &["life", &hash, "daemon", &intent["life"].to_string()]);
    let mut text = Vec::new();
    for line in ["{\"moved\":{\"to\":7}}", "\"paused\"", "{\"member\":{\"pid\":\"many\"}}"] {
        text.extend(seal.close(line.as_bytes().to_vec()));
        text.push(b'\n');
    }
    fs::OpenOptions::new().append(true).open(&file).expect("there").write_all(&text).expect("written");
    let ps = world.run(&["ps"]).expect(0);
    assert!(ps.err.contains("warning") && ps.err.contains("daemon"), "{}", ps.err);
    world.up();
    assert_eq!(world.living().len(), 2, "taken over, not started anew");
    kill(world.supervisor(), Signal::KILL);
    assert_eq!(world.down(&[], 0)["clean"], true);
    world.assert_none_but(&[]);
}

/// A service closes what devstack has given it (its mark and the second end of its output), and all is killed.
#[test]
fn a_service_that_closes_our_descriptors_is_ended_all_the_same() {
    if !Path::new("/bin/bash").exists() {
        return skip("bash is not installed: other shells cannot name such descriptors");
    }
    let world = World::plain("services: {}\n");
    let program = world.program("wait");
    world.write(&format!(
        "services:\n  api:\n    command: ['/bin/bash', '-c', 'exec 998<&- 999<&-; exec {} talk --every 20']\n    \
         ready: {{ log: line 3 }}\n",
        program.display()
    ));
    world.up();
    let (api, keeper, supervisor) = (world.pid("api"), world.keeper("api"), world.supervisor());
    for number in [998, 999] {
        assert!(fs::symlink_metadata(format!("/proc/{api}/fd/{number}")).is_err(), "{number} is open");
    }
    kill(keeper, Signal::KILL);
    until("the supervisor watches it", || {
        world.service("api")["note"].as_str().is_some_and(|note| note.contains("keeper died"))
    });
    assert!(runs(api), "the supervisor holds the other end");
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    assert_eq!(world.down(&[], 0)["clean"], true);
    world.assert_none_but(&[]);
}

/// Somebody looks at a service with a tracer, which stops it at each signal and could swallow it.
#[test]
fn a_traced_service_is_ended_and_its_tracer_is_not() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    world.up();
    let api = world.pid("api");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-p", &api.to_string()]);
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut tracer) = strace.spawn() else {
        world.down(&[], 0);
        return skip("strace is not installed");
    };
    let is_held = || {
        let status = fs::read_to_string(format!("/proc/{api}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("TracerPid:\t{}", tracer.id()))
    };
    for _ in 0..600 {
        if is_held() || !Path::new(&format!("/proc/{}", tracer.id())).exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    if !is_held() {
        let _ = (tracer.kill(), tracer.wait(), world.down(&[], 0));
        return skip("nobody may be traced here");
    }
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    assert!(!runs(api));
    // It ends by itself, as whom it has traced did: not by a signal of ours.
    let ended = tracer.wait().expect("ours");
    assert_ne!(ended.signal(), Some(Signal::KILL.as_raw()), "{ended:?}");
}

/// A memory cgroup of the old kind, with its own oom killer.
struct Narrow(PathBuf);

impl Drop for Narrow {
    fn drop(&mut self) {
        let root = self.0.parent().expect("it has one").join("cgroup.procs");
        for pid in fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(&root, pid);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// Memory runs out for the supervisor alone: the kernel kills it under a stack that runs on.
#[test]
fn a_supervisor_that_the_kernel_kills_for_memory_loses_nothing() {
    let root = Path::new("/sys/fs/cgroup/memory");
    if !is_root() || !root.join("memory.limit_in_bytes").exists() {
        return skip("no memory cgroup of version 1 can be made here");
    }
    let narrow = Narrow(root.join(format!("ds-test-narrow-{}", std::process::id())));
    if fs::create_dir(&narrow.0).is_err() {
        return skip("no memory cgroup of version 1 can be made here");
    }
    let world = World::new(
        "services:\n  api: { command: stand-in wait }\n  web: { command: stand-in talk --every 50 }\n",
    );
    world.up();
    world.await_living(2);
    let (supervisor, before) = (world.supervisor(), [world.pid("api"), world.pid("web")]);
    fs::write(narrow.0.join("memory.limit_in_bytes"), "65536").expect("root may");
    fs::write(narrow.0.join("cgroup.procs"), supervisor.to_string()).expect("root may");
    // What it had is charged elsewhere; each question makes it want some more.
    for _ in 0..200 {
        if !runs(supervisor) {
            break;
        }
        let _ = world.run(&["ps", "--json"]);
    }
    let by_a_look = !runs(supervisor);
    if !by_a_look {
        // A stop wants more than looks do; it may be killed in the middle of it.
        let _ = world.run(&["down", "--json"]);
    }
    let told = fs::read_to_string(narrow.0.join("memory.oom_control")).expect("readable");
    let killed = told.lines().any(|line| line.starts_with("oom_kill ") && line != "oom_kill 0");
    if killed && by_a_look {
        assert!(before.iter().all(|pid| runs(*pid)), "a service was killed with it");
        world.up();
        assert_eq!([world.pid("api"), world.pid("web")], before, "taken over");
    }
    assert_eq!(world.down(&[], 0)["clean"], true);
    world.assert_none_but(&[]);
    if !killed {
        skip("the supervisor needed no more memory");
    }
}
