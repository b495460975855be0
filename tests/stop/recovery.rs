//! The machinery is killed: supervisor, keepers, both, the client. What they held is seen, taken over and ended.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, is_root, kill, list, number, runs, skip, stat, until};

/// A service whose children have left in every direction, and one that writes.
const STACK: &str = concat!(
    "services:\n",
    "  api:\n",
    "    command: stand-in child --count 3 --session --life 600\n",
    "    ready: { log: 'child [0-9]+' }\n",
    "    stop_grace_period: 1s\n",
    "  daemon:\n",
    "    command: stand-in child --session --double-fork --env-clear --chdir --life 600\n",
    "    ready: { log: 'child [0-9]+' }\n",
    "    stop_grace_period: 1s\n",
    "  talk: { command: stand-in talk --every 20, ready: { log: line 3 } }\n",
);

/// Processes of [`STACK`] when all of it runs.
const COUNT: usize = 4 + 2 + 1;

fn started(plain: bool) -> World {
    let world = if plain { World::plain(STACK) } else { World::new(STACK) };
    world.up();
    world.await_living(COUNT);
    world
}

fn kill_and_wait(pid: i32) {
    kill(pid, Signal::KILL);
    until("it is dead", || !runs(pid));
}

/// What a keeper's ledger knows is at most a quarter of a second old.
fn until_recorded(world: &World) {
    let living = world.living();
    let lives = world.stack_state().join("lives");
    until("all members are recorded", || {
        let records = std::fs::read_dir(&lives).expect("records").flatten();
        let text: String =
            records.map(|entry| std::fs::read_to_string(entry.path()).expect("text")).collect();
        living.keys().all(|pid| text.contains(&format!("\"pid\":{pid},")))
    });
}

fn leaders(world: &World) -> Vec<(i32, u64)> {
    let view = world.ps();
    let pids = list(&view, "services").iter().map(|service| number(&service["pid"]));
    pids.map(|pid| (pid, stat(pid).expect("it lives").start)).collect()
}

#[test]
fn without_a_supervisor_everything_is_seen_and_ended() {
    for plain in [false, true] {
        let world = started(plain);
        let (supervisor, before) = (world.supervisor(), leaders(&world));
        kill_and_wait(supervisor);
        let view = world.ps();
        assert_eq!(view["supervisor"], Value::Null);
        let seen: usize = list(&view, "services").iter().map(|one| list(one, "processes").len()).sum();
        assert_eq!(seen, COUNT, "{view:#}");
        assert_eq!(leaders(&world), before);
        let logs = world.run(&["logs", "talk", "-n", "2"]).expect(0);
        assert_eq!(logs.out.lines().count(), 2, "{}", logs.out);
        world.run(&["status"]);
        let report = world.down(&[], 0);
        world.assert_none_but(&[]);
        assert_eq!(number(&report["ended"]), i32::try_from(COUNT).expect("small"), "{report:#}");
        // The signals are those of an ordinary stop, not of an emergency.
        let talk = list(&report, "services").iter().find(|one| one["name"] == "talk").expect("told");
        assert_eq!(talk["exit"]["signal"], "SIGTERM", "{report:#}");
    }
}

