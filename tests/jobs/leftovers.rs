//! What a command leaves behind in its tree ends with it; what only looks like it does not.

use std::process::Stdio;

use crate::world::{World, finish, kill, list, until};
use crate::{STACK, each, job};

/// A daemon in a session of its own, with an environment of its own, whose parents are gone.
fn daemon(world: &World) -> String {
    format!("(setsid env -i {} wait >/dev/null 2>&1 </dev/null & ) & wait", world.program("left").display())
}

#[test]
fn a_daemon_survives_bare_and_not_in_a_job() {
    each(STACK, |world| {
        let looks_alike = world.start("left", &["wait"], &world.beside("elsewhere"));
        let script = daemon(world);
        // By itself: it stays.
        let mut bare = std::process::Command::new("sh");
        bare.args(["-c", &script]).current_dir(world.dir()).stdin(Stdio::null());
        finish(bare).expect(0);
        world.await_living(2);
        for pid in world.living().into_keys().filter(|pid| *pid != looks_alike.pid()) {
            kill(pid, rustix::process::Signal::KILL);
        }
        world.await_living(1);
        // As a job: it ends, and is told.
        let script = format!(
            "{script}; until [ -e done ]; do ls /proc/*/exe -l 2>/dev/null | grep -c 'left$' >n; \
             [ \"$(cat n)\" -ge 2 ] && touch done; done; rm done"
        );
        let ran = finish(job(world, &[], &["sh", "-c", &script])).expect(0);
        assert!(ran.err.contains("1 left behind, ended: left "), "{}", ran.err);
        world.assert_none_but(&[&looks_alike]);
    });
}

#[test]
fn what_is_deaf_is_ended_by_force() {
    let world = World::new(STACK);
    let script = format!(
        "{} deaf & until [ -e /proc/$!/exe ]; do :; done; echo $!; exec sleep 600",
        world.program("deaf").display()
    );
    let mut run = job(&world, &[], &["sh", "-c", &script]);
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    world.await_living(1);
    let pid = i32::try_from(child.id()).expect("a number");
    // Deaf means: it ignores SIGTERM. The second one is not to be ignored.
    kill(pid, rustix::process::Signal::TERM);
    until("the command has ended", || {
        world.ps()["services"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["kind"] == "job" && one["state"] == "stopping"))
    });
    kill(pid, rustix::process::Signal::TERM);
    let status = child.wait().expect("it ends");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    world.assert_none_but(&[]);
}

#[test]
fn a_time_limit_ends_the_tree() {
    each(STACK, |world| {
        let left = world.program("left");
        let script = format!("setsid {} wait & exec {} wait", left.display(), left.display());
        let ran = finish(job(world, &["--timeout", "300ms"], &["sh", "-c", &script])).expect(124);
        assert!(ran.err.contains("time limit of 300ms → killed by SIGTERM"), "{}", ran.err);
        world.assert_none_but(&[]);
    });
}

#[test]
fn a_stack_that_was_brought_up_inside_outlives_the_job() {
    let world = World::new(STACK);
    let script = format!("{} up", env!("CARGO_BIN_EXE_devstack"));
    finish(job(&world, &["-q"], &["sh", "-c", &script])).expect(0);
    let web = world.pid("web");
    assert!(world.living().contains_key(&web));
    let report = world.down(&[], 0);
    assert_eq!(list(&report, "services").len(), 1, "{report:#}");
    world.assert_none_but(&[]);
}
