//! The manifest or its whole checkout changes between `up` and `down`: broken, unreadable, deleted, moved, replaced. What
//! runs is seen, and ended by the rules that it was started by.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::refused;
use crate::world::{Ran, World, finish, kill, list, number, runs, until};

const STACK: &str =
    "services:\n  api: { command: stand-in wait }\n  talk: { command: stand-in talk --every 20 }\n";

/// A command from outside the checkout.
fn elsewhere(world: &World, args: &[&str]) -> Ran {
    let mut command = world.command(args);
    command.current_dir("/");
    finish(command)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn end_supervisor(world: &World) {
    let supervisor = world.supervisor();
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
}

fn assert_ended(world: &World, report: &Value, ended: i32) {
    assert_eq!((&report["clean"], number(&report["ended"])), (&Value::Bool(true), ended), "{report:#}");
    world.assert_none_but(&[]);
}

#[test]
fn a_deleted_checkout_is_listed_and_ended_from_elsewhere() {
    for supervisor_lives in [true, false] {
        let world = World::new(STACK);
        world.up();
        if !supervisor_lives {
            end_supervisor(&world);
        }
        let dir = world.dir();
        fs::remove_dir_all(&dir).expect("ours");
        let stacks = elsewhere(&world, &["ls", "--json"]).expect(0).json();
        let listed = &list(&stacks, "stacks")[0];
        assert_eq!((listed["dir"].as_str(), &listed["dir_exists"]), (dir.to_str(), &Value::Bool(false)));
        assert_eq!(number(&listed["processes"]), 2, "{listed}");
        let shown = elsewhere(&world, &["ls"]).expect(0).out;
        assert!(shown.contains("devstack down -f"), "how it is ended is told: {shown}");

        let view = elsewhere(&world, &["ps", "-f", text(&dir), "--json"]).expect(0).json();
        assert_eq!(list(&view, "services").len(), 2);
        elsewhere(&world, &["-C", text(&dir), "logs", "talk"]).expect(0);
        let named = dir.join("devstack.yaml");
        let named = if supervisor_lives { named } else { dir.clone() };
        let report = elsewhere(&world, &["down", "--json", "-f", text(&named)]).expect(0).json();
        assert_ended(&world, &report, 2);
        fs::create_dir(&dir).expect("ours");
    }
}

#[test]
fn from_within_a_deleted_checkout_its_stack_is_ended() {
    let world = World::new(STACK);
    world.up();
    let inner = world.command(&["down", "--json"]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "cd \"$0\" && rm -r \"$0\" && exec \"$@\""]).arg(world.dir());
    shell.arg(inner.get_program()).args(inner.get_args()).env("DEVSTACK_STATE_DIR", world.state());
    shell.env_remove("DEVSTACK_FILE").current_dir("/");
    let report = finish(shell).expect(0).json();
    assert_ended(&world, &report, 2);
    fs::create_dir(world.dir()).expect("ours");
}

#[test]
fn a_moved_checkout_keeps_its_stack() {
    let world = World::new(STACK);
    world.up();
    let (pid, moved) = (world.pid("api"), world.beside("elsewhere").join("moved"));
    fs::rename(world.dir(), &moved).expect("ours");
    let there = |args: &[&str]| {
        let mut command = world.command(args);
        command.current_dir(&moved);
        finish(command)
    };
    let view = there(&["ps", "--json"]).expect(0).json();
    let api = list(&view, "services").iter().find(|one| one["name"] == "api").expect("it is there");
    assert_eq!(number(&api["pid"]), pid);
    // A second one of each is not started beside them.
    refused(
        there(&["up"]),
        1,
        "DS050",
        &["before its directory was moved", text(&world.dir()), "devstack down"],
    );
    assert!(runs(pid) && world.living().len() == 2);
    there(&["logs", "talk"]).expect(0);
    let report = there(&["down", "--json"]).expect(0).json();
    assert_ended(&world, &report, 2);
    there(&["up"]).expect(0);
    world.await_living(2);
    let report = there(&["down", "--json"]).expect(0).json();
    assert_ended(&world, &report, 2);
    fs::rename(&moved, world.dir()).expect("ours");
}

