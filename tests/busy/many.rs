//! Very many: services, processes of one service, links of a chain. `FULL=1` tries the largest sizes.

use std::fmt::Write as _;

use crate::limits::{Room, limited};
use crate::world::{World, is_root, list, number, runs, skip, until};

fn is_full() -> bool {
    std::env::var_os("FULL").is_some_and(|value| value == "1")
}

fn services(count: usize) -> String {
    let mut manifest = "services:\n".to_owned();
    for at in 0..count {
        let _ = writeln!(manifest, "  s{at}: {{ command: stand-in wait }}");
    }
    manifest
}

/// The highest number of descriptors that a process had.
fn soft_limit(pid: i32) -> u64 {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn very_many_services_come_up_are_seen_and_go() {
    let count = if is_full() { 1000 } else { 150 };
    for plain in [false, true] {
        let manifest = services(count);
        let world = if plain { World::plain(&manifest) } else { World::new(&manifest) };
        // As in many a shell: fewer descriptors are allowed than are needed, though more may be asked for.
        let soft = if is_full() { 1024 } else { 256 };
        let up = limited(&world, &format!("--nofile={soft}:8192"), &["up", "--json"]).expect(0);
        assert_eq!(up.json()["ready"], true);
        assert_eq!(world.living().len(), count);
        let looked = world.run(&["ps", "--json"]).expect(0);
        let view = looked.json();
        assert_eq!(list(&view, "services").len(), count);
        assert!(list(&view, "services").iter().all(|one| list(one, "processes").len() == 1));
        let supervisor = number(&view["supervisor"]);
        assert!(soft_limit(supervisor) > soft, "it took what it needed");
        // The services do not: some programs go through all numbers that are allowed.
        assert_eq!(soft_limit(number(&list(&view, "services")[count - 1]["pid"])), soft);
        let status = world.run(&["status"]).expect(0);
        assert!(status.out.contains(&format!("{count} of {count} ready")), "{}", status.out);
        let down = world.run(&["down", "--json"]).expect(0);
        let report = down.json();
        assert_eq!(report["clean"], true);
        assert_eq!(number(&report["ended"]), i32::try_from(count).expect("small"));
        world.assert_none_but(&[]);
        until("the supervisor has ended", || !runs(supervisor));
        tell(&format!(
            "{count} services: up {:?}, ps {:?}, status {:?}, down {:?}",
            up.took, looked.took, status.took, down.took
        ));
    }
}

#[test]
fn a_service_of_very_many_processes_is_seen_and_ended() {
    // A crowd needs a bound: the cgroup's, or, for a plain user, the number that the stand-in itself allows.
    let count = if is_full() { 5000 } else { 600 };
    for (plain, deaf) in [(false, false), (true, false), (false, true), (true, true)] {
        let deaf_to = if deaf { "--no-term" } else { "" };
        let manifest = format!(
            "services:\n  crowd:\n    command: stand-in crowd --count {count} {deaf_to} --life 900\n    \
             ready: {{ log: crowd of }}\n    stop_grace_period: 1s\n    start_timeout: 10m\n"
        );
        let world = if plain { World::plain(&manifest) } else { World::new(&manifest) };
        let room = is_root().then(|| Room::with(count + 50)).flatten();
        let up = match &room {
            Some(room) => room.run(&world, &["up"]),
            None => world.run(&["up"]),
        };
        up.expect(0);
        let looked = world.run(&["ps", "--json"]).expect(0);
        let view = looked.json();
        let count = usize::try_from(count).expect("small");
        assert_eq!(list(&list(&view, "services")[0], "processes").len(), count);
        let down = world.run(&["down", "--json"]).expect(0);
        let report = down.json();
        assert_eq!(report["clean"], true);
        assert_eq!(number(&report["ended"]), i32::try_from(count).expect("small"));
        assert_eq!(number(&report["forced"]), if deaf { i32::try_from(count).expect("small") } else { 0 });
        world.assert_none_but(&[]);
        tell(&format!(
            "{count} processes (deaf: {deaf}, plain: {plain}): ps {:?}, down {:?}",
            looked.took, down.took
        ));
    }
}

#[test]
fn a_long_chain_comes_up_in_order_and_goes_in_reverse() {
    let length = if is_full() { 100 } else { 20 };
    let mut manifest = "services:\n  s0: { command: stand-in wait }\n".to_owned();
    for at in 1..length {
        let _ = writeln!(manifest, "  s{at}: {{ command: stand-in wait, depends_on: [s{}] }}", at - 1);
    }
    let world = World::new(&manifest);
    world.up();
    let pids: Vec<i32> = (0..length).map(|at| world.pid(&format!("s{at}"))).collect();
    let starts: Vec<u64> = pids.iter().map(|pid| crate::world::stat(*pid).expect("it lives").start).collect();
    assert!(starts.is_sorted(), "{starts:?}");
    let report = world.down(&[], 0);
    let order: Vec<&str> =
        list(&report, "services").iter().map(|one| one["name"].as_str().expect("a name")).collect();
    let reverse: Vec<String> = (0..length).rev().map(|at| format!("s{at}")).collect();
    assert_eq!(order, reverse);
    world.assert_none_but(&[]);
}

#[test]
fn very_many_sessions_of_one_service_are_its_own() {
    let count = if is_full() { 900 } else { 150 };
    for plain in [false, true] {
        let manifest = format!(
            "services:\n  api: {{ command: stand-in child --count {count} --session --life 900, \
             ready: {{ log: 'child [0-9]+' }} }}\n"
        );
        let world = if plain { World::plain(&manifest) } else { World::new(&manifest) };
        world.up();
        world.await_living(count + 1);
        let report = world.down(&[], 0);
        assert_eq!(report["clean"], true);
        assert_eq!(number(&report["ended"]), i32::try_from(count + 1).expect("small"));
        world.assert_none_but(&[]);
    }
}

/// Figures are for those who read along; no test hangs on them.
fn tell(text: &str) {
    if is_full() {
        skip(text);
    }
}
