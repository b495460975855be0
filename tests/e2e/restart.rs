//! Restart policies: back-off, crash loops, and services that are to run for ever.

use rustix::process::Signal;

use crate::world::{World, alive, await_that, signal, until};

#[test]
fn a_failure_is_started_again_until_it_is_ready() {
    let world = World::new(
        "
services:
  third:
    command: date +%s%N >> runs; test $(wc -l < runs) -ge 3 || exit 1; touch up; exec sleep 600
    ready: { exec: test -e up }
    restart: on-failure
",
    );
    world.ok(&["up"]);
    assert_eq!(world.service("third")["restarts"], 2);
    let runs: Vec<u128> = world.read("runs").lines().map(|line| line.parse().expect("a time")).collect();
    assert_eq!(runs.len(), 3);
    assert!(runs[2] - runs[1] > runs[1] - runs[0], "the second wait is longer: {runs:?}");
}

#[test]
fn a_crash_loop_is_told_as_one() {
    let world = World::new(
        "
services:
  crashes:
    command: echo run >> runs; echo cannot open the socket; exit 7
    restart: on-failure:2
    ready: { log: never }
",
    );
    let up = world.expect(1, &["up"]);
    up.complains(&["error[DS032]: crashes died 3 times", "exit 7", "cannot open the socket", "try"]);
    assert_eq!(world.lines("runs"), 3);
    world.await_nothing();
}

#[test]
fn a_running_service_that_dies_is_brought_back_or_told() {
    let world = World::new(
        "
services:
  comes: { command: exec sleep 600, restart: on-failure }
  always: { command: 'until test -e go; do sleep 0.02; done; rm go; exit 0', restart: always }
  stays: { command: exec sleep 600 }
  fine: { command: 'until test -e end; do sleep 0.02; done', restart: on-failure }
",
    );
    world.ok(&["up"]);
    let (comes, always, stays) = (world.pid("comes"), world.pid("always"), world.pid("stays"));
    signal(comes, Signal::KILL);
    std::fs::write(world.path("go"), "").expect("go");
    let back = |name: &str, before: i32| {
        until(name, || {
            let service = world.service(name);
            let pid = service["pid"].as_i64().unwrap_or_default();
            if service["state"] == "ready" && pid != i64::from(before) {
                Ok(())
            } else {
                Err(service.to_string())
            }
        });
    };
    back("comes", comes);
    back("always", always);
    world.ok(&["status"]);
    signal(stays, Signal::KILL);
    await_that("its death to be told", || world.state("stays") == "failed");
    world.expect(5, &["status"]).says(&["stays", "failed", "SIGKILL"]);
    world.ok(&["events", "--service", "stays"]).says(&["SIGKILL"]);
    std::fs::write(world.path("end"), "").expect("end");
    await_that("a good end to be told", || world.service("fine")["pid"].is_null());
    assert!(["stopped", "completed", "failed"].contains(&world.state("fine").as_str()));
    // The next up starts what is missing.
    std::fs::remove_file(world.path("end")).expect("not the end");
    world.ok(&["up"]).says(&["2 started", "2 unchanged"]);
    assert!(alive(world.pid("stays")));
}

#[test]
fn a_stop_ends_the_wait_for_the_next_start() {
    let world = World::new(
        "
services:
  crashes: { command: echo run >> runs; exit 1, restart: on-failure }
",
    );
    // It counts as started at once: it has no gate.
    world.run(&["up"]);
    let down = world.ok(&["down"]);
    down.says(&["0 left"]);
    world.await_nothing();
}

#[test]
fn a_restart_that_fails_is_told_and_leaves_the_others() {
    let world = World::new(
        "
services:
  base: { command: exec sleep 600 }
  api: { command: 'test ! -e broken || exit 5; touch up; exec sleep 600', ready: { exec: test -e up }, depends_on: [base] }
",
    );
    world.ok(&["up"]);
    let base = world.pid("base");
    std::fs::remove_file(world.path("up")).expect("it was there");
    std::fs::write(world.path("broken"), "").expect("broken");
    world.expect(1, &["restart", "api"]).complains(&["error[DS028]", "exit 5", "devstack logs api"]);
    assert_eq!(world.pid("base"), base);
    assert_eq!(world.state("api"), "failed");
    std::fs::remove_file(world.path("broken")).expect("mended");
    world.ok(&["restart", "api"]);
    world.ok(&["status"]);
}
