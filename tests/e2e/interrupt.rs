//! Ctrl-C, hangups, closed pipes, lost terminals: the client may end as it likes.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::world::{DEVSTACK, Running, World, alive, await_that, finish};

const SLOW: &str = "
services:
  quick: { command: 'echo $$$$ > quick.pid; exec sleep 600' }
  slow: { command: touch slow.begun; exec sleep 600, ready: { log: never }, depends_on: [quick] }
";

const DEAF: &str = "
services:
  deaf: { command: 'trap \"\" TERM; echo $$$$ > deaf.pid; while :; do sleep 0.05; done', ready: { log: never } }
";

const TALKS: &str = "
services:
  talks: { command: 'echo first words; while :; do sleep 0.1; echo and so on; done' }
";

fn pid_in(world: &World, file: &str) -> i32 {
    await_that(file, || world.lines(file) == 1);
    world.read(file).trim().parse().expect("a pid")
}

#[test]
fn ctrl_c_during_up_takes_it_back() {
    let world = World::new(SLOW);
    let up = world.spawn(&["up"]);
    await_that("the second to run", || world.path("slow.begun").exists());
    up.signal(Signal::INT);
    let out = up.finish().expect(130, "up");
    out.says(&["cancelled", "rolled back"]);
    assert!(!alive(pid_in(&world, "quick.pid")));
    world.await_nothing();
}

#[test]
fn sigterm_during_up_takes_it_back_too() {
    let world = World::new(SLOW);
    let up = world.spawn(&["up"]);
    await_that("the second to run", || world.path("slow.begun").exists());
    up.signal(Signal::TERM);
    up.finish().expect(143, "up");
    world.await_nothing();
}

#[test]
fn ctrl_c_at_any_moment_leaves_nothing() {
    let world = World::new(SLOW);
    for wait in [0, 2, 4, 8, 16, 32, 64, 128] {
        let up = world.spawn(&["up"]);
        // The moment is the point here.
        std::thread::sleep(std::time::Duration::from_millis(wait));
        up.signal(Signal::INT);
        let out = up.finish();
        // Before it listens for signals, one ends it as any program.
        assert!(matches!(out.code, Some(130) | None), "after {wait} ms: {out:?}");
        world.ok(&["down"]);
        world.await_nothing();
    }
}

#[test]
fn a_second_ctrl_c_is_by_force() {
    let world = World::new(DEAF);
    let up = world.spawn(&["up"]);
    let pid = pid_in(&world, "deaf.pid");
    up.signal(Signal::INT);
    await_that("the stop to have begun", || world.state("deaf") == "stopping");
    assert!(alive(pid));
    up.signal(Signal::INT);
    let out = up.finish().expect(130, "up");
    assert!(out.took.as_secs() < 9, "its grace of 10 s was not waited for: {:?}", out.took);
    assert!(!alive(pid));
    world.await_nothing();
}

#[test]
fn ctrl_c_during_down_is_by_force() {
    let world = World::new(&DEAF.replace(", ready: { log: never }", ""));
    world.ok(&["up"]);
    let pid = pid_in(&world, "deaf.pid");
    let down = world.spawn(&["down"]);
    await_that("the stop to have begun", || world.state("deaf") == "stopping");
    down.signal(Signal::INT);
    let out = down.finish();
    assert!(matches!(out.code, Some(0 | 130)), "{out:?}");
    assert!(out.took.as_secs() < 9, "{:?}", out.took);
    assert!(!alive(pid));
    world.await_nothing();
}

#[test]
fn attached_it_shows_the_logs_and_ctrl_c_ends_the_stack() {
    let world = World::new(TALKS);
    let mut up = world.spawn(&["up", "--attach"]);
    let shown = up.read_until("and so on");
    assert!(shown.contains("first words") && shown.contains("talks"), "{shown}");
    let pid = world.pid("talks");
    up.signal(Signal::INT);
    let out = up.finish();
    assert!(matches!(out.code, Some(0 | 130)), "{out:?}");
    assert!(out.stdout.contains("0 left"), "{out:?}");
    assert!(!alive(pid));
    world.await_nothing();
}

#[test]
fn an_attached_client_ends_with_its_stack() {
    let world = World::new(TALKS);
    let mut up = world.spawn(&["up", "--attach"]);
    up.read_until("and so on");
    world.ok(&["down"]);
    up.finish().expect(0, "up --attach");
}

#[test]
fn a_closed_pipe_does_not_matter() {
    let world = World::new(TALKS);
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" up | head -1", DEVSTACK]).current_dir(&world.dir);
    world.environment(&mut shell);
    let out = finish(shell).expect(0, "up | head -1");
    assert_eq!(out.stdout.lines().count(), 1, "{out:?}");
    assert_eq!(world.state("talks"), "ready");
}

#[test]
fn it_works_without_terminal_and_with_everything_closed() {
    let world = World::new(TALKS);
    let mut shell = Command::new("setsid");
    shell.args(["--wait", "sh", "-c", "exec \"$0\" up <&- >&- 2>&-", DEVSTACK]).current_dir(&world.dir);
    world.environment(&mut shell);
    shell.stdin(Stdio::null());
    finish(shell).expect(0, "up without any descriptor");
    assert_eq!(world.state("talks"), "ready");
    assert!(world.ok(&["logs", "talks"]).stdout.contains("first words"));
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" down <&- >&- 2>&-", DEVSTACK]).current_dir(&world.dir);
    world.environment(&mut shell);
    finish(shell).expect(0, "down without any descriptor");
    world.await_nothing();
}

#[test]
fn the_stack_outlives_the_session_that_started_it() {
    let world = World::new(TALKS);
    let mut shell = Command::new("setsid");
    shell.args(["sh", "-c", "\"$0\" up; echo up; exec sleep 600", DEVSTACK]).current_dir(&world.dir);
    world.environment(&mut shell);
    let mut session = Running::start(shell);
    session.read_until("up\n");
    let (pid, supervisors) = (world.pid("talks"), world.supervisors());
    let leader = session.pid();
    // All that a closing terminal would signal: its session's group.
    let group = rustix::process::Pid::from_raw(leader).expect("a pid");
    rustix::process::kill_process_group(group, Signal::HUP).expect("the session is there");
    session.signal(Signal::KILL);
    session.finish();
    assert_eq!(world.pid("talks"), pid);
    assert_eq!(world.supervisors(), supervisors);
    world.ok(&["status"]);
}

#[test]
fn a_killed_client_leaves_a_stack_that_answers() {
    let world = World::new(SLOW);
    let up = world.spawn(&["up"]);
    await_that("the second to run", || world.path("slow.begun").exists());
    up.signal(Signal::KILL);
    up.finish();
    assert_eq!(world.state("slow"), "starting");
    world.ok(&["down"]);
    world.await_nothing();
}
