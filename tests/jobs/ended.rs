//! `down` ends jobs as it ends services: with a supervisor and without, and when `devstack run` itself was killed.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, finish, kill, list, number, runs, until};
use crate::{STACK, each, job};

/// A job of two processes: its leader, and one that has left its session and its environment.
pub(crate) fn start(world: &World) -> Child {
    let left = world.program("left");
    let script = format!("setsid env -i {0} wait & exec {0} wait", left.display());
    let before = world.living().len();
    let child = job(world, &["--name", "tests"], &["sh", "-c", &script]).stderr(Stdio::null()).spawn();
    world.await_living(before + 2);
    child.expect("it starts")
}

fn seen(world: &World) -> Option<Value> {
    let view = world.ps();
    list(&view, "services").iter().find(|one| one["name"] == "job tests").cloned()
}

fn number_of(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("a number")
}

/// A job beside one that only looks like it, which survives what the test does; without a supervisor and with one.
fn each_way(test: impl Fn(&World, Child)) {
    each(STACK, |world| {
        for supervised in [false, true] {
            if supervised {
                world.up();
            }
            let looks_alike = world.start("left", &["wait"], &world.beside("elsewhere"));
            test(world, start(world));
            world.assert_none_but(&[&looks_alike]);
        }
    });
}

#[test]
fn ps_shows_a_job_with_its_tree_and_down_ends_it() {
    each_way(|world, mut child| {
        let shown = seen(world).expect("it is shown");
        assert_eq!((&shown["kind"], &shown["state"]), (&"job".into(), &"ready".into()), "{shown:#}");
        assert_eq!(list(&shown, "processes").len(), 2, "{shown:#}");
        assert_eq!(number(&list(&shown, "processes")[0]["ppid"]), number_of(&child), "{shown:#}");
        let report = world.down(&[], 0);
        let row = list(&report, "services").iter().find(|one| one["name"] == "job tests");
        let row = row.unwrap_or_else(|| panic!("{report:#}"));
        assert_eq!((&row["processes"], &row["signal"]), (&2.into(), &"SIGTERM".into()), "{report:#}");
        let status = child.wait().expect("it ends");
        assert_eq!(status.signal(), Some(15), "{status}");
        assert_eq!(seen(world), None);
    });
}

#[test]
fn down_ends_what_a_killed_run_has_left() {
    each_way(|world, mut child| {
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        let shown = seen(world).expect("it is shown");
        assert_eq!(shown["note"], "its `devstack run` was killed", "{shown:#}");
        let report = world.down(&[], 0);
        assert_eq!(report["clean"], true, "{report:#}");
    });
}

#[test]
fn the_next_run_and_the_next_up_clear_what_a_killed_one_has_left() {
    each(STACK, |world| {
        for supervised in [false, true] {
            let mut child = start(world);
            child.kill().expect("it is ours");
            child.wait().expect("it ends");
            let ran = finish(job(world, &["--name", "tests"], &["true"])).expect(0);
            assert!(
                ran.err.contains("job tests: its `devstack run` was killed; its 2 processes are ended"),
                "{}",
                ran.err
            );
            assert!(ran.err.contains("✓ tests  exit 0"), "its name is free again: {}", ran.err);
            world.assert_none_but(&[]);
            let web = supervised.then(|| {
                world.up();
                world.pid("web")
            });
            let mut child = start(world);
            child.kill().expect("it is ours");
            child.wait().expect("it ends");
            world.up();
            until("only the service is left", || world.living().len() == 1);
            assert!(web.is_none_or(runs), "the service was not touched");
            world.down(&[], 0);
            world.assert_none_but(&[]);
        }
    });
}

#[test]
fn what_several_killed_ones_have_left_is_asked_at_once() {
    let world = World::new(STACK);
    let mut runs = Vec::new();
    for (own, other) in [("a", "b"), ("b", "a")] {
        // Each ends only after the other was asked too.
        let script = format!(
            "trap 'touch heard.{own}; until [ -e heard.{other} ]; do sleep 0.02; done; touch done.{own}; exit' TERM; \
             touch runs.{own}; while :; do sleep 0.02; done"
        );
        runs.push(job(&world, &["--name", own], &["sh", "-c", &script]).spawn().expect("it starts"));
        until("it runs", || world.dir().join(format!("runs.{own}")).exists());
    }
    for mut run in runs {
        run.kill().expect("it is ours");
        run.wait().expect("it ends");
    }
    finish(job(&world, &[], &["true"])).expect(0);
    assert!(
        ["done.a", "done.b"].iter().all(|name| world.dir().join(name).exists()),
        "one waited for the other"
    );
}

#[test]
fn a_signal_to_run_is_a_signal_to_the_job() {
    let world = World::new(STACK);
    world.up();
    let (web, supervisor) = (world.pid("web"), world.supervisor());
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR1] {
        let mut child = start(&world);
        kill(number_of(&child), signal);
        let status = child.wait().expect("it ends");
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        world.await_living(1);
    }
    // Nobody else has heard of any of it.
    assert_eq!((world.pid("web"), world.supervisor()), (web, supervisor));
    let view = world.ps();
    assert_eq!(list(&view, "services").len(), 1, "{view:#}");
    world.down(&[], 0);
}

#[test]
fn a_supervisor_that_was_killed_lets_jobs_run_on() {
    let world = World::new(STACK);
    world.up();
    let mut child = start(&world);
    kill(world.supervisor(), Signal::KILL);
    world.up();
    assert!(child.try_wait().expect("ours").is_none(), "the next supervisor leaves it alone");
    assert_eq!(list(&seen(&world).expect("it is shown"), "processes").len(), 2);
    world.down(&[], 0);
    assert_eq!(child.wait().expect("it ends").signal(), Some(15));
    world.assert_none_but(&[]);
}
