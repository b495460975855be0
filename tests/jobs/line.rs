//! So many jobs at a time: the others wait in the order in which they came, and nobody who was killed keeps a place.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::world::{World, finish, kill, until};
use crate::{STACK, job};

const TWO: &str = "name: jobs\nlimits: { jobs: 2 }\nservices: { web: { command: stand-in wait } }\n";

/// A job that writes down when it begins, and ends when it is let go.
fn begin(world: &World, name: &str) -> Child {
    let script = format!("echo {name} >>begun; until [ -e go.{name} ]; do sleep 0.02; done");
    let err = fs::File::create(world.dir().join(format!("err.{name}"))).expect("a file");
    job(world, &["--name", name], &["sh", "-c", &script]).stderr(err).spawn().expect("it starts")
}

fn begun(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.dir().join("begun")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn said(world: &World, name: &str) -> String {
    fs::read_to_string(world.dir().join(format!("err.{name}"))).unwrap_or_default()
}

fn go(world: &World, name: &str) {
    fs::write(world.dir().join(format!("go.{name}")), "").expect("written");
}

fn waits(world: &World, name: &str) {
    until(&format!("{name} waits"), || said(world, name).contains("waiting for a place: 2 of 2 jobs run ("));
}

#[test]
fn the_others_wait_in_the_order_in_which_they_came() {
    let world = World::new(TWO);
    let mut jobs = Vec::new();
    for name in ["a", "b"] {
        jobs.push(begin(&world, name));
        until("it runs", || begun(&world).contains(&name.to_owned()));
    }
    for name in ["c", "d", "e"] {
        jobs.push(begin(&world, name));
        waits(&world, name);
    }
    let (a, b) = (jobs[0].id(), jobs[1].id());
    assert!(said(&world, "c").contains(&format!("(a {a}, b {b})")), "{}", said(&world, "c"));
    let refused = finish(job(&world, &["--no-wait"], &["touch", "ran"])).expect(7);
    assert!(refused.err.contains("DS057") && refused.err.contains(&format!("a {a}")), "{}", refused.err);
    assert!(!world.dir().join("ran").exists());
    assert_eq!(begun(&world), ["a", "b"]);
    for (ends, begins) in [("b", "c"), ("a", "d"), ("c", "e")] {
        go(&world, ends);
        until("the next one runs", || begun(&world).last().is_some_and(|last| last == begins));
    }
    assert_eq!(begun(&world), ["a", "b", "c", "d", "e"]);
    for name in ["d", "e"] {
        go(&world, name);
    }
    for mut job in jobs {
        assert!(job.wait().expect("it ends").success());
    }
}

#[test]
fn who_was_killed_keeps_no_place() {
    let world = World::new(TWO);
    let mut jobs: Vec<Child> = ["a", "b"].into_iter().map(|name| begin(&world, name)).collect();
    until("both run", || begun(&world).len() == 2);
    for name in ["c", "d"] {
        jobs.push(begin(&world, name));
        waits(&world, name);
    }
    // One that waits, then one that runs: the place is the next one's.
    for at in [2, 0] {
        kill(i32::try_from(jobs[at].id()).expect("a number"), Signal::KILL);
        jobs[at].wait().expect("it ends");
    }
    until("the last one runs", || begun(&world).last().is_some_and(|last| last == "d"));
    assert!(!begun(&world).contains(&"c".to_owned()));
    world.down(&[], 0);
    for mut job in jobs {
        assert!(!job.wait().expect("it ends").success());
    }
}

#[test]
fn a_down_sends_the_waiting_ones_away() {
    for supervised in [false, true] {
        let world = World::new(TWO);
        if supervised {
            world.up();
        }
        let mut jobs: Vec<Child> = ["a", "b"].into_iter().map(|name| begin(&world, name)).collect();
        until("both run", || begun(&world).len() == 2);
        for name in ["c", "d"] {
            jobs.push(begin(&world, name));
            waits(&world, name);
        }
        let report = world.down(&[], 0);
        assert_eq!(report["swept"], serde_json::json!([]), "none began to be swept: {report:#}");
        for (at, name) in [(2, "c"), (3, "d")] {
            assert_eq!(jobs[at].wait().expect("it ends").code(), Some(7));
            let said = said(&world, name);
            assert!(said.contains("DS043") && said.contains("the stack is being ended"), "{said}");
        }
        let mut names = begun(&world);
        names.sort();
        assert_eq!(names, ["a", "b"]);
        for mut job in jobs.drain(..2) {
            assert!(!job.wait().expect("it ends").success());
        }
        // The next one is none of those that were sent away.
        finish(job(&world, &["--no-wait"], &["true"])).expect(0);
    }
}

#[test]
fn none_begins_while_a_down_is_at_work() {
    let world = World::new(STACK);
    let script = "trap ': >asked; until [ -e go ]; do sleep 0.02; done; exit' TERM; touch runs; \
                  while :; do sleep 0.02; done";
    let mut slow = job(&world, &["-q"], &["sh", "-c", script]).spawn().expect("it starts");
    until("it runs", || world.dir().join("runs").exists());
    let mut down = world.command(&["down"]);
    let mut down = down.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("it is asked", || world.dir().join("asked").exists());
    let refused = finish(job(&world, &[], &["touch", "ran"])).expect(7);
    assert!(refused.err.contains("DS043"), "{}", refused.err);
    fs::write(world.dir().join("go"), "").expect("written");
    assert!(down.wait().expect("it ends").success());
    slow.wait().expect("it ends");
    assert!(!world.dir().join("ran").exists());
    finish(job(&world, &[], &["true"])).expect(0);
}

#[test]
fn the_manifest_says_how_long_a_job_may_take() {
    let world =
        World::new("name: jobs\nlimits: { job_timeout: 200ms }\nservices: { web: { command: \"true\" } }\n");
    finish(job(&world, &[], &["sleep", "600"])).expect(124);
    let mut long = job(&world, &["-q", "--timeout", "60s"], &["sleep", "0.3"]);
    assert!(long.stdout(Stdio::null()).status().expect("it runs").success());
}