#[test]
fn what_ran_from_a_replaced_checkout_is_started_anew() {
    let world = World::new(STACK);
    world.up();
    let before = world.pid("api");
    let manifest = fs::read(world.dir().join("devstack.yaml")).expect("there");
    let aside = world.beside("elsewhere").join("old");
    fs::rename(world.dir(), &aside).expect("ours");
    fs::create_dir(world.dir()).expect("ours");
    fs::write(world.dir().join("devstack.yaml"), manifest).expect("written");
    assert_eq!(world.pid("api"), before, "to look changes nothing");
    let ran = world.run(&["up", "--json"]).expect(0);
    assert!(ran.err.contains("another checkout stands here"), "{}", ran.err);
    let recreated = |one: &Value| one["outcome"] == "recreated";
    assert!(list(&ran.json(), "services").iter().all(recreated), "{}", ran.out);
    let now = world.pid("api");
    assert!(now != before && !runs(before));
    assert_eq!(fs::read_link(format!("/proc/{now}/cwd")).expect("it runs"), world.dir());
    let again = world.run(&["up", "--json"]).expect(0).json();
    assert!(list(&again, "services").iter().all(|one| one["outcome"] == "unchanged"), "{again:#}");
    let report = world.down(&[], 0);
    assert_ended(&world, &report, 2);
}

#[test]
fn a_manifest_that_cannot_be_used_any_more_keeps_nothing_alive() {
    type Spoil = fn(&Path);
    let spoilt: [(&str, Spoil); 4] = [
        ("broken", |manifest| fs::write(manifest, "services: [\n").expect("written")),
        ("unreadable", |manifest| {
            fs::set_permissions(manifest, fs::Permissions::from_mode(0o000)).expect("ours");
        }),
        ("deleted", |manifest| fs::remove_file(manifest).expect("ours")),
        ("a directory", |manifest| {
            fs::remove_file(manifest).expect("ours");
            fs::create_dir(manifest).expect("made");
        }),
    ];
    for (how, spoil) in spoilt {
        for supervisor_lives in [true, false] {
            let world = World::plain(STACK);
            world.up();
            if !supervisor_lives {
                end_supervisor(&world);
            }
            let manifest = world.dir().join("devstack.yaml");
            spoil(&manifest);
            let view = world.ps();
            let seen: usize = list(&view, "services").iter().map(|one| list(one, "processes").len()).sum();
            assert_eq!(seen, 2, "{how}: {view:#}");
            let ran = world.run(&["down", "--json"]).expect(0);
            assert!(ran.err.contains("what the last `up` recorded is ended"), "{how}: {}", ran.err);
            assert_ended(&world, &ran.json(), 2);
            if manifest.is_dir() {
                fs::remove_dir(&manifest).expect("ours");
            } else {
                let _ = fs::remove_file(&manifest);
            }
            world.write(STACK);
        }
    }
}

#[test]
fn what_the_manifest_does_not_name_any_more_is_seen_and_ended() {
    for supervisor_lives in [true, false] {
        let world = World::new(STACK);
        world.up();
        let api = world.pid("api");
        world.write(
            "services:\n  web: { command: stand-in wait }\n  talk: { command: stand-in talk --every 20 }\n",
        );
        if !supervisor_lives {
            end_supervisor(&world);
        }
        assert_eq!(world.pid("api"), api, "`ps` shows it");
        let report = world.down(&[], 0);
        assert_ended(&world, &report, 2);
    }
}

#[test]
fn a_stop_goes_by_the_plan_that_the_life_was_started_by() {
    for supervisor_lives in [true, false] {
        let world = World::new(concat!(
            "services:\n",
            "  api: { command: stand-in wait, stop_signal: SIGINT, stop_grace_period: 20s }\n",
            "  deaf: { command: stand-in deaf, stop_grace_period: 500ms, ready: { log: deaf } }\n",
        ));
        world.up();
        world.write(concat!(
            "services:\n",
            "  api: { command: stand-in wait, stop_signal: SIGUSR1, stop_grace_period: 10m }\n",
            "  deaf: { command: stand-in deaf, stop_grace_period: 10m, ready: { log: deaf } }\n",
        ));
        if !supervisor_lives {
            end_supervisor(&world);
        }
        // By the new manifest's grace this would take ten minutes.
        let report = world.down(&[], 0);
        assert_ended(&world, &report, 2);
        let api = list(&report, "services").iter().find(|one| one["name"] == "api").expect("told");
        assert_eq!(api["signal"], "SIGINT", "{report:#}");
    }
}

#[test]
fn a_new_name_is_the_same_stack() {
    let world = World::new(&format!("name: before\n{STACK}"));
    world.up();
    let pid = world.pid("api");
    world.write(&format!("name: after\n{STACK}"));
    assert_eq!(world.pid("api"), pid);
    let up = world.run(&["up", "--json"]).expect(0).json();
    assert_eq!(up["stack"], "after");
    // The name is in the environment of all its processes.
    assert!(list(&up, "services").iter().all(|one| one["outcome"] == "recreated"), "{up:#}");
    assert!(!runs(pid));
    world.await_living(2);
    world.write(&format!("name: last\n{STACK}"));
    let report = world.down(&[], 0);
    assert_ended(&world, &report, 2);
}
