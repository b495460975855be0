//! The sockets, the lock or all files are removed while the stack runs: the supervisor that lives is found and called back,
//! and no second one ever stands beside it.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, command_line, finish, kill, list, number, numbers, runs, until};

const STACK: &str = concat!(
    "services:\n",
    "  api: { command: stand-in wait }\n",
    "  talk: { command: stand-in talk --every 20, ready: { log: line 1 } }\n",
);

fn started() -> (World, i32) {
    let world = World::plain(STACK);
    world.up();
    let supervisor = world.supervisor();
    (world, supervisor)
}

/// The supervisors of this world's stack, by their command lines.
fn supervisors(world: &World) -> Vec<i32> {
    let state = world.state().display().to_string();
    let is_one = |line: String| line.contains("__supervise") && line.contains(&state);
    numbers().into_iter().filter(|pid| runs(*pid) && is_one(command_line(*pid))).collect()
}

fn leaders(world: &World) -> Vec<i32> {
    list(&world.ps(), "services").iter().map(|one| number(&one["pid"])).collect()
}

fn assert_ended(world: &World, report: &Value) {
    assert_eq!((&report["clean"], number(&report["ended"])), (&Value::Bool(true), 2), "{report:#}");
    world.assert_none_but(&[]);
    until("the supervisor has ended", || supervisors(world).is_empty());
}

fn sweep(world: &World) {
    fs::remove_dir_all(world.state().join("run")).expect("ours");
}

#[test]
fn swept_sockets_are_made_anew_by_the_supervisor_that_lives() {
    for command in ["ps", "up", "down"] {
        let (world, supervisor) = started();
        let before = leaders(&world);
        sweep(&world);
        match command {
            "ps" => assert_eq!(number(&world.ps()["supervisor"]), supervisor),
            "up" => {
                let up = world.run(&["up", "--json"]).expect(0).json();
                assert!(list(&up, "services").iter().all(|one| one["outcome"] == "unchanged"), "{up:#}");
            }
            _ => {}
        }
        if command != "down" {
            assert_eq!(supervisors(&world), [supervisor], "one supervisor, the same");
            assert_eq!(leaders(&world), before);
        }
        let report = world.down(&[], 0);
        assert_ended(&world, &report);
    }
}

#[test]
fn a_supervisor_that_cannot_be_called_back_is_ended_and_its_stack_with_it() {
    let (world, supervisor) = started();
    sweep(&world);
    // It neither hears nor is heard.
    kill(supervisor, Signal::STOP);
    let ran = world.run(&["down", "--json"]).expect(0);
    assert!(ran.err.contains("does not answer"), "{}", ran.err);
    assert_ended(&world, &ran.json());
}

#[test]
fn a_supervisor_that_died_after_the_sweep_is_followed_by_one_that_finds_the_keepers() {
    let (world, supervisor) = started();
    let before = leaders(&world);
    let keepers: Vec<i32> = ["api", "talk"].map(|service| world.keeper(service)).to_vec();
    sweep(&world);
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    let up = world.run(&["up", "--json"]).expect(0).json();
    assert!(list(&up, "services").iter().all(|one| one["outcome"] == "unchanged"), "{up:#}");
    assert_eq!(leaders(&world), before);
    assert!(keepers.iter().all(|keeper| runs(*keeper)));
    // The keepers are heard again: exits are known, not guessed.
    kill(world.pid("api"), Signal::TERM);
    until("its exit is told", || world.service("api")["exit"]["signal"] == "SIGTERM");
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    world.assert_none_but(&[]);
}

#[test]
fn with_all_files_removed_the_supervisor_writes_them_anew() {
    let (world, supervisor) = started();
    let before = leaders(&world);
    fs::remove_dir_all(world.state()).expect("ours");
    let up = world.run(&["up", "--json"]).expect(0).json();
    assert!(list(&up, "services").iter().all(|one| one["outcome"] == "unchanged"), "{up:#}");
    assert_eq!((supervisors(&world), leaders(&world)), (vec![supervisor], before.clone()));
    // What was written anew is enough for another one to go by.
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    let records = || fs::read_dir(world.stack_state().join("lives")).expect("records").count();
    assert_eq!(records(), 2);
    world.up();
    assert_eq!(leaders(&world), before);
    until("the log goes on", || !world.log("talk").is_empty());
    let report = world.down(&[], 0);
    assert_ended(&world, &report);
}

#[test]
fn a_removed_lock_lets_no_second_supervisor_in() {
    let (world, supervisor) = started();
    let before = leaders(&world);
    fs::remove_file(world.stack_state().join("supervisor.lock")).expect("ours");
    sweep(&world);
    world.up();
    assert_eq!((supervisors(&world), leaders(&world)), (vec![supervisor], before));
    // It holds the new lock as well: a stop that works by itself would wait for it.
    let report = world.down(&[], 0);
    assert_ended(&world, &report);
}

#[test]
fn one_who_is_told_another_place_for_sockets_meets_the_same_supervisor() {
    let world = World::new(STACK);
    let runtime: PathBuf = world.beside("r");
    let within = |args: &[&str], runtime: Option<&PathBuf>| {
        let mut command = world.command(args);
        command.env_remove("DEVSTACK_STATE_DIR").env("XDG_STATE_HOME", world.state());
        match runtime {
            Some(dir) => command.env("XDG_RUNTIME_DIR", dir),
            None => command.env_remove("XDG_RUNTIME_DIR"),
        };
        finish(command)
    };
    within(&["up"], Some(&runtime)).expect(0);
    let supervisor = number(&within(&["ps", "--json"], Some(&runtime)).expect(0).json()["supervisor"]);
    let elsewhere = within(&["ps", "--json"], None).expect(0).json();
    assert_eq!(number(&elsewhere["supervisor"]), supervisor);
    within(&["up"], None).expect(0);
    assert_eq!(supervisors(&world), [supervisor]);
    let report = within(&["down", "--json"], None).expect(0).json();
    assert_ended(&world, &report);
}
