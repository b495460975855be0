//! The order of a start, as the services themselves have seen it.

use crate::world::{World, alive, stat};

const GRAPH: &str = "
name: graph
services:
  api:
    command: date +%s%N > api.begun; exec sleep 600
    depends_on: { db: healthy, migrate: completed }
  migrate:
    type: task
    command: date +%s%N > migrate.begun; sleep 0.2; date +%s%N > migrate.ended
    depends_on: { db: healthy }
  db:
    command: sleep 0.3; date +%s%N > db.ready; exec sleep 600
    ready: { exec: test -s db.ready }
  side:
    command: date +%s%N > side.begun; exec sleep 600
    depends_on: { db: started }
  alone:
    command: date +%s%N > alone.begun; exec sleep 600
";

#[test]
fn a_graph_starts_in_order_and_as_parallel_as_it_can() {
    let world = World::new(GRAPH);
    let out = world.ok(&["up"]);
    assert!(world.stamp("migrate.begun") >= world.stamp("db.ready"), "healthy is waited for");
    assert!(world.stamp("api.begun") >= world.stamp("migrate.ended"), "completed is waited for");
    assert!(world.stamp("side.begun") < world.stamp("db.ready"), "started does not wait for healthy");
    assert!(world.stamp("alone.begun") < world.stamp("db.ready"), "what needs nothing waits for nothing");
    out.says(&["SERVICE", "STATE", "TIME", "PID", "completed", "5 of 5 ready in", "slowest db", "5 started"]);
    let slowest = out.stdout.lines().last().expect("the summary");
    assert!(slowest.contains("migrate") && slowest.contains("api"), "{slowest}");
    // Progress and the like belong to standard error, one line per change.
    out.complains(&["db", "starting", "ready", "migrate"]);
    for name in ["api", "db", "side", "alone"] {
        let pid = world.pid(name);
        assert_eq!(
            (stat(pid, 2), stat(pid, 3)),
            (i64::from(pid), i64::from(pid)),
            "{name}'s own group and session"
        );
        let service = world.service(name);
        assert_eq!((&service["pgid"], &service["sid"]), (&service["pid"], &service["pid"]));
        let ready = service["ready_ms"].as_u64().expect("a time");
        assert_eq!(ready >= 250, name == "db", "{name} was ready after {ready} ms of its own");
    }
    let pids: Vec<i32> = ["api", "db", "side", "alone"].iter().map(|name| world.pid(name)).collect();
    let down = world.ok(&["down"]);
    down.says(&["stopped in", "0 left", "4 processes ended"]);
    assert!(pids.iter().all(|pid| !alive(*pid)), "when down returns all are gone");
    world.await_nothing();
    let order: Vec<usize> = ["api", "db"].iter().map(|name| down.stdout.find(name).expect("told")).collect();
    assert!(order[0] < order[1], "what needs it is stopped first:\n{}", down.stdout);
}

#[test]
fn a_named_service_brings_what_it_needs_and_nothing_else() {
    let world = World::new(GRAPH);
    world.ok(&["up", "side"]);
    assert_eq!(world.state("side"), "ready");
    assert_eq!(world.state("db"), "ready");
    assert_eq!(world.state("alone"), "stopped");
    assert_eq!(world.state("api"), "stopped");
    assert!(!world.path("alone.begun").exists());
}

#[test]
fn without_dependencies_only_the_named_starts() {
    let world = World::new(GRAPH);
    world.ok(&["up", "--no-deps", "api"]);
    assert_eq!(world.state("api"), "ready");
    assert_eq!(world.state("db"), "stopped");
    assert!(!world.path("migrate.begun").exists());
}

#[test]
fn profiles_add_services() {
    let world = World::new(
        "
services:
  base: { command: exec sleep 600 }
  extra: { command: exec sleep 600, profiles: [more] }
  needs-extra: { command: exec sleep 600, profiles: [other], depends_on: [extra] }
",
    );
    world.ok(&["up"]);
    assert_eq!(world.state("extra"), "stopped");
    let base = world.pid("base");
    world.ok(&["up", "--profile", "more"]);
    assert_eq!(world.state("extra"), "ready");
    assert_eq!(world.state("needs-extra"), "stopped");
    assert_eq!(world.pid("base"), base);
    world.ok(&["down"]);
    // A name is enough, and so is being needed.
    world.ok(&["up", "needs-extra"]);
    assert_eq!(world.state("needs-extra"), "ready");
    assert_eq!(world.state("extra"), "ready");
    assert_eq!(world.state("base"), "stopped");
}
