//! Those that hold a stack may open no file any more, in the middle of its life: the machine or their own limit has none left.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::world::{NOBODY, World, is_root, kill, list, runs, until};

const STACK: &str = concat!(
    "services:\n",
    "  api: { command: stand-in wait }\n",
    "  many: { command: stand-in child --count 3 --session --life 600, ready: { log: 'child [0-9]+' } }\n",
);

/// Every number below its new limit is taken: this process may open nothing more.
fn starve(pid: i32) {
    let held: BTreeSet<u64> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("it lives")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let lowest = (0..1 << 20).find(|number| !held.contains(number)).expect("a number");
    // Root may only where it has all its rights; its own user may everywhere.
    let mut words =
        if is_root() { vec!["setpriv".to_owned(), format!("--reuid={NOBODY}")] } else { Vec::new() };
    if is_root() {
        words.extend([format!("--regid={NOBODY}"), "--clear-groups".to_owned(), "--".to_owned()]);
    }
    words.extend(["prlimit".to_owned(), format!("--pid={pid}"), format!("--nofile={lowest}:{lowest}")]);
    let done = Command::new(&words[0]).args(&words[1..]).status().expect("util-linux is there");
    assert!(done.success(), "its user may");
}

fn started() -> World {
    let world = World::plain(STACK);
    world.up();
    world.await_living(5);
    world
}

#[test]
fn a_supervisor_that_may_open_nothing_ends_its_stack_and_proves_it() {
    let world = started();
    let alike = world.start("alike", &["wait"], &world.beside("elsewhere"));
    let supervisor = world.supervisor();
    starve(supervisor);
    let view = world.ps();
    let shown: usize = list(&view, "services").iter().map(|one| list(one, "processes").len()).sum();
    assert!(shown == 5 || !list(&view, "warnings").is_empty(), "what is not seen is told: {view:#}");
    let report = world.down(&[], 0);
    assert_eq!((&report["clean"], &report["ended"]), (&true.into(), &5.into()), "{report:#}");
    world.assert_none_but(&[&alike]);
}

#[test]
fn a_keeper_that_may_open_nothing_keeps_its_service_and_ends_with_it() {
    let world = started();
    let before = [world.pid("api"), world.pid("many")];
    let (keeper, supervisor) = (world.keeper("many"), world.supervisor());
    starve(keeper);
    // The next supervisor calls a keeper that cannot take the call.
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    let up = world.run(&["up"]);
    assert!(up.status.code().is_some_and(|code| ![70, 101].contains(&code)), "{}", up.err);
    assert!(before.iter().all(|pid| runs(*pid)), "what ran runs on: {}", up.err);
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    assert!(list(&report, "survivors").is_empty(), "{report:#}");
    world.assert_none_but(&[]);
}
