//! What goes wrong at the start: told in three parts on standard error, rolled back, and exit code 1.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, alive, await_that, find, free_port, stand_in};

const FALLS: &str = "
services:
  first: { command: 'echo $$$$ > first.pid; exec sleep 600' }
  falls:
    command: echo working hard; echo the disk is full >&2; exit 3
    ready: { log: never }
    depends_on: [first]
  last: { command: touch last.begun; exec sleep 600, depends_on: [falls] }
";

fn pid_in(world: &World, file: &str) -> i32 {
    world.read(file).trim().parse().expect("a pid")
}

#[test]
fn one_that_dies_fails_the_up_and_all_of_it_is_taken_back() {
    let world = World::new(FALLS);
    let up = world.expect(1, &["up"]);
    up.complains(&[
        "error[DS028]: falls ended before it was ready: exit 3",
        "the disk is full",
        "working hard",
        "try",
        "devstack logs falls",
        "error[DS034]: last was not started",
        "needs",
    ]);
    up.says(&["failed", "not started", "needs falls", "rolled back"]);
    assert!(!world.path("last.begun").exists());
    assert!(!alive(pid_in(&world, "first.pid")), "what this up started is gone");
    world.await_nothing();
    world.expect(3, &["status"]).says(&["falls", "failed", "not running"]);
    assert!(world.ok(&["logs", "falls"]).stdout.contains("the disk is full"), "the log outlives it");
}

#[test]
fn what_ran_before_is_not_rolled_back() {
    let world = World::new(FALLS);
    world.ok(&["up", "first"]);
    let first = world.pid("first");
    world.expect(1, &["up"]);
    assert_eq!(world.pid("first"), first);
    assert_eq!(world.state("falls"), "failed");
    world.expect(5, &["status"]);
}

#[test]
fn what_was_started_is_kept_on_demand() {
    let world = World::new(FALLS);
    let json = world.json(1, &["up", "--keep", "--json"]);
    assert_eq!(json["ready"], false);
    assert_eq!(find(&json["services"], "first")["outcome"], "started");
    let falls = find(&json["services"], "falls");
    assert_eq!(falls["outcome"], "failed");
    assert_eq!(falls["problem"]["code"], "DS028");
    assert_eq!(find(&json["services"], "last")["needs"], "falls");
    assert_eq!(json["rolled_back"], serde_json::Value::Null);
    assert_eq!(world.pid("first"), pid_in(&world, "first.pid"));
}

#[test]
fn one_that_is_never_ready_is_told_with_all_that_was_seen() {
    let (asked, listens) = (free_port(), free_port());
    let world = World::new(&format!(
        "
services:
  api:
    command: echo booting on another port; exec {stand_in} listen --port {listens}
    health: http://localhost:{asked}/health
    start_timeout: 1s
",
        stand_in = stand_in()
    ));
    let up = world.expect(1, &["up"]);
    up.complains(&[
        "error[DS030]: api was not ready after 1.0s",
        &format!("GET http://localhost:{asked}/health → "),
        "refused",
        &format!("port {listens}"),
        "booting on another port",
        "start_timeout",
    ]);
    world.await_nothing();
}

#[test]
fn a_port_in_use_names_its_holder_before_anything_starts() {
    let held = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = held.local_addr().expect("its address").port();
    let world = World::new(&format!(
        "
services:
  api: {{ command: touch begun; exec sleep 600, ports: [{port}] }}
"
    ));
    let up = world.expect(1, &["up"]);
    let pid = std::process::id();
    up.complains(&[
        &format!("error[DS020]: port {port} (api) is in use"),
        "held by",
        "e2e",
        &format!("pid {pid}"),
        "try",
    ]);
    assert!(!world.path("begun").exists(), "nothing was started");
    world.await_nothing();
    drop(held);
    world.ok(&["up"]);
}

#[test]
fn a_port_of_another_stack_says_whose() {
    let port = free_port();
    let manifest = format!(
        "
name: other
services:
  web: {{ command: [{}, listen, --port, '{port}'], ports: [{port}], ready: {{ port: {port} }} }}
",
        stand_in()
    );
    let other = World::new(&manifest);
    other.ok(&["up"]);
    let world = World::new(&manifest.replace("name: other", "name: mine"));
    let up = world.expect(1, &["up"]);
    up.complains(&["DS020", "of the devstack stack `other`", "checkout down"]);
    assert_eq!(other.state("web"), "ready");
    // A port of this stack that another holds would make every `down` of it unclean.
    world.expect(6, &["down"]).complains(&["of the devstack stack `other`"]);
    other.ok(&["down"]);
}

