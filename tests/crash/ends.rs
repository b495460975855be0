//! How a service ended is known, whoever of devstack was killed before.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::kills::{exit_of, kill_all, kill_and_wait, leader};
use crate::world::{World, kill, runs, stat, until};

/// Ends with 7 when the gate is opened.
const GATED: &str = concat!(
    "services:\n",
    "  api: { command: 'read word < gate; exit 7', restart: no }\n",
    "  other: { command: stand-in wait }\n",
);

fn gated(plain: bool) -> World {
    let world = if plain { World::plain(GATED) } else { World::new(GATED) };
    let gate = world.dir().join("gate");
    assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&gate).status().expect("mkfifo runs").success());
    world.up();
    world
}

fn open_gate(world: &World) {
    std::fs::write(world.dir().join("gate"), "go\n").expect("it waits there");
}

fn ends_with_7(world: &World) {
    until("it has ended", || world.service("api")["state"] == "failed");
    assert_eq!(exit_of(world, "api")["code"], 7);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn the_exit_is_known_without_a_keeper() {
    for plain in [false, true] {
        let world = gated(plain);
        kill_and_wait(world.keeper("api"));
        open_gate(&world);
        ends_with_7(&world);
    }
}

#[test]
fn the_exit_is_known_to_those_who_took_over_from_nobody() {
    for plain in [false, true] {
        let world = gated(plain);
        let before = leader(&world, "api");
        kill_all(&world, &["api", "other"]);
        world.up();
        assert_eq!(leader(&world, "api"), before);
        open_gate(&world);
        ends_with_7(&world);
    }
}

#[test]
fn an_exit_that_the_keeper_did_not_live_to_take_is_known() {
    let world = gated(false);
    let (keeper, (leader, _)) = (world.keeper("api"), leader(&world, "api"));
    kill(keeper, Signal::STOP);
    open_gate(&world);
    until("it waits to be reaped", || stat(leader).is_some_and(|stat| stat.state == 'Z'));
    kill_and_wait(keeper);
    ends_with_7(&world);
}

#[test]
fn a_service_that_was_killed_without_a_keeper_is_told_as_killed_and_started_anew() {
    let world = World::new("services:\n  api: { command: stand-in wait, restart: on-failure }\n");
    world.up();
    let first = world.pid("api");
    kill_and_wait(world.keeper("api"));
    kill(first, Signal::KILL);
    until("it runs again", || {
        let now = world.service("api")["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        now.is_some_and(|pid| pid != first && runs(pid))
    });
    assert_eq!(world.living().len(), 1);
    let told = world.run(&["events"]).expect(0).out;
    assert!(told.contains("SIGKILL"), "{told}");
    // The new life has a keeper again.
    world.keeper("api");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn what_was_being_ended_when_its_supervisor_was_killed_is_ended_and_started_anew() {
    let world = World::new(
        "services:\n  deaf: { command: stand-in deaf, stop_grace_period: 1s, ready: { log: deaf } }\n  \
         api: { command: stand-in wait }\n",
    );
    world.up();
    let (deaf, api) = (world.pid("deaf"), world.pid("api"));
    let mut stop = world.command(&["stop", "deaf"]);
    let mut stop = stop.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("it is being stopped", || world.service("deaf")["state"] == "stopping");
    kill_and_wait(world.supervisor());
    stop.wait().expect("ours");
    world.up();
    assert_ne!(world.pid("deaf"), deaf, "half a stop is no running service");
    assert!(!runs(deaf));
    assert_eq!(world.pid("api"), api, "nobody wanted this one ended");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn one_whose_leader_died_with_the_supervisor_is_started_anew_and_not_told_as_unchanged() {
    // What is left of it is held by its keeper.
    let world = World::new("services:\n  api: { command: 'sleep 600 & exec stand-in wait' }\n");
    world.up();
    let (first, _) = leader(&world, "api");
    kill_and_wait(world.supervisor());
    kill_and_wait(first);
    let up = world.run(&["up", "--json"]).expect(0).json();
    assert_eq!(up["services"][0]["outcome"], "started", "{up:#}");
    assert_ne!(leader(&world, "api").0, first);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}
