//! The fields that scripts may count on.

use serde_json::Value;

use crate::world::{World, await_that, find, free_port, stand_in};

fn holds(value: &Value, fields: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for field in fields {
        assert!(object.contains_key(*field), "no {field} in {value}");
    }
}

#[test]
fn json_holds_what_is_promised() {
    let port = free_port();
    let world = World::new(&format!(
        "
name: fields
services:
  web:
    command: [{}, listen, --http, --port, '{port}']
    ports: [{port}]
    health: http://localhost:{port}/
  tree: {{ command: 'sleep 600 & sleep 600 & wait' }}
  job: {{ type: task, command: 'true' }}
",
        stand_in()
    ));
    let up = world.json(0, &["up", "--json"]);
    holds(
        &up,
        &["ready", "timed_out", "cancelled", "seconds", "stack", "dir", "services", "slowest", "rolled_back"],
    );
    holds(&find(&up["services"], "web"), &["name", "outcome", "service", "problem"]);
    let ps = world.ps();
    holds(&ps, &["stack", "dir", "supervisor", "services", "strays"]);
    assert_eq!(ps["stack"], "fields");
    assert_eq!(ps["dir"].as_str().map(str::to_owned), Some(world.dir.to_string_lossy().into_owned()));
    assert_eq!(ps["supervisor"], world.supervisors()[0]);
    let web = find(&ps["services"], "web");
    holds(&web, &["state", "health", "pid", "pgid", "sid", "restarts", "started_at", "ports", "processes"]);
    assert_eq!((&web["state"], &web["health"]), (&"ready".into(), &"healthy".into()));
    let process = &web["processes"][0];
    holds(process, &["pid", "ppid", "pgid", "sid", "command", "cpu_percent", "memory_bytes", "found_by"]);
    assert!(process["memory_bytes"].as_u64() > Some(0));
    assert_eq!(find(&ps["services"], "tree")["processes"].as_array().map(Vec::len), Some(3));
    assert_eq!(find(&ps["services"], "job")["state"], "completed");
    world.ok(&["ps"]).says(&["web", "tree", "sleep 600", "stand-in"]);
    let flat = world.ok(&["ps", "--flat"]);
    assert_eq!(
        flat.stdout.lines().count(),
        5,
        "a head, the server, a shell and two sleeps:\n{}",
        flat.stdout
    );
    let one = world.json(0, &["ps", "tree", "--json"]);
    assert_eq!(one["services"].as_array().map(Vec::len), Some(1));
    let down = world.json(0, &["down", "--json"]);
    holds(&down, &["clean", "ended", "forced", "survivors", "ports", "swept", "seconds"]);
    assert_eq!((&down["clean"], &down["ended"]), (&true.into(), &4.into()));
    assert_eq!((&down["ports"][0]["port"], &down["ports"][0]["free"]), (&port.into(), &true.into()));
    // Without a supervisor the same form.
    await_that("the supervisor has ended", || world.ps()["supervisor"].is_null());
    let ps = world.ps();
    assert_eq!(find(&ps["services"], "web")["state"], "stopped");
}

#[test]
fn json_goes_to_standard_output_alone_and_errors_to_the_other() {
    let world = World::new("services: { falls: { command: exit 9, ready: { log: x } } }");
    let up = world.expect(1, &["up", "--json"]);
    assert_eq!(up.json()["ready"], false);
    up.complains(&["falls", "exit 9"]);
}
