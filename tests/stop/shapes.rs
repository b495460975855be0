//! Every way in which a process leaves its parent: each is alive before `down`, none is after it, and a look-alike
//! started beside the stack survives.

use crate::world::{Started, World, list, runs, until};

/// What the service does, and how many processes it is when it has done it.
const SHAPES: &[(&str, &str, usize)] = &[
    ("plain", "child", 2),
    ("many", "child --count 20", 21),
    ("session", "child --session", 2),
    ("group", "child --group", 2),
    ("double_fork", "child --double-fork --session", 2),
    ("env_cleared", "child --session --env-clear", 2),
    ("daemon_env", "child --session --double-fork --env-clear --chdir --close", 2),
    ("titled", "child --session --double-fork --env-clear --chdir --title kworker/0:1", 2),
    ("leader_ended", "child --session --double-fork --env-clear --chdir --close --leader-ends 200", 1),
    ("deaf", "child --session --deaf --env-clear", 2),
    ("no_term", "child --group --no-term", 2),
    ("stopped", "child --stopped", 2),
    ("stopped_session", "child --session --stopped --env-clear", 2),
    ("daemonize", "daemonize --env-clear", 1),
    ("respawn", "respawn --times 3", 1),
    ("respawn_env", "respawn --times 3 --env-clear", 1),
    ("hop", "hop --times 60 --every 50", 1),
    ("tree", "tree --depth 3 --width 4", 85),
    ("zombie", "zombie", 1),
];

/// A service that says `child`, `tree` or `respawn` has done what it does.
fn manifest(shape: &str) -> String {
    let restart = "stop_grace_period: 1s";
    let ready = match shape.split(' ').next() {
        Some("child" | "daemonize") => ", ready: { log: 'child [0-9]+' }",
        Some("tree") => ", ready: { log: tree of }",
        Some("respawn") => ", ready: { log: respawn }",
        _ => "",
    };
    // A service that daemonizes ends at once, which is no readiness.
    let ready = if shape.starts_with("daemonize") || shape.contains("leader-ends") { "" } else { ready };
    format!("services:\n  api: {{ command: stand-in {shape} --life 600, {restart}{ready} }}\n")
}

/// Starts the shape beside the stack: same program, same arguments, another parent.
fn canary(world: &World) -> Started {
    world.start("stand-in", &["wait", "--life", "600"], &world.beside("other"))
}

fn ends_whole(world: &World, name: &str, shape: &str, count: usize) {
    let canary = canary(world);
    world.run(&["up"]).expect(0);
    let many = || world.living().len() == count + 1;
    // Where its leader ends at once, what it left may have been ended before we look, on a busy machine.
    let brief = shape.starts_with("hop") || shape.starts_with("daemonize");
    let over = || brief && world.service("api")["state"] != "ready";
    if shape.starts_with("hop") {
        until("it hops", || world.living().len() > 1 || over());
    } else {
        until(&format!("{name}: {count} processes"), || many() || over());
    }
    let before = world.living();
    let report = world.down(&[], 0);
    let after = world.living();
    assert_eq!(after.keys().collect::<Vec<_>>(), [&canary.pid()], "{name}: {before:?} → {after:?}\n{report}");
    assert_eq!(report["clean"], true, "{name}: {report}");
    assert!(list(&report, "survivors").is_empty());
    assert!(runs(canary.pid()));
}

#[test]
fn nothing_is_left_of_any_shape() {
    for (name, shape, count) in SHAPES {
        ends_whole(&World::new(&manifest(shape)), name, shape, *count);
    }
}

#[test]
fn nothing_is_left_of_any_shape_for_a_plain_user() {
    for (name, shape, count) in SHAPES {
        ends_whole(&World::plain(&manifest(shape)), name, shape, *count);
    }
}

#[test]
fn nothing_is_left_of_any_shape_by_force() {
    for (name, shape, count) in SHAPES {
        let world = World::plain(&manifest(shape));
        let canary = canary(&world);
        world.run(&["up"]).expect(0);
        if *name != "hop" {
            until(&format!("{name}: {count} processes"), || world.living().len() == count + 1);
        }
        world.down(&["--force"], 0);
        world.assert_none_but(&[&canary]);
    }
}
