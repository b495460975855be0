//! The journal as its readers meet it: filters, causes, a replay, and a file that was cut anywhere.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, alive, await_that, signal};

const STACK: &str = "
services:
  db: { command: exec sleep 600 }
  api: { command: 'echo no such table >&2; exit 3', depends_on: [db], ready: { log: never } }
";

const WELL: &str = "
services:
  db: { command: exec sleep 600 }
  web: { command: exec sleep 600, depends_on: [db] }
";

fn lines(world: &World, args: &[&str]) -> Vec<Value> {
    let text = world.ok(&[&["events", "--json"], args].concat()).stdout;
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn journal(world: &World) -> std::path::PathBuf {
    let stacks = fs::read_dir(world.state_dir()).expect("the state").flatten();
    let mut journals = stacks.map(|stack| stack.path().join("journal.jsonl")).filter(|path| path.exists());
    journals.next().expect("a journal")
}

#[test]
fn only_what_is_meant_is_told() {
    let world = World::new(WELL);
    world.ok(&["up"]);
    world.ok(&["down"]);
    let all = lines(&world, &[]);
    let signals = lines(&world, &["--kind", "signal", "--service", "db"]);
    assert!(!signals.is_empty() && signals.len() < all.len());
    for line in &signals {
        let unit = line["receipt"]["unit"].as_str().or(line["outcome"]["unit"].as_str());
        let target = &line["event"]["asked"]["target"]["life"]["unit"];
        assert!(unit == Some("db") || target == "db", "{line}");
    }
    let started = lines(&world, &["--kind", "start,exit", "--kind", "request"]);
    let known = ["started", "exited", "emptied", "requested"];
    assert!(started.iter().all(|line| known.iter().any(|key| !line["event"][key].is_null())), "{started:?}");
    assert_eq!(started.iter().filter(|line| !line["event"]["started"].is_null()).count(), 2);
    // The last ones, and those until one of them, are the ends of the same list.
    assert_eq!(lines(&world, &["-n", "3"]), all[all.len() - 3..]);
    assert_eq!(lines(&world, &["--tail", "1", "--kind", "start"]).len(), 1);
    assert_eq!(lines(&world, &["--until", "1h"]), Vec::<Value>::new());
    assert_eq!(lines(&world, &["--since", "1h", "--until", "0s"]), all);
    world.expect(2, &["events", "--kind", "nonsense"]).complains(&["nonsense", "request"]);
    world.expect(2, &["events", "--why", "db", "--kind", "start"]);
}

#[test]
fn why_names_the_cause() {
    let world = World::new(STACK);
    world.expect(1, &["up", "--keep"]);
    let why = world.ok(&["events", "--why", "api"]);
    why.says(&[
        "api is failed: exit 3 before it was ready at",
        "no such table",
        "its dependency db is ready",
    ]);
    world.ok(&["events", "--why", "db"]).says(&["db is ready: devstack up (", "started at"]);
    world.ok(&["down"]);
    let why = world.json(0, &["events", "--why", "db", "--json"]);
    let because = &why["services"][0];
    assert_eq!((&because["service"], &because["state"]), (&"db".into(), &"stopped".into()), "{why}");
    let reasons = because["reasons"].to_string();
    assert!(reasons.contains("devstack down (") && reasons.contains("SIGTERM → killed by SIGTERM"), "{why}");
    world.expect(4, &["events", "--why", "nobody"]);
}

#[test]
fn who_is_asked_for_must_be_known() {
    let world = World::new(WELL);
    world.ok(&["up", "db"]);
    let never = || world.ok(&["events", "--why", "web"]).stdout;
    let with = never();
    assert_eq!(with, "web is stopped: it was never asked for\n");
    for args in [["--service", "nosuch"], ["--why", "nosuch"]] {
        world.expect(4, &[&["events"][..], &args].concat()).complains(&["DS041", "nosuch"]);
    }
    assert!(lines(&world, &["--service", "web"]).is_empty(), "it is known, and nothing happened to it");
    for supervisor in world.supervisors() {
        signal(supervisor, Signal::KILL);
        await_that("it is dead", || !alive(supervisor));
    }
    assert_eq!(never(), with, "the same without a supervisor");
    world.ok(&["down"]);
    // A service that was taken out of the manifest is in the journal, and one that is new in the manifest is not.
    world.manifest("services:\n  new: { command: exec sleep 600 }\n");
    assert!(lines(&world, &["--service", "new"]).is_empty());
    world.ok(&["up"]);
    assert!(!lines(&world, &["--service", "db"]).is_empty());
    world.ok(&["events", "--why", "db"]).says(&["db is gone: devstack down ("]);
    world.ok(&["down"]);
}

#[test]
fn a_replay_decides_the_same_and_finds_what_does_not_follow() {
    let world = World::new(WELL);
    world.ok(&["up"]);
    world.ok(&["restart", "web"]);
    world.ok(&["down"]);
    let replay = world.ok(&["events", "--replay"]);
    replay.says(&["start db (life 1)", "signal web (life 1) with SIGTERM", "all of it agrees"]);
    // A receipt of a signal that nobody decided on.
    let path = journal(&world);
    let text = fs::read_to_string(&path).expect("reads");
    fs::write(&path, text.replacen("\"signal\":\"SIGTERM\"", "\"signal\":\"SIGQUIT\"", 1)).expect("writes");
    world.expect(1, &["events", "--replay"]).says(&["DIFFERS", "1 line does not agree"]);
    // Where the beginning was rotated away, it says so.
    let rest: String = text.split_inclusive('\n').skip(1).collect();
    fs::write(&path, rest).expect("writes");
    world.ok(&["events", "--replay"]).says(&["begins in the middle"]);
}

#[test]
fn a_rotated_journal_is_one_and_a_torn_end_spoils_nothing() {
    let world = World::new(WELL);
    world.ok(&["up"]);
    world.ok(&["down"]);
    let all = lines(&world, &[]);
    let path = journal(&world);
    let text = fs::read_to_string(&path).expect("reads");
    let half = text[..text.len() / 2].rfind('\n').expect("lines") + 1;
    fs::write(path.with_extension("1.jsonl"), &text[..half]).expect("writes");
    fs::write(&path, &text[half..]).expect("writes");
    assert_eq!(lines(&world, &[]), all);
    assert_eq!(lines(&world, &["-n", "1000"]), all);
    world.ok(&["events", "--replay"]).says(&["all of it agrees"]);
    let last = text.trim_end().rfind('\n').expect("lines") + 1;
    for cut in [last + 1, last + 9, text.len() - 2] {
        fs::write(&path, &text[half..cut]).expect("writes");
        assert_eq!(lines(&world, &[]), all[..all.len() - 1], "cut at {cut}");
        assert_eq!(lines(&world, &["-n", "2"]), all[all.len() - 3..all.len() - 1], "cut at {cut}");
    }
}
