//! The smaller verbs: start, stop, restart, wait, status, events, logs, ls.

use std::time::Duration;

use crate::world::{World, alive, await_that, find};

const TWO: &str = "
name: pair
services:
  db: { command: exec sleep 600 }
  api: { command: exec sleep 600, depends_on: [db] }
  other: { command: exec sleep 600 }
";

#[test]
fn parts_are_started_stopped_and_restarted() {
    let world = World::new(TWO);
    world.ok(&["start", "api"]);
    assert_eq!(world.state("db"), "ready", "what it needs comes with it");
    assert_eq!(world.state("other"), "stopped");
    let (db, api) = (world.pid("db"), world.pid("api"));
    world.ok(&["restart", "db"]);
    assert_ne!(world.pid("db"), db);
    assert_eq!(world.pid("api"), api, "only what was named is restarted");
    let db = world.pid("db");
    world.ok(&["restart", "api"]).says(&["recreated"]);
    assert_eq!(world.pid("db"), db);
    assert!(!alive(api));
    let api = world.pid("api");
    world.ok(&["stop", "api"]);
    assert!(!alive(api));
    assert_eq!(world.state("api"), "stopped");
    assert_eq!(world.pid("db"), db);
    world.ok(&["stop", "api"]);
    world.ok(&["up", "api"]);
    let api = world.pid("api");
    world.ok(&["stop", "db"]).says(&["db"]);
    assert!(!alive(db));
    assert_eq!(world.pid("api"), api, "only what was named is stopped");
    world.ok(&["restart", "other"]);
    assert_eq!(world.state("other"), "ready");
}

#[test]
fn status_tells_by_its_exit_code() {
    let world = World::new(TWO);
    world.expect(3, &["status"]);
    world.expect(3, &["status", "api"]);
    world.ok(&["up"]);
    world.ok(&["status"]).says(&["api", "db", "ready", "pair"]);
    world.ok(&["status", "api"]).says(&["api", "ready"]);
    let json = world.json(0, &["status", "--json"]);
    assert_eq!(json["services"].as_array().map(Vec::len), Some(3));
    assert_eq!(world.json(0, &["status", "api", "--json"])["name"], "api");
    world.ok(&["down"]);
    world.expect(3, &["status"]);
    world.json(3, &["status", "--json"]);
}

#[test]
fn wait_returns_at_the_state_and_not_before() {
    let world = World::new(
        "
services:
  gate: { command: exec sleep 600, ready: { exec: test -e go } }
  job: { type: task, command: 'until test -e go; do sleep 0.02; done' }
",
    );
    world.expect(3, &["wait", "gate"]);
    world.ok(&["wait", "--for", "stopped", "gate"]);
    let up = world.spawn(&["up"]);
    await_that("it to start", || world.state("gate") == "starting");
    let late = world.expect(124, &["wait", "gate", "--timeout", "300ms"]);
    late.complains(&["error[DS0", "gate", "starting"]);
    assert!(late.took >= Duration::from_millis(300));
    let wait = world.spawn(&["wait"]);
    let job = world.spawn(&["wait", "--for", "completed", "job"]);
    let stopped = world.spawn(&["wait", "--for", "stopped", "gate"]);
    std::fs::write(world.path("go"), "").expect("go");
    wait.finish().expect(0, "wait");
    job.finish().expect(0, "wait --for completed");
    up.finish().expect(0, "up");
    world.ok(&["wait", "--for", "healthy", "--timeout", "10s"]);
    world.expect(4, &["wait", "nobody"]);
    world.ok(&["down"]);
    stopped.finish().expect(0, "wait --for stopped");
}

#[test]
fn wait_does_not_wait_for_what_cannot_come() {
    let world = World::new(
        "
services:
  dies: { command: 'until test -e go; do sleep 0.02; done; exit 4', ready: { log: never } }
  runs: { command: exec sleep 600 }
",
    );
    let up = world.spawn(&["up", "--keep"]);
    await_that("it to start", || world.state("dies") == "starting");
    let wait = world.spawn(&["wait", "dies"]);
    std::fs::write(world.path("go"), "").expect("go");
    up.finish().expect(1, "up");
    wait.finish().expect(1, "wait").complains(&["dies", "failed"]);
}

