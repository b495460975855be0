//! The ledger is torn, rubbish, newer or gone: no living process is lost, and nothing is started beside it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::refused;
use crate::world::{World, kill, runs, until};

/// Leaves its session, and gives up its environment: only the ledger, its keeper and its descriptor know it.
const STACK: &str = concat!(
    "services:\n",
    "  api: { command: stand-in wait }\n",
    "  daemon:\n",
    "    command: stand-in child --session --env-clear --life 600\n",
    "    ready: { log: 'child [0-9]+' }\n",
);

/// Processes of [`STACK`] when all of it runs.
const COUNT: usize = 3;

fn started(supervisor_lives: bool) -> World {
    let world = World::plain(STACK);
    world.up();
    world.await_living(COUNT);
    if !supervisor_lives {
        let supervisor = world.supervisor();
        kill(supervisor, Signal::KILL);
        until("it is dead", || !runs(supervisor));
    }
    world
}

fn records(world: &World) -> Vec<PathBuf> {
    let lives = fs::read_dir(world.stack_state().join("lives")).expect("records").flatten();
    lives.map(|entry| entry.path()).collect()
}

fn assert_all_ended(world: &World) {
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    world.assert_none_but(&[]);
}

fn cut(path: &Path, share: usize, of: usize) {
    let text = fs::read(path).expect("there");
    fs::write(path, &text[..text.len() * share / of]).expect("written");
}

#[test]
fn a_damaged_stack_file_loses_nothing() {
    type Spoil = fn(&Path);
    let spoilt: [(&str, Spoil); 5] = [
        ("empty", |file| fs::write(file, "").expect("written")),
        ("torn", |file| cut(file, 1, 2)),
        ("rubbish", |file| fs::write(file, [0xF5; 300]).expect("written")),
        ("of the wrong kind", |file| fs::write(file, "{\"version\":1,\"name\":[]}").expect("written")),
        ("a directory", |file| {
            fs::remove_file(file).expect("ours");
            fs::create_dir(file).expect("made");
        }),
    ];
    for (how, spoil) in spoilt {
        let world = started(false);
        let file = world.stack_state().join("stack.json");
        spoil(&file);
        // Even where the manifest cannot help either.
        world.write("services: [");
        let report = world.down(&[], 0);
        assert_eq!(report["clean"], true, "{how}: {report:#}");
        world.assert_none_but(&[]);
        if file.is_dir() {
            fs::remove_dir(file).expect("ours");
        }
        world.write(STACK);
    }
}

#[test]
fn records_cut_anywhere_lose_nothing_that_lives() {
    for share in 0..=4 {
        for supervisor_lives in [false, true] {
            let world = started(supervisor_lives);
            for record in records(&world) {
                cut(&record, share, 4);
            }
            assert_all_ended(&world);
        }
    }
}

#[test]
fn where_all_state_is_lost_what_lives_is_ended_and_nothing_is_started_beside_it() {
    let world = started(false);
    fs::remove_dir_all(world.state()).expect("ours");
    refused(world.run(&["up"]), 1, "DS050", &["the record of them is lost", "devstack down"]);
    assert_eq!(world.living().len(), COUNT);
    assert_all_ended(&world);
    world.up();
    world.await_living(COUNT);
    assert_all_ended(&world);
}

#[test]
fn a_newer_state_is_refused_by_every_command_and_not_touched() {
    let world = started(true);
    let supervisor = world.supervisor();
    let file = world.stack_state().join("stack.json");
    let before = fs::read(&file).expect("there");
    let newer = r#"{ "version": 99, "anything": true }"#;
    fs::write(&file, newer).expect("written");
    for args in [&["up"][..], &["down"], &["ps"], &["status"], &["logs"], &["events"]] {
        refused(world.run(args), 1, "DS045", &["newer devstack", "99", &format!("kill {supervisor}")]);
    }
    assert_eq!(fs::read_to_string(&file).expect("text"), newer);
    assert_eq!(world.living().len(), COUNT);
    // What is told to be possible is.
    kill(supervisor, Signal::TERM);
    until("its supervisor has ended it", || !runs(supervisor) && world.living().is_empty());
    fs::write(&file, before).expect("written");
}
