//! The ledger is torn, rubbish, newer or gone: no living process is lost, and nothing is started beside it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::refused;
use crate::world::{World, kill, list, runs, until};

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
    // With a record anew, what lives beside it would be forgotten.
    for (words, code) in [
        (&["run", "--", "true"][..], 125),
        (&["down", "--dry-run"], 1),
        (&["down", "--containers"], 1),
        (&["down", "api"], 1),
        (&["stop", "api"], 1),
        (&["up"], 1),
    ] {
        refused(world.run(words), code, "DS050", &["the record of them is lost", "devstack down"]);
    }
    let seen = world.run(&["ps"]).expect(0);
    assert!(seen.err.contains("the record of them is lost"), "{}", seen.err);
    assert_eq!(world.living().len(), COUNT);
    assert_all_ended(&world);
    let seen = world.run(&["ps"]).expect(0);
    assert!(!seen.err.contains("the record of them is lost"), "{}", seen.err);
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

#[test]
fn what_cannot_be_read_or_believed_is_told() {
    let world = started(false);
    let lives = world.stack_state().join("lives");
    fs::write(lives.join("web.7.jsonl"), [0xF5; 300]).expect("written");
    fs::create_dir(lives.join("other.8.jsonl")).expect("made");
    let ran = world.run(&["down", "--json"]).expect(0);
    for name in ["web.7.jsonl", "other.8.jsonl"] {
        assert!(ran.err.contains(&format!("warning: the record {name} cannot be read")), "{}", ran.err);
    }
    world.assert_none_but(&[]);
}

#[test]
fn a_journal_that_cannot_be_written_is_told_and_goes_on_later() {
    let world = World::plain("services:\n  api: { command: stand-in wait }\n");
    world.up();
    let journal = world.stack_state().join("journal.jsonl");
    fs::remove_file(&journal).expect("ours");
    fs::create_dir(&journal).expect("made");
    world.run(&["restart", "api"]).expect(0);
    for verb in ["ps", "status"] {
        let ran = world.run(&[verb, "--json"]).expect(0);
        assert!(ran.err.contains("of the journal could not be written: is a directory"), "{}", ran.err);
        assert_eq!(list(&ran.json(), "warnings").len(), 1, "{}", ran.out);
    }
    refused(world.run(&["events"]), 1, "DS055", &["journal.jsonl", "is a directory"]);
    fs::remove_dir(&journal).expect("ours");
    world.run(&["restart", "api"]).expect(0);
    assert!(world.ps()["warnings"].as_array().expect("a list").is_empty());
    let events = world.run(&["events"]).expect(0).out;
    assert!(events.contains("lines of this journal were lost: is a directory"), "{events}");
    world.down(&[], 0);
}

#[test]
fn a_torn_journal_with_rubbish_in_it_is_read_and_counted() {
    let world = World::plain("services:\n  api: { command: stand-in wait }\n");
    world.up();
    world.down(&[], 0);
    let journal = world.stack_state().join("journal.jsonl");
    let whole = fs::read(&journal).expect("there");
    let middle = whole.iter().position(|byte| *byte == b'\n').expect("lines") + 1;
    let rubbish =
        [&whole[..middle], &vec![0xF5; 200_000][..], b"\n{}\n", &whole[middle..whole.len() - 5]].concat();
    fs::write(&journal, rubbish).expect("written");
    let ran = world.run(&["events"]).expect(0);
    assert!(ran.err.contains("2 torn lines could not be read"), "{}", ran.err);
    assert!(ran.out.contains("started (pid"), "{}", ran.out);
    world.up();
    let ran = world.run(&["events"]).expect(0);
    assert!(ran.err.contains("3 torn lines could not be read"), "{}", ran.err);
    world.down(&[], 0);
}

#[test]
fn files_in_the_place_of_directories_are_told() {
    let spoil = |path: PathBuf| {
        fs::remove_dir_all(&path).expect("ours");
        fs::write(path, "").expect("written");
    };
    for name in ["lives", "logs", "../run"] {
        let world = started(false);
        let path = world.stack_state().join(name);
        spoil(path.clone());
        assert_all_ended(&world);
        let ran = world.run(&["up"]);
        assert_ne!(ran.status.code(), Some(0), "{name}: {}", ran.out);
        assert!(ran.err.contains("ot a directory") && ran.err.contains("  try"), "{name}: {}", ran.err);
        world.assert_none_but(&[]);
        fs::remove_file(path).expect("ours");
        world.up();
        assert_all_ended(&world);
    }
}

#[test]
fn errors_are_data_for_those_who_read_json() {
    let world = World::plain("services:\n  api: { comand: x }\n");
    let errors = |args: &[&str], code: i32| {
        let ran = world.run(args).expect(code);
        assert!(ran.err.contains("error["), "people read it as before: {}", ran.err);
        list(&ran.json(), "errors").clone()
    };
    let wrong = errors(&["up", "--json"], 65);
    assert!(wrong[0]["code"].as_str().is_some_and(|code| code.starts_with("DS0")), "{wrong:?}");
    assert!(wrong[0]["evidence"][0]["text"].as_str().is_some_and(|at| at.contains("devstack.yaml:2:")));
    world.write("services:\n  api: { command: stand-in wait }\n");
    assert_eq!(errors(&["events", "--json"], 3)[0]["code"], "DS042");
    assert_eq!(errors(&["status", "web", "--json"], 4)[0]["try"][0], "devstack ps");
    // Where the answer tells it, it is told once.
    world.write("services:\n  api: { command: 'exit 3', ready: { log: never } }\n");
    let ran = world.run(&["up", "--json"]).expect(1);
    assert_eq!(ran.json()["services"][0]["problem"]["code"], "DS028");
}
