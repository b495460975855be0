//! `up` on a stack that runs: only what is missing or changed starts, and two at once are no trouble.

use crate::world::{World, alive, await_that, find};

const THREE: &str = "
services:
  a: { command: echo run >> a.runs; exec sleep 600 }
  b: { command: echo run >> b.runs; exec sleep 600, depends_on: [a] }
  c: { command: echo run >> c.runs; exec sleep 600, depends_on: [b] }
  t: { type: task, command: echo run >> t.runs }
";

#[test]
fn nothing_is_started_twice() {
    let world = World::new(THREE);
    world.ok(&["up"]);
    let pids: Vec<i32> = ["a", "b", "c"].iter().map(|name| world.pid(name)).collect();
    let again = world.ok(&["up"]);
    again.says(&["all unchanged", "4 of 4 ready"]);
    let after: Vec<i32> = ["a", "b", "c"].iter().map(|name| world.pid(name)).collect();
    assert_eq!(pids, after);
    let json = world.json(0, &["up", "--json"]);
    assert_eq!(json["ready"], true);
    for name in ["a", "b", "c", "t"] {
        assert_eq!(find(&json["services"], name)["outcome"], "unchanged");
        assert_eq!(world.lines(&format!("{name}.runs")), 1, "{name}");
    }
}

#[test]
fn only_the_changed_and_the_missing_start() {
    let world = World::new(THREE);
    world.ok(&["up"]);
    let (a, b, c) = (world.pid("a"), world.pid("b"), world.pid("c"));
    world.manifest(&THREE.replace("b.runs; exec sleep 600", "b.runs; exec sleep 601"));
    let up = world.ok(&["up"]);
    up.says(&["1 recreated", "3 unchanged"]);
    assert!(!alive(b));
    assert_ne!(world.pid("b"), b);
    assert_eq!((world.pid("a"), world.pid("c")), (a, c), "the others run on");
    assert_eq!(world.lines("b.runs"), 2);
    world.ok(&["stop", "c"]);
    assert!(!alive(c));
    let up = world.ok(&["up"]);
    up.says(&["1 started", "3 unchanged"]);
    assert_eq!(world.pid("a"), a);
    assert_ne!(world.pid("c"), c);
    // What is not a process's own affair takes effect without a new process.
    world.manifest(
        &THREE
            .replace("b.runs; exec sleep 600", "b.runs; exec sleep 601")
            .replace("depends_on: [a]", "depends_on: [a], labels: { x: y }"),
    );
    world.ok(&["up"]).says(&["all unchanged"]);
    assert_eq!(world.service("b")["labels"]["x"], "y");
}

#[test]
fn recreate_starts_anew() {
    let world = World::new(THREE);
    world.ok(&["up"]);
    let (a, b, c) = (world.pid("a"), world.pid("b"), world.pid("c"));
    world.ok(&["up", "--recreate", "b"]).says(&["1 recreated"]);
    assert_eq!(world.pid("a"), a, "what it needs is not what was named");
    assert_ne!(world.pid("b"), b);
    assert_eq!(world.pid("c"), c);
    world.ok(&["up", "--recreate"]).says(&["4 recreated"]);
    for (name, before) in [("a", a), ("b", b), ("c", c)] {
        assert_ne!(world.pid(name), before);
        assert!(!alive(before));
    }
    assert_eq!(world.lines("t.runs"), 2, "a task runs again, too");
}

#[test]
fn a_removed_service_can_be_ended() {
    let world = World::new(THREE);
    world.ok(&["up"]);
    let c = world.pid("c");
    world.manifest(
        THREE.lines().filter(|line| !line.contains("c: {")).collect::<Vec<_>>().join("\n").as_str(),
    );
    world.ok(&["up"]);
    assert!(alive(c), "an up ends nothing that it does not start anew");
    assert_eq!(world.pid("c"), c, "and what runs is shown");
    world.ok(&["down"]).says(&["c"]);
    assert!(!alive(c));
    world.await_nothing();
}

#[test]
fn two_at_once_share_one_supervisor() {
    let world = World::new(THREE);
    let clients: Vec<_> = (0..4).map(|_| world.spawn(&["up"])).collect();
    for client in clients {
        client.finish().expect(0, "up");
    }
    assert_eq!(world.supervisors().len(), 1);
    for name in ["a", "b", "c", "t"] {
        assert_eq!(world.lines(&format!("{name}.runs")), 1, "{name} was started once");
    }
    let keepers = world.processes().iter().filter(|(_, command)| command.contains("__keeper")).count();
    assert_eq!(keepers, 3);
}

#[test]
fn up_while_down_and_down_while_up_end_well() {
    let world = World::new(
        "
services:
  slow: { command: 'trap \"sleep 0.3; exit 0\" TERM; touch trapped; while :; do sleep 0.05; done', ready: { exec: test -e trapped } }
",
    );
    world.ok(&["up"]);
    let down = world.spawn(&["down"]);
    await_that("the stop to have begun", || world.state("slow") != "ready");
    let up = world.run(&["up"]);
    down.finish().expect(0, "down");
    // Either it was told that a down is at work, or it waited and started anew; never half of it.
    match up.code {
        Some(0) => assert_eq!(world.state("slow"), "ready"),
        Some(7) => {
            up.complains(&["error[DS0", "try"]);
            world.await_nothing();
        }
        _ => panic!("{up:?}"),
    }
}

#[test]
fn another_client_has_its_wish_when_the_first_takes_its_own_back() {
    let world = World::new(
        "
services:
  base: { command: exec sleep 600 }
  slow: { command: touch slow.begun; exec sleep 600, ready: { exec: test -e go }, depends_on: [base] }
",
    );
    let first = world.spawn(&["up"]);
    await_that("the first to be at work", || world.path("slow.begun").exists());
    let second = world.spawn(&["up"]);
    await_that("both to have asked", || world.ok(&["events"]).stdout.matches("up asked for").count() == 2);
    first.signal(rustix::process::Signal::INT);
    first.finish().expect(130, "the first");
    std::fs::write(world.path("go"), "").expect("go");
    second.finish().expect(0, "the second");
    assert_eq!((world.state("base"), world.state("slow")), ("ready".to_owned(), "ready".to_owned()));
    assert_eq!(world.supervisors().len(), 1);
}

#[test]
fn a_down_ends_an_up_that_is_at_work() {
    let world = World::new(
        "
services:
  slow: { command: touch slow.begun; exec sleep 600, ready: { log: never } }
",
    );
    let up = world.spawn(&["up"]);
    await_that("it to be at work", || world.path("slow.begun").exists());
    world.ok(&["down"]).says(&["slow", "0 left"]);
    let up = up.finish();
    assert!(matches!(up.code, Some(1 | 7 | 130)), "{up:?}");
    assert!(up.stderr.contains("error[DS0"), "{up:?}");
    world.await_nothing();
}

#[test]
fn a_changed_env_file_changes_its_service() {
    let world = World::new(
        "
services:
  a: { command: exec sleep 600, env_file: [a.env] }
  b: { command: exec sleep 600 }
",
    );
    std::fs::write(world.path("a.env"), "X=1\n").expect("a file");
    world.ok(&["up"]);
    let (a, b) = (world.pid("a"), world.pid("b"));
    std::fs::write(world.path("a.env"), "X=2\n").expect("a file");
    world.ok(&["up"]).says(&["1 recreated", "1 unchanged"]);
    assert_ne!(world.pid("a"), a);
    assert_eq!(world.pid("b"), b);
}
