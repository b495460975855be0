//! Receipts: who asked for each signal, why, whom it was sent to, and what became of him.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{Running, World, alive, await_that, signal};

/// A leader that ends with 7 when it is asked, and a child that does not hear.
const DEAF_CHILD: &str = "
services:
  api: { command: 'sh -c \"trap : TERM; echo \\$\\$ > deaf.pid; while :; do sleep 0.05; done\" & trap \"exit 7\" TERM; echo $$$$ > lead.pid; while :; do sleep 0.05; done' }
";

const SICK: &str = "
services:
  sick: { command: 'exec sleep 600', health: { exec: 'test ! -e ill', interval: 50ms, retries: 2, on_failure: restart } }
  leaves: { command: 'sleep 600 & until test -e go; do sleep 0.05; done; exit 3' }
";

/// The lines of the journal that hold this, with who asked.
fn lines(world: &World, what: &str) -> Vec<Value> {
    let text = world.ok(&["events", "--json"]).stdout;
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    lines.filter(|line| !line[what].is_null()).collect()
}

fn pid_in(world: &World, file: &str) -> i64 {
    await_that(file, || world.lines(file) == 1);
    world.read(file).trim().parse().expect("a pid")
}

fn whoami() -> String {
    let out = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[test]
fn a_receipt_says_who_asked_and_what_became_of_it() {
    let world = World::new(DEAF_CHILD);
    // It looks the same and is nobody's: no receipt may name it.
    let mut stranger = Command::new("sleep");
    stranger.arg("600").stdin(Stdio::null());
    let stranger = Running::start(stranger);
    world.ok(&["up"]);
    let (leader, deaf) = (pid_in(&world, "lead.pid"), pid_in(&world, "deaf.pid"));
    let down = world.spawn(&["down", "--timeout", "300ms"]);
    let client = down.pid();
    down.finish().expect(0, "down");
    let receipts = lines(&world, "receipt");
    for receipt in &receipts {
        assert_eq!(receipt["by"]["verb"], "down", "{receipt}");
        assert_eq!(receipt["by"]["pid"], client, "{receipt}");
        assert_eq!(receipt["by"]["user"], whoami().as_str(), "{receipt}");
        assert_eq!(receipt["receipt"]["why"], "request", "{receipt}");
        assert_ne!(receipt["receipt"]["process"]["pid"], stranger.pid(), "{receipt}");
    }
    let sent = |pid: i64, signal: &str| {
        let receipts = receipts.iter().map(|line| &line["receipt"]);
        let found = receipts.filter(|one| one["process"]["pid"] == pid && one["signal"] == signal).count();
        assert_eq!(found, 1, "{signal} to {pid}: {receipts:?}", receipts = lines(&world, "receipt"));
    };
    sent(leader, "SIGTERM");
    sent(deaf, "SIGTERM");
    sent(deaf, "SIGKILL");
    let outcomes = lines(&world, "outcome");
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    let ends = outcomes[0]["outcome"]["ends"].as_array().expect("ends");
    let end = |pid: i64| ends.iter().find(|end| end["process"]["pid"] == pid).expect("an end");
    assert_eq!(end(leader)["exit"]["code"], 7, "{ends:?}");
    assert_eq!(end(leader)["forced"], false, "{ends:?}");
    assert_eq!(end(deaf)["forced"], true, "{ends:?}");
    // Only newer kernels tell how somebody else's child ended.
    assert!(end(deaf)["exit"].is_null() || end(deaf)["exit"]["signal"] == "SIGKILL", "{ends:?}");
    assert!(end(deaf)["after_ms"].as_u64() >= Some(200), "{ends:?}");
    let asked = format!("devstack down ({}, pid {client}) asked to stop it", whoami());
    let told = world.ok(&["events", "--service", "api"]);
    told.says(&[&asked, "SIGTERM → exit 7 in", &format!("pid {deaf}: SIGTERM → SIGKILL →")]);
    assert!(alive(stranger.pid()), "nobody had asked for that");
}

#[test]
fn what_the_supervisor_does_by_itself_bears_its_own_name() {
    let world = World::new(SICK);
    world.ok(&["up"]);
    let supervisor = world.supervisors()[0];
    std::fs::write(world.path("ill"), "").expect("written");
    std::fs::write(world.path("go"), "").expect("written");
    let found = |unit: &str, why: &str| {
        lines(&world, "receipt").into_iter().find(|line| {
            let receipt = &line["receipt"];
            receipt["unit"] == unit && receipt["why"] == why
        })
    };
    for (unit, why) in [("sick", "unhealthy"), ("leaves", "left_behind")] {
        await_that(why, || found(unit, why).is_some());
        let receipt = found(unit, why).expect("just seen");
        assert_eq!(receipt["by"]["verb"], "supervisor", "{receipt}");
        assert_eq!(receipt["by"]["pid"], supervisor, "{receipt}");
        assert!(receipt["receipt"]["request"].is_null(), "{receipt}");
    }
    std::fs::remove_file(world.path("ill")).expect("ours");
    // In its pause before another try there is nothing to signal.
    await_that("it to be well again", || world.service("sick")["health"] == "healthy");
    world.ok(&["restart", "sick"]);
    assert_eq!(found("sick", "recreate").expect("it ran")["by"]["verb"], "restart");
    signal(supervisor, Signal::TERM);
    world.await_nothing();
    let last = found("sick", "request").expect("it ran");
    assert_eq!(last["by"]["verb"], "SIGTERM", "{last}");
    assert!(last["by"]["pid"].is_null(), "the kernel does not tell who sent it: {last}");
}

#[test]
fn what_an_up_takes_back_is_its_own() {
    let world = World::new(
        "
services:
  good: { command: exec sleep 600 }
  bad: { command: exit 4, depends_on: [good], ready: { log: never } }
",
    );
    let up = world.spawn(&["up"]);
    let client = up.pid();
    up.finish().expect(1, "up");
    let receipts = lines(&world, "receipt");
    assert!(!receipts.is_empty());
    for receipt in receipts {
        assert_eq!(receipt["receipt"]["why"], "rollback", "{receipt}");
        assert_eq!(
            (&receipt["by"]["verb"], &receipt["by"]["pid"]),
            (&"up".into(), &client.into()),
            "{receipt}"
        );
    }
}
