//! What the processes of a stack take is seen as the kernel sees it, and told once where it is too much.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{Ran, World, kill, list, number, runs, until};

/// One of many, one of two.
const SHOP: &str = "
services:
  many: { command: stand-in crowd --count 12, ready: { log: crowd of } }
  few: { command: stand-in crowd --count 2, ready: { log: crowd of } }
";

/// Thresholds that `many` alone crosses.
fn watched(alert: &str) -> String {
    format!("{SHOP}monitor: {{ interval: 100ms, alert: {alert} }}\n")
}

fn service<'a>(look: &'a Value, name: &str) -> &'a Value {
    list(look, "services").iter().find(|service| service["name"] == name).expect("it is there")
}

/// Alerts of this kind in the journal, in order: whether each is over.
fn told(world: &World, sign: &str) -> Vec<bool> {
    let events = world.run(&["events", "--json"]).expect(0).out;
    let lines = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let alerts = lines.filter(|line| !line["alert"]["sign"][sign].is_null());
    alerts.map(|line| line["alert"]["over"].as_bool().expect("a word")).collect()
}

fn signs(view: &Value) -> Vec<String> {
    list(view, "alerts").iter().map(|alert| alert["sign"].as_str().expect("a word").to_owned()).collect()
}

/// The resident memory of all these processes together, as the kernel tells it.
fn resident(pids: impl Iterator<Item = i32>) -> u64 {
    let of = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    };
    pids.map(of).sum()
}

fn a_look_is_right(world: &World) {
    let look = world.run(&["monitor", "--once", "--json"]).expect(0).json();
    assert_eq!(look["schema"], "devstack/v1");
    let count = |name: &str| number(&service(&look, name)["processes"]);
    assert_eq!((count("many"), count("few"), number(&look["total"]["processes"])), (12, 2, 14));
    let living = world.living();
    let memory = look["total"]["memory_bytes"].as_u64().expect("a number");
    let judged = resident(living.keys().copied());
    // The kernel counts in batches for each core: both looks may be off by some pages for each process.
    assert!(memory.abs_diff(judged) < judged / 4, "{memory} of {judged}");
    let biggest = &service(&look, "many")["biggest"];
    assert!(living.contains_key(&number(&biggest["pid"])), "{look}");
    assert!(biggest["command"].as_str().is_some_and(|told| told.contains("crowd --count 12")), "{look}");
    assert!(look["total"]["cpu_percent"].as_f64().is_some_and(|share| share < 100.0), "{look}");
}

#[test]
fn a_look_shows_what_the_kernel_shows_with_and_without_a_supervisor() {
    for world in [World::new(SHOP), World::plain(SHOP)] {
        world.up();
        a_look_is_right(&world);
        let table = world.run(&["monitor", "--once"]).expect(0).out;
        let row = table.lines().find(|line| line.starts_with("many")).expect("a row");
        assert!(row.contains(" 12 ") && row.contains("crowd --count 12"), "{table}");
        let supervisor = world.supervisor();
        kill(supervisor, Signal::KILL);
        until("the supervisor is dead", || !runs(supervisor));
        a_look_is_right(&world);
        assert_eq!(world.living().len(), 14, "looking has ended nobody");
        world.down(&[], 0);
        let none = world.run(&["monitor", "--once"]).expect(3);
        assert!(none.err.contains("DS042"), "{}", none.err);
    }
}

#[test]
fn more_processes_than_the_threshold_are_told_once_and_once_when_it_is_over() {
    let world = World::new(&watched("{ pids: 13 }"));
    world.up();
    until("it is seen", || signs(&world.ps()) == ["processes"]);
    let status: Ran = world.run(&["status"]).expect(0);
    let words = "warning: 14 processes, more than 13; most of them: 12 of many";
    assert!(status.err.contains(words), "{}", status.err);
    let events = world.run(&["events"]).expect(0).out;
    assert!(events.contains("14 processes, more than 13"), "{events}");
    let log = fs::read_to_string(world.stack_state().join("supervisor.log")).expect("a log");
    assert!(log.contains("14 processes, more than 13"), "{log}");
    world.run(&["stop", "few"]).expect(0);
    // 12 of 13 is within the tenth that changes nothing.
    let looks = past(&world).len();
    until("some looks more", || past(&world).len() >= looks + 3);
    assert_eq!((signs(&world.ps()), told(&world, "processes")), (vec!["processes".to_owned()], vec![false]));
    world.run(&["start", "few"]).expect(0);
    world.run(&["stop", "many"]).expect(0);
    until("it is over", || signs(&world.ps()).is_empty());
    assert_eq!(told(&world, "processes"), [false, true]);
    world.down(&[], 0);
}

#[test]
fn more_memory_than_the_threshold_is_told_with_who_has_most_and_shared_pages_count_once() {
    // Each has some megabytes resident, and hardly any of its own: fourteen of them are no 20M.
    let world = World::new(&watched("{ memory: 1M, pids: 1000 }"));
    world.up();
    until("it is seen", || signs(&world.ps()) == ["memory"]);
    let alert = list(&world.ps(), "alerts")[0].clone();
    assert!(world.living().contains_key(&number(&alert["pid"])), "{alert}");
    let look = world.run(&["monitor", "--once", "--json"]).expect(0).json();
    assert_eq!(service(&look, "many")["proportional"], true);
    let memory = look["total"]["memory_bytes"].as_u64().expect("a number");
    let judged = resident(world.living().into_keys());
    assert!(memory < judged, "{memory} of {judged}");
    assert_eq!(list(&look, "alerts").len(), 1, "{look}");
    world.down(&[], 0);
}

/// The looks that a supervisor remembers, as `monitor --json` begins with them.
fn past(world: &World) -> Vec<Value> {
    let mut monitor = world.command(&["monitor", "--json", "--interval", "100ms"]);
    let mut child = monitor.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut past = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let look: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        if look["past"] == false {
            break;
        }
        past.push(look);
    }
    // Nobody reads it any more: that ends it.
    child.wait().expect("it ends");
    past
}

#[test]
fn a_supervisor_looks_only_where_something_asks_for_it() {
    let world = World::new(SHOP);
    world.up();
    assert!(past(&world).is_empty());
    world.write(&watched("{ pids: 1000 }"));
    world.up();
    until("it has looked", || past(&world).len() >= 3);
    let look = past(&world).pop().expect("one");
    assert_eq!((number(&look["total"]["processes"]), list(&look, "services").len()), (14, 2));
    world.write(SHOP);
    world.up();
    let looks = past(&world).len();
    // It looks once more at most; whoever watches looks by himself.
    assert!((0..3).all(|_| past(&world).len() <= looks + 1));
    world.down(&[], 0);
}

#[test]
fn watching_goes_on_until_ctrl_c_and_ends_with_130() {
    let world = World::new(SHOP);
    world.up();
    let mut monitor = world.command(&["monitor", "--json", "--interval", "100ms"]);
    let mut child = monitor.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for _ in 0..3 {
        let look: Value = serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
        assert_eq!(number(&look["total"]["processes"]), 14);
    }
    kill(i32::try_from(child.id()).expect("a number"), Signal::INT);
    let ended = child.wait().expect("it ends");
    assert_eq!((ended.code(), ended.signal()), (Some(130), None));
    assert_eq!(world.living().len(), 14, "only the watching has ended");
    world.down(&[], 0);
}
