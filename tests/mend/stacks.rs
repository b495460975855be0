//! `sweep --all-stacks`: what other stacks of this user have left, and what runs of them untouched.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{Ran, World, finish, kill, list, number, runs, until};

const STACK: &str = "services:\n  api: { command: stand-in wait }\nsweep: { patterns: ['wait vitest'] }\n";

/// Another checkout with the same manifest and the same state directory.
fn checkout(world: &World, name: &str) -> PathBuf {
    let dir = world.beside(name);
    fs::copy(world.dir().join("devstack.yaml"), dir.join("devstack.yaml")).expect("copied");
    dir
}

fn at(world: &World, dir: &Path, args: &[&str]) -> Ran {
    let mut command = world.command(args);
    command.current_dir(dir);
    finish(command)
}

/// The processes of the stack there: of its service, its keeper, its supervisor.
fn processes(world: &World, dir: &Path) -> (i32, i32, i32) {
    let view = at(world, dir, &["ps", "--json"]).expect(0).json();
    let pid = number(&list(&view, "services")[0]["pid"]);
    (pid, crate::world::stat(pid).expect("it lives").parent, number(&view["supervisor"]))
}

fn end(pids: &[i32]) {
    for pid in pids {
        kill(*pid, Signal::KILL);
        until("it is gone", || !runs(*pid));
    }
}

fn fate(report: &Value, pid: i32) -> Option<&str> {
    list(report, "strays").iter().find(|row| number(&row["pid"]) == pid)?["fate"].as_str()
}

#[test]
fn what_dead_stacks_left_is_ended_and_what_runs_is_not() {
    let world = World::new(STACK);
    let [runs_on, held, dead, gone] = ["runs-on", "held", "dead", "gone"].map(|name| checkout(&world, name));
    let mut of = Vec::new();
    for dir in [&runs_on, &held, &dead, &gone] {
        at(&world, dir, &["up"]).expect(0);
        of.push(processes(&world, dir));
    }
    // Of one only the supervisor, of the others all; one is deleted, with its keeper alive.
    end(&[of[1].2, of[2].1, of[2].2, of[3].2]);
    fs::remove_dir_all(&gone).expect("it was there");
    // A person's own test run in the checkout of a stack that is down.
    let person = world.start("stand-in", &["wait", "vitest"], &dead);
    let nowhere = world.beside("nowhere");

    let seen = at(&world, &nowhere, &["sweep", "--all-stacks", "--dry-run", "--json"]).expect(5).json();
    let told: Vec<Option<&str>> = of.iter().map(|one| fate(&seen, one.0)).collect();
    assert_eq!(told, [None, None, Some("end"), Some("end")], "{seen:#}");
    assert!(of.iter().all(|one| runs(one.0)), "a dry run has signalled");

    let report = at(&world, &nowhere, &["sweep", "--all-stacks", "--json"]).expect(0).json();
    assert_eq!((report["clean"].as_bool(), number(&report["ended"])), (Some(true), 2), "{report:#}");
    let living: Vec<bool> = of.iter().map(|one| runs(one.0)).collect();
    assert_eq!(living, [true, true, false, false]);
    assert!(runs(person.pid()));
    assert!(at(&world, &nowhere, &["sweep", "--all-stacks"]).expect(0).out.contains("no strays"));
    // Without it the stack here is meant, and there is none.
    at(&world, &nowhere, &["sweep"]).expect(66);
    for dir in [&runs_on, &held] {
        assert_eq!(at(&world, dir, &["ps", "--json"]).expect(0).json()["services"][0]["state"], "ready");
        at(&world, dir, &["down"]).expect(0);
    }
    world.assert_none_but(&[&person]);
}

/// What a lost stack left is ended also where a new one stands in its place, which is left alone.
#[test]
fn what_a_stack_left_whose_place_another_took_is_ended() {
    let world = World::new(STACK);
    world.up();
    let (pid, ..) = processes(&world, &world.dir());
    let environ = fs::read(format!("/proc/{pid}/environ")).expect("it is ours");
    world.down(&[], 0);
    fs::remove_dir_all(world.stack_state()).expect("it was there");
    world.up();
    let (new, ..) = processes(&world, &world.dir());
    // Started by something of the first one that nobody could see.
    let mut command = std::process::Command::new(world.program("stand-in"));
    command.args(["wait", "old"]).current_dir("/").env_clear();
    for pair in environ.split(|byte| *byte == 0) {
        if let Some((name, value)) = String::from_utf8_lossy(pair).split_once('=') {
            command.env(name, value);
        }
    }
    let old = crate::world::Started::by(&command, false);
    let nowhere = world.beside("nowhere");
    let sweep = |more: &[&str], code| {
        let args = [&["sweep", "--all-stacks", "--json"], more].concat();
        at(&world, &nowhere, &args).expect(code).json()
    };
    let seen = sweep(&["--dry-run"], 5);
    assert_eq!((fate(&seen, old.pid()), fate(&seen, new)), (Some("end"), None), "{seen:#}");
    let row = list(&seen, "strays")[0].clone();
    assert!(row["evidence"].as_str().is_some_and(|why| why.contains("mark")), "{row}");
    let report = sweep(&[], 0);
    assert_eq!(fate(&report, old.pid()), Some("ended"), "{report:#}");
    assert_eq!(processes(&world, &world.dir()).0, new, "the new one was touched");
    assert!(list(&sweep(&[], 0), "strays").is_empty());
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn processes_of_a_stack_whose_state_is_gone_are_ended_by_their_marks() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        let (pid, keeper, supervisor) = processes(&world, &world.dir());
        let state = world.stack_state();
        end(&[supervisor]);
        fs::remove_dir_all(&state).expect("it was there");
        let nowhere = world.beside("nowhere");
        // Its keeper lives: whoever has its state elsewhere may want it.
        let sweep = || at(&world, &nowhere, &["sweep", "--all-stacks", "--json"]);
        assert_eq!(fate(&sweep().expect(0).json(), pid), None);
        end(&[keeper]);
        assert!(runs(pid));
        // Another state directory is no owner of it.
        let mut other = world.command(&["sweep", "--all-stacks", "--json"]);
        other.current_dir(&nowhere).env("DEVSTACK_STATE_DIR", nowhere.join("state"));
        assert_eq!(fate(&finish(other).expect(0).json(), pid), None);
        assert!(runs(pid));
        let report = sweep().expect(0).json();
        assert_eq!(fate(&report, pid), Some("ended"), "{report:#}");
        world.assert_none_but(&[]);
    }
}