#[test]
fn the_next_up_takes_over_what_runs() {
    let world = started(true);
    let (supervisor, before, living) = (world.supervisor(), leaders(&world), world.living());
    kill_and_wait(supervisor);
    let lines = world.log("talk").len();
    until("the service goes on writing", || world.log("talk").len() > lines);
    let up = world.run(&["up", "--json"]).expect(0).json();
    assert_eq!(leaders(&world), before);
    assert_eq!(world.living(), living, "no process is started twice");
    assert!(list(&up, "services").iter().all(|one| one["outcome"] == "unchanged"), "{up:#}");
    assert_ne!(world.supervisor(), supervisor);
    let lines = world.log("talk").len();
    until("the log goes on", || world.log("talk").len() > lines);
    let text = String::from_utf8(world.log("talk")).expect("text");
    for (index, line) in text.lines().enumerate() {
        assert_eq!(line, format!("line {}", index + 1));
    }
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_service_that_died_without_a_supervisor_is_started_anew() {
    let world = started(false);
    let (supervisor, talk) = (world.supervisor(), world.pid("talk"));
    kill_and_wait(supervisor);
    kill_and_wait(talk);
    world.up();
    let now = world.pid("talk");
    assert!(now != talk && runs(now));
    world.await_living(COUNT);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn without_its_keeper_a_service_is_ended_all_the_same() {
    for plain in [false, true] {
        let world = started(plain);
        if plain {
            until_recorded(&world);
        }
        for service in ["api", "daemon", "talk"] {
            kill_and_wait(world.keeper(service));
        }
        let report = world.down(&[], 0);
        world.assert_none_but(&[]);
        assert_eq!(report["clean"], true);
    }
}

#[test]
fn orphans_of_a_keeper_are_the_supervisors_counted_asked_and_reaped() {
    let world = started(true);
    until_recorded(&world);
    let (supervisor, keeper, before) = (world.supervisor(), world.keeper("api"), world.living());
    kill_and_wait(keeper);
    let processes = || list(&world.service("api"), "processes").clone();
    until("all are counted", || processes().len() == 4);
    let orphans: Vec<i32> = processes().iter().map(|one| number(&one["pid"])).collect();
    assert!(orphans.iter().all(|pid| before.contains_key(pid)), "{orphans:?}");
    let direct = orphans.iter().filter(|pid| stat(**pid).is_some_and(|stat| stat.parent == supervisor));
    assert!(direct.count() >= 1, "the leader at least has become the supervisor's child");
    // The leader ends: its children, each in a session of its own, are handed to the supervisor too.
    let leader = world.pid("api");
    kill_and_wait(leader);
    // It is restarted or given up; what is left of it is asked, ends, and leaves no zombie.
    until("all of them are ended and reaped", || orphans.iter().all(|pid| stat(*pid).is_none()));
    assert!(runs(supervisor));
    assert_eq!(world.down(&[], 0)["clean"], true);
    world.assert_none_but(&[]);
}

#[test]
fn without_supervisor_and_keepers_what_is_recorded_is_ended() {
    for plain in [false, true] {
        let world = started(plain);
        until_recorded_or_caged(&world, plain);
        let keepers = ["api", "daemon", "talk"].map(|service| world.keeper(service));
        kill_and_wait(world.supervisor());
        keepers.into_iter().for_each(kill_and_wait);
        let view = world.ps();
        let seen: usize = list(&view, "services").iter().map(|one| list(one, "processes").len()).sum();
        // Whoever writes into a pipe without a reader ends by itself.
        assert!((COUNT - 1..=COUNT).contains(&seen), "{view:#}");
        let report = world.down(&[], 0);
        world.assert_none_but(&[]);
        assert_eq!(report["clean"], true);
    }
}

fn until_recorded_or_caged(world: &World, plain: bool) {
    if plain {
        until_recorded(world);
    }
}

#[test]
fn an_up_after_the_death_of_both_leaves_no_doubles() {
    let world = started(true);
    until_recorded(&world);
    let keepers = ["api", "daemon", "talk"].map(|service| world.keeper(service));
    kill_and_wait(world.supervisor());
    keepers.into_iter().for_each(kill_and_wait);
    world.up();
    world.await_living(COUNT);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_client_that_is_killed_in_the_middle_leaves_a_stack_that_can_be_ended() {
    let world = World::new(concat!(
        "services:\n",
        "  a: { command: stand-in wait, ready: { log: never } }\n",
        "  b: { command: stand-in wait }\n",
    ));
    let mut up = world.command(&["up"]);
    let mut up = up.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    world.await_living(2);
    up.kill().expect("ours");
    up.wait().expect("ours");
    assert_eq!(world.living().len(), 2);
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true);
    world.assert_none_but(&[]);
}

#[test]
fn a_down_whose_client_is_killed_is_done_all_the_same() {
    let world = World::new(
        "services:\n  deaf: { command: stand-in deaf, stop_grace_period: 1s, ready: { log: deaf } }\n",
    );
    world.up();
    let supervisor = world.supervisor();
    let mut down = world.command(&["down"]);
    let mut down = down.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    until("it is being stopped", || world.service("deaf")["state"] == "stopping");
    down.kill().expect("ours");
    down.wait().expect("ours");
    until("it is done", || world.living().is_empty());
    until("the supervisor has ended", || !runs(supervisor));
}

#[test]
fn a_supervisor_killed_in_the_middle_of_a_stop_is_replaced_by_the_next_down() {
    let world = World::new(concat!(
        "services:\n",
        "  deaf: { command: stand-in deaf, stop_grace_period: 5m, ready: { log: deaf } }\n",
        "  api: { command: stand-in wait }\n",
    ));
    world.up();
    let supervisor = world.supervisor();
    let mut down = world.command(&["down"]);
    let mut down = down.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("it is being stopped", || world.service("deaf")["state"] == "stopping");
    kill_and_wait(supervisor);
    let ended = down.wait().expect("ours");
    assert_ne!(ended.code(), Some(0), "nothing was proven");
    let begun = Instant::now();
    world.down(&["--timeout", "300ms"], 0);
    assert!(begun.elapsed() < Duration::from_secs(60));
    world.assert_none_but(&[]);
}

#[test]
fn a_supervisor_that_hangs_does_not_hold_the_terminal() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    world.up();
    // Held by a debugger: one that was only stopped would be woken.
    let supervisor = world.supervisor().to_string();
    let mut debugger = world.start("debugger", &["hold", "--pid", &supervisor], &world.dir());
    if debugger.line() != "held" {
        return skip("no process may be traced here");
    }
    let mut down = world.command(&["down"]);
    let mut down = down.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let pid = i32::try_from(down.id()).expect("a number");
    // It hears signals by itself from now on: before that, the first one would end it.
    until("it has handlers", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line");
        u64::from_str_radix(caught.trim(), 16).expect("a mask") & (1 << 14 | 1 << 1) == 1 << 14 | 1 << 1
    });
    until("it has ended", || {
        kill(pid, Signal::INT);
        !runs(pid)
    });
    assert_eq!(down.wait().expect("ours").code(), Some(130));
    drop(debugger);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_supervisor_that_is_asked_to_end_ends_its_stack() {
    let world = started(false);
    let supervisor = world.supervisor();
    kill(supervisor, Signal::TERM);
    until("the supervisor has ended", || !runs(supervisor));
    world.assert_none_but(&[]);
}

/// The directories of this stack in the tree of cgroups, where the user may make some.
fn cgroups(world: &World) -> Vec<String> {
    let name = world.stack_state();
    let hash = name.to_str().and_then(|name| name.rsplit_once('-')).expect("a hash").1;
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    let trees =
        mounts.lines().filter(|line| line.contains(" cgroup2 ")).filter_map(|line| line.split(' ').nth(1));
    let mut found = Vec::new();
    for tree in trees {
        let tree = std::path::Path::new(tree).join(format!("devstack-{hash}"));
        let lives = std::fs::read_dir(&tree).into_iter().flatten().flatten().map(|entry| entry.path());
        let dirs = lives.filter(|path| path.is_dir()).chain(tree.is_dir().then(|| tree.clone()));
        found.extend(dirs.map(|path| path.display().to_string()));
    }
    found
}

#[test]
fn no_cgroup_stays_behind_however_the_stack_ended() {
    if !is_root() {
        return skip("a plain user has no cgroups to leave behind");
    }
    let world = started(false);
    if cgroups(&world).is_empty() {
        return skip("no cgroup can be made here");
    }
    let supervisor = world.supervisor();
    world.down(&[], 0);
    until("the supervisor has ended", || !runs(supervisor));
    assert_eq!(cgroups(&world), [""; 0], "after an ordinary stop");

    world.up();
    kill_and_wait(world.supervisor());
    world.down(&[], 0);
    assert_eq!(cgroups(&world), [""; 0], "after a stop without a supervisor");

    world.up();
    let (supervisor, leaders) = (world.supervisor(), leaders(&world));
    kill_and_wait(supervisor);
    let living = world.living();
    for pid in living.into_keys() {
        kill(pid, Signal::KILL);
    }
    until("nothing lives", || leaders.iter().all(|(pid, _)| !runs(*pid)) && world.living().is_empty());
    world.down(&[], 0);
    assert_eq!(cgroups(&world), [""; 0], "after lives that ended while nobody looked");
}

#[test]
fn damaged_state_keeps_nothing_alive() {
    for supervisor_lives in [true, false] {
        let world = started(true);
        until_recorded(&world);
        if !supervisor_lives {
            kill_and_wait(world.supervisor());
        }
        let state = world.stack_state();
        std::fs::write(state.join("stack.json"), "{ \"version\": 1, \"na").expect("written");
        // As after a crash in the middle of a write.
        for entry in std::fs::read_dir(state.join("lives")).expect("records").flatten() {
            let mut text = std::fs::read(entry.path()).expect("a record");
            text.extend_from_slice(b"{\"member\":{\"pid\":17");
            std::fs::write(entry.path(), text).expect("written");
        }
        let report = world.down(&[], 0);
        assert_eq!(report["clean"], true, "{report:#}");
        world.assert_none_but(&[]);
    }
}

#[test]
fn a_newer_state_is_refused_and_not_touched() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    world.up();
    world.down(&[], 0);
    let file = world.stack_state().join("stack.json");
    let newer = r#"{ "version": 99, "anything": true }"#;
    std::fs::write(&file, newer).expect("written");
    let ran = world.run(&["up"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.out);
    assert!(ran.err.contains("newer"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(&file).expect("text"), newer);
    world.assert_none_but(&[]);
    std::fs::remove_file(&file).expect("ours");
}

#[test]
fn state_that_is_removed_under_a_living_supervisor_is_written_anew_by_whoever_looks() {
    let world = started(true);
    let supervisor = world.supervisor();
    for look in [&["ps"][..], &["status"], &["wait"], &["exec", "talk", "true"]] {
        std::fs::remove_dir_all(world.stack_state()).expect("it is there");
        let ran = world.run(look).expect(0);
        assert!(!ran.out.contains("stopped"), "{look:?}: {}", ran.out);
        assert_eq!(world.supervisor(), supervisor);
    }
    let report = world.down(&[], 0);
    world.assert_none_but(&[]);
    assert_eq!(number(&report["ended"]), i32::try_from(COUNT).expect("small"), "{report:#}");
}

#[test]
fn without_a_supervisor_status_and_wait_tell_what_ps_shows() {
    let world = started(true);
    let talk = world.pid("talk");
    kill_and_wait(world.supervisor());
    world.run(&["wait"]).expect(0);
    world.run(&["wait", "talk", "--for", "stopped", "--timeout", "300ms"]).expect(124);
    let status = world.run(&["status"]).expect(5);
    assert!(status.out.contains("degraded") && status.out.contains("nobody watches"), "{}", status.out);
    kill_and_wait(talk);
    world.run(&["wait", "talk", "--for", "stopped"]).expect(0);
    world.run(&["wait", "talk"]).expect(1);
    let status = world.run(&["status", "talk"]).expect(3);
    assert!(status.out.contains("failed") && status.out.contains("it has ended"), "{}", status.out);
    world.down(&[], 0);
    world.assert_none_but(&[]);
    world.run(&["wait"]).expect(3);
}
