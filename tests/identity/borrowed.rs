//! Numbers that were given away again: each one that stands in the ledger, in the lock or in a living supervisor's memory
//! is an innocent's by now, as a process, as a group and as a session.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::innocent::Innocent;
use crate::within::namespace;
use crate::world::{World, kill, runs, until};

/// Members in sessions of their own, and one that only the ledger knows.
const STACK: &str = concat!(
    "services:\n",
    "  api: { command: stand-in wait }\n",
    "  many:\n",
    "    command: stand-in child --count 2 --session --double-fork --life 600\n",
    "    ready: { log: 'child [0-9]+' }\n",
    "  daemon:\n",
    "    command: stand-in child --session --double-fork --env-clear --chdir --close --life 600\n",
    "    ready: { log: 'child [0-9]+' }\n",
);

const SERVICES: [&str; 3] = ["api", "many", "daemon"];

/// Processes of [`STACK`] when all of it runs.
const COUNT: usize = 1 + 3 + 2;

pub(crate) fn started(plain: bool) -> World {
    let world = if plain { World::plain(STACK) } else { World::new(STACK) };
    world.up();
    world.await_living(COUNT);
    // Without a cgroup members are recorded one by one, and a look is at most a quarter of a second away.
    let lives = world.stack_state().join("lives");
    until("all members are recorded", || {
        let records = std::fs::read_dir(&lives).expect("records").flatten();
        let text: String =
            records.map(|entry| std::fs::read_to_string(entry.path()).expect("text")).collect();
        let caged = !text.contains("\"cgroup\":null");
        caged || world.living().keys().all(|pid| text.contains(&format!("\"pid\":{pid},")))
    });
    world
}

pub(crate) fn end(numbers: &BTreeSet<i32>) {
    for pid in numbers {
        kill(*pid, Signal::KILL);
    }
    until("all are reaped", || numbers.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let copied = Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

fn innocents(world: &World, numbers: &BTreeSet<i32>) -> Vec<Innocent> {
    numbers.iter().flat_map(|number| Innocent::with_number(world, *number)).collect()
}

fn check(innocents: &[Innocent], after: &str) {
    for one in innocents {
        one.assert_untouched(after);
    }
}

fn every_command(plain: bool) {
    let world = started(plain);
    let mut numbers: BTreeSet<i32> = world.living().into_keys().collect();
    let supervisor = world.supervisor();
    numbers.extend(SERVICES.map(|service| world.keeper(service)));
    numbers.insert(supervisor);
    assert_eq!(numbers.len(), COUNT + 3 + 1);
    // First the supervisor, so that nothing is written down of the deaths of the others; then the keepers.
    kill(supervisor, Signal::KILL);
    end(&numbers);
    let saved = world.beside("saved");
    copy(&world.state(), &saved);
    let innocents = innocents(&world, &numbers);
    let steps: [&[&str]; 9] = [
        &["ps"],
        &["status"],
        &["stop", "api"],
        &["down", "many"],
        &["down"],
        &["down", "--force"],
        &["down", "--dry-run"],
        &["up"],
        &["restart"],
    ];
    for step in steps {
        copy(&saved, &world.state());
        let ran = world.run(step);
        let after = step.join(" ");
        check(&innocents, &after);
        assert!(!ran.err.contains("bug"), "{after}: {}", ran.err);
        // Whatever it has started is ended before the next one.
        let report = world.down(&["--force"], 0);
        check(&innocents, &format!("down --force after {after}"));
        assert_eq!(report["clean"], Value::Bool(true), "{report:#}");
        assert_eq!(world.living().len(), innocents.len(), "{:?}", world.living());
    }
    // A supervisor that takes the ledger over and is asked to end.
    copy(&saved, &world.state());
    world.run(&["up", "api"]).expect(0);
    let supervisor = world.supervisor();
    kill(supervisor, Signal::TERM);
    until("the supervisor has ended", || !runs(supervisor));
    check(&innocents, "a supervisor's SIGTERM");
    assert_eq!(world.living().len(), innocents.len());
}

/// Members end under a living keeper and a living supervisor, who know them by their numbers.
fn under_a_supervisor(plain: bool) {
    let world = started(plain);
    let leaders: BTreeSet<i32> = SERVICES.map(|service| world.pid(service)).into();
    let mut numbers: BTreeSet<i32> =
        world.living().into_keys().filter(|pid| !leaders.contains(pid)).collect();
    assert_eq!(numbers.len(), COUNT - SERVICES.len());
    end(&numbers);
    // Keepers of two services as well: what they held is watched by the supervisor from now on.
    let keepers = BTreeSet::from(["api", "many"].map(|service| world.keeper(service)));
    end(&keepers);
    numbers.extend(keepers);
    let innocents = innocents(&world, &numbers);
    for step in [&["ps"][..], &["stop", "many"], &["restart", "api"], &["down"]] {
        world.run(step).expect(0);
        check(&innocents, &step.join(" "));
    }
    assert_eq!(world.living().len(), innocents.len());
}

#[test]
fn numbers_of_the_dead_are_never_signalled() {
    namespace("borrowed::numbers_of_the_dead_are_never_signalled", every_command);
}

#[test]
fn numbers_that_a_living_supervisor_remembers_are_never_signalled() {
    namespace("borrowed::numbers_that_a_living_supervisor_remembers_are_never_signalled", under_a_supervisor);
}