#[test]
fn events_hold_a_receipt_for_each_signal() {
    let world = World::new(TWO);
    world.ok(&["up"]);
    let pids = [world.pid("db"), world.pid("api"), world.pid("other")];
    world.ok(&["down"]);
    let all = world.ok(&["events"]);
    for pid in pids {
        let receipts = all
            .stdout
            .lines()
            .filter(|line| line.contains("SIGTERM to") && line.contains(&format!("pid {pid}")));
        assert_eq!(receipts.count(), 1, "one receipt for {pid} in\n{}", all.stdout);
    }
    all.says(&["up asked for", "down asked for", "started", "verified: nothing is left", "ours by"]);
    let db = world.ok(&["events", "--service", "db"]);
    assert!(db.stdout.contains("db") && !db.stdout.contains("api  "), "{}", db.stdout);
    let json = world.ok(&["events", "--json"]);
    let lines: Vec<serde_json::Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON on each line")).collect();
    assert!(lines.len() >= all.stdout.lines().count());
    assert!(lines.iter().all(|line| line["at"].is_string() || line["at"].is_number()), "{}", json.stdout);
    let secs = world.ok(&["events", "--since", "1h"]);
    assert_eq!(secs.stdout, all.stdout);
    let none = world.ok(&["events", "--since", "0s"]);
    assert_eq!(none.stdout, "");
    world.expect(2, &["events", "--since", "yesterday-ish"]);
}

#[test]
fn events_can_be_followed() {
    let world = World::new(TWO);
    world.ok(&["up", "db"]);
    let mut events = world.spawn(&["events", "-f"]);
    events.read_until("started");
    world.ok(&["up", "other"]);
    events.read_until("other");
}

#[test]
fn all_stacks_are_listed() {
    let world = World::new(TWO);
    world.ok(&["ls"]);
    world.ok(&["up"]);
    let table = world.ok(&["ls"]);
    table.says(&["pair", "running", "/checkout"]);
    let json = world.json(0, &["ls", "--json"]);
    let pair = &json["stacks"][0];
    assert_eq!((&pair["stack"], &pair["ready"], &pair["processes"]), (&"pair".into(), &3.into(), &3.into()));
    assert_eq!(pair["supervisor"], world.supervisors()[0]);
    world.ok(&["down"]);
    let json = world.json(0, &["ls", "--json"]);
    assert_eq!(json["stacks"][0]["processes"], 0);
}

#[test]
fn down_takes_parts_and_tells_what_it_would_do() {
    let world = World::new(TWO);
    world.ok(&["up"]);
    let (db, other) = (world.pid("db"), world.pid("other"));
    let dry = world.ok(&["down", "--dry-run"]);
    dry.says(&["db", "api", "other"]);
    assert!(alive(db) && alive(other));
    world.ok(&["down", "db"]);
    assert!(!alive(db));
    assert_eq!(world.pid("other"), other);
    world.ok(&["up", "--dry-run"]).says(&["db", "start", "other", "keep"]);
    assert_eq!(world.state("db"), "stopped");
    let json = world.json(0, &["down", "--json"]);
    assert_eq!((&json["clean"], &json["ended"], &json["forced"]), (&true.into(), &2.into(), &0.into()));
    world.await_nothing();
    let again = world.json(0, &["down", "--json"]);
    assert_eq!((&again["clean"], &again["ended"]), (&true.into(), &0.into()));
    assert!(find(&world.ps()["services"], "db")["pid"].is_null());
}

#[test]
fn names_that_do_not_exist_are_exit_code_4() {
    let world = World::new(TWO);
    for verb in ["up", "start", "port", "url"] {
        world.expect(4, &[verb, "dbb"]).complains(&["error[DS0", "dbb", "db"]);
    }
    world.ok(&["up"]);
    for verb in ["up", "start", "stop", "restart", "down", "ps", "status", "logs", "wait", "port", "url"] {
        world.expect(4, &[verb, "dbb"]).complains(&["error[DS0", "dbb", "db"]);
    }
    // A word that cannot be a name is a mistake of the command line or no such service, never a crash.
    for name in ["", "a/b", "..", "-"] {
        let out = world.run(&["up", name]);
        assert!(matches!(out.code, Some(2 | 4)), "{name:?}: {out:?}");
    }
}
