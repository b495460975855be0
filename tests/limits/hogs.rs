//! Programs that take too much, where nobody but devstack holds them: each is ended by measuring, its neighbours live on.
//!
//! Each has a bound of its own that does not depend on devstack: so many bytes, so many processes.

use crate::room::Room;
use crate::world::{World, is_root, list, runs, skip, until};

const MONITOR: &str = "monitor: { interval: 200ms }\n";

/// A stack with a service under limits and a neighbour that must not notice.
fn manifest(command: &str, limits: &str) -> String {
    format!(
        "{MONITOR}services:\n  hog:\n    command: '{command}'\n    limits: {limits}\n    depends_on: [good]\n  good: {{ command: stand-in crowd --count 2 --life 600, ready: {{ log: crowd of }} }}\n"
    )
}

fn events(world: &World) -> String {
    world.run(&["events", "--service", "hog"]).expect(0).out
}

/// The neighbour: a program and its child.
fn good(world: &World) -> usize {
    world.living().values().filter(|line| line.contains("--life 600")).count()
}

fn log(world: &World) -> String {
    String::from_utf8_lossy(&world.log("hog")).into_owned()
}

/// The service's first process was left alone, its neighbour too.
fn assert_only_the_culprit(world: &World, leader: i32) {
    assert!(runs(leader), "the leader was no culprit");
    assert_eq!(world.service("hog")["state"], "ready");
    assert_eq!(good(world), 2);
}

#[test]
fn a_leak_of_a_grandchild_is_ended_alone_and_named() {
    let command = "(head -c 120000000 /dev/zero; exec sleep 600) | tail > /dev/null; exec sleep 600";
    let world = World::plain(&manifest(command, "{ memory: 48M }"));
    world.up();
    let leader = world.pid("hog");
    until("the leak was ended", || events(&world).contains("over its limit of memory"));
    let told = events(&world);
    assert!(told.contains("most of it tail (pid ") && told.contains(": killed pid "), "{told}");
    assert!(told.contains("SIGKILL to tail (pid "), "there is a receipt: {told}");
    assert_only_the_culprit(&world, leader);
    world.down(&[], 0);
}

#[test]
fn a_crowd_is_ended_with_all_that_it_has_started() {
    let command = "stand-in crowd --count 30 & wait; echo went on; exec sleep 600";
    for world in
        [World::new(&manifest(command, "{ pids: 10 }")), World::plain(&manifest(command, "{ pids: 10 }"))]
    {
        world.up();
        let leader = world.pid("hog");
        until("the crowd was ended", || log(&world).contains("went on"));
        until("nobody of it is left", || world.living().len() == 2);
        // It is told when all of them have had their signal.
        until("it was told", || events(&world).contains("over its limit of processes"));
        assert_only_the_culprit(&world, leader);
        world.down(&[], 0);
    }
}

#[test]
fn a_storm_of_forks_is_ended_where_it_cannot_fill_the_machine() {
    if !is_root() {
        return skip("only root can make a cgroup that keeps a storm small");
    }
    let Some(room) = Room::with(60) else {
        return skip("there is no cgroup tree of the pids controller");
    };
    let command = "stand-in storm & exec sleep 600";
    let world = World::new(&manifest(command, "{ pids: 12 }"));
    room.run(&world, &["up"]).expect(0);
    until("the storm was ended", || {
        let told = events(&world);
        let over = told.contains("over its limit of processes");
        over && !world.living().values().any(|line| line.contains("storm"))
    });
    assert_eq!(good(&world), 2);
    world.down(&[], 0);
    assert!(world.living().is_empty());
}

#[test]
fn a_busy_loop_is_told_and_where_it_shall_be_ended_ended() {
    let command = "sh -c \"while :; do :; done\" & wait; echo went on; exec sleep 600";
    let world = World::plain(&manifest(command, "{ cpus: 0.05 }"));
    world.up();
    let leader = world.pid("hog");
    let note = || world.service("hog")["note"].as_str().unwrap_or_default().to_owned();
    until("it is told", || note().contains("over its limit of processors"));
    assert!(note().contains("while :; do :; done"), "the culprit is named: {}", note());
    assert!(events(&world).contains("only told"), "{}", events(&world));
    assert_only_the_culprit(&world, leader);
    world.write(&manifest(command, "{ cpus: 0.05, on_breach: kill-culprit }"));
    world.up();
    until("the loop was ended", || log(&world).contains("went on"));
    assert_only_the_culprit(&world, leader);
    world.down(&[], 0);
}

#[test]
fn what_hangs_is_ended_and_what_works_or_writes_is_not() {
    let world = World::plain(&format!(
        "{MONITOR}services:
  hog: {{ command: exec sleep 600, limits: {{ idle: 1s }} }}
  writes: {{ command: 'while :; do echo x; sleep 0.2; done', limits: {{ idle: 5s }} }}
  good: {{ command: stand-in crowd --count 2 --life 600 }}
"
    ));
    let _ = world.run(&["up", "--keep"]);
    until("what hangs was ended", || world.service("hog")["state"] == "failed");
    let note = world.service("hog")["note"].as_str().unwrap_or_default().to_owned();
    assert!(note.starts_with("neither wrote nor worked for 1."), "{note}");
    assert_eq!(world.service("writes")["state"], "ready");
    assert_eq!(good(&world), 2);
    world.down(&[], 0);
}

#[test]
fn who_has_run_for_long_enough_is_started_anew_and_a_task_has_failed() {
    let world = World::plain(&format!(
        "{MONITOR}services:
  hog: {{ command: exec sleep 600, limits: {{ runtime: 500ms, on_breach: restart }} }}
"
    ));
    world.up();
    let first = world.pid("hog");
    until("it was started anew", || {
        let view = world.ps();
        let hog = list(&view, "services").iter().find(|one| one["name"] == "hog").cloned();
        hog.is_some_and(|hog| hog["restarts"].as_u64() > Some(0) && hog["state"] != "failed")
    });
    assert!(!runs(first));
    world.down(&[], 0);
    world.write("services:\n  hog: { type: task, command: exec sleep 600, limits: { runtime: 300ms } }\n");
    let ran = world.run(&["up"]).expect(1);
    assert!(ran.err.contains("DS058") && ran.err.contains("ran for "), "{}", ran.err);
    world.down(&[], 0);
}