#[test]
fn a_command_that_is_not_there_is_told_with_path_and_near_names() {
    let world = World::new(
        "
services:
  words: { command: [slepe, '600'] }
  file: { command: [./bin/serve] }
  shell: { command: slepe 600, ready: { log: never } }
",
    );
    let up = world.expect(1, &["up", "words"]);
    up.complains(&["error[DS022]: slepe (words) was not found", "PATH", "similar", "sleep", "try"]);
    let up = world.expect(1, &["up", "file"]);
    up.complains(&["error[DS022]", "bin/serve", "no such file"]);
    // A shell looks for itself; what it says is in the log.
    let up = world.expect(1, &["up", "shell"]);
    up.complains(&["error[DS028]", "exit 127", "slepe: "]);
}

#[test]
fn what_cannot_be_executed_or_entered_is_told() {
    let world = World::new(
        "
services:
  plain: { command: [./plain.txt], ready: { log: never } }
  away: { command: exec sleep 600, working_dir: no/such/place }
  filed: { command: exec sleep 600, working_dir: plain.txt }
",
    );
    fs::write(world.path("plain.txt"), "just text").expect("a file");
    fs::set_permissions(world.path("plain.txt"), fs::Permissions::from_mode(0o644)).expect("a mode");
    world.expect(1, &["up", "plain"]).complains(&["error[DS023]", "plain.txt", "reason", "chmod +x"]);
    world.expect(1, &["up", "away"]).complains(&["error[DS024]", "no/such/place", "no such file"]);
    world.expect(1, &["up", "filed"]).complains(&["error[DS024]", "plain.txt", "not a directory"]);
    fs::set_permissions(world.path("plain.txt"), fs::Permissions::from_mode(0o755)).expect("a mode");
    world.expect(1, &["up", "plain"]).complains(&["plain.txt"]);
}

#[test]
fn a_failed_task_blocks_what_needs_it() {
    let world = World::new(
        "
services:
  migrate: { type: task, command: echo no such table; exit 1 }
  api: { command: touch begun; exec sleep 600, depends_on: { migrate: completed } }
",
    );
    let up = world.expect(1, &["up"]);
    up.complains(&["migrate", "exit 1", "no such table", "DS034"]);
    assert!(!world.path("begun").exists());
    world.await_nothing();
}

#[test]
fn a_time_limit_takes_all_back_and_ends_with_124() {
    let world = World::new(
        "
services:
  quick: { command: 'echo $$$$ > quick.pid; exec sleep 600' }
  slow: { command: exec sleep 600, ready: { log: never }, depends_on: [quick] }
",
    );
    let up = world.expect(124, &["up", "--timeout", "500ms"]);
    up.complains(&["error[DS0", "slow", "try"]);
    assert!(!alive(pid_in(&world, "quick.pid")));
    world.await_nothing();
}

#[test]
fn one_without_a_gate_that_dies_at_once_is_no_success() {
    let world = World::new("services: { falls: { command: echo the disk is full; exit 3 } }");
    let up = world.run(&["up"]);
    // Whether its death was seen before the answer is chance; what is told and the exit code are the same fact.
    let told = up.stdout.contains("failed");
    assert_eq!(up.code, Some(i32::from(told)), "{up:?}");
    if told {
        up.complains(&["error[DS02", "exit 3", "the disk is full"]);
    }
    await_that("its death to be told", || ["failed"].contains(&world.state("falls").as_str()));
    world.run(&["status"]).says(&["falls", "failed", "exit 3"]);
}

#[test]
fn an_attached_up_that_fails_ends_as_any_other() {
    let world = World::new(FALLS);
    let up = world.expect(1, &["up", "--attach"]);
    up.complains(&["error[DS028]", "the disk is full"]);
    assert!(!alive(pid_in(&world, "first.pid")));
    world.await_nothing();
}
