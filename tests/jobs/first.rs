//! Who is between fork and exec when it is asked to end hears it afterwards; devstack as process 1 sees to its children.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::world::{World, behind, finish, is_root, kill, numbers, skip, stat, until};
use crate::{STACK, job};

#[test]
fn a_copy_that_swallows_its_parents_signal_is_asked_again_as_the_program_it_becomes() {
    if !std::path::Path::new("/usr/bin/perl").exists() {
        return skip("there is no perl");
    }
    let world = World::new(STACK);
    let left = world.program("left").display().to_string();
    let script = format!(
        "$SIG{{TERM}} = sub {{ open F, '>heard' }}; \
         if (!fork) {{ open F, '>forked'; close F; select undef, undef, undef, 0.02 until -e 'go'; \
         exec '{left}', 'wait' }} $SIG{{TERM}} = 'DEFAULT'; sleep 600"
    );
    let mut child = job(&world, &["--name", "copy"], &["perl", "-e", &script]).stderr(Stdio::null()).spawn();
    let child = child.as_mut().expect("it starts");
    until("the copy is there", || world.dir().join("forked").exists());
    kill(i32::try_from(child.id()).expect("a number"), Signal::TERM);
    until("the copy has heard it", || world.dir().join("heard").exists());
    fs::write(world.dir().join("go"), "").expect("written");
    child.wait().expect("it ends");
    world.assert_none_but(&[]);
    let told = world.run(&["events", "--json"]).expect(0).out;
    assert!(told.contains("SIGTERM") && !told.contains("SIGKILL"), "{told}");
}

#[test]
fn what_carried_anothers_mark_is_asked_when_it_does_so_no_longer() {
    let world = World::new(STACK);
    let left = world.program("left").display().to_string();
    let alien = "0123456789abcdef0123456789abcdef";
    let script = format!(
        "env DEVSTACK_STACK_ID={alien} DEVSTACK_LIFE={alien} sh -c 'echo >alien; \
         while [ ! -e go ]; do :; done; exec env -u DEVSTACK_STACK_ID -u DEVSTACK_LIFE {left} wait' & \
         trap 'echo >heard; exit' TERM; while :; do sleep 0.02; done"
    );
    let mut child = job(&world, &["--name", "alien"], &["sh", "-c", &script]).stderr(Stdio::null()).spawn();
    let child = child.as_mut().expect("it starts");
    until("it is there", || world.dir().join("alien").exists());
    kill(i32::try_from(child.id()).expect("a number"), Signal::TERM);
    until("the command has heard it", || world.dir().join("heard").exists());
    fs::write(world.dir().join("go"), "").expect("written");
    child.wait().expect("it ends");
    world.assert_none_but(&[]);
    let told = world.run(&["events", "--json"]).expect(0).out;
    assert!(told.contains("SIGTERM") && !told.contains("SIGKILL"), "{told}");
}

/// Words that make the program behind them process 1; none where that cannot be had here.
fn as_first() -> Option<Vec<&'static str>> {
    let mut enter = vec!["unshare"];
    if !is_root() {
        enter.extend(["--user", "--map-root-user"]);
    }
    enter.extend(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
    let probe = Command::new(enter[0]).args(&enter[1..]).arg("true").stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success()).then_some(enter)
}

#[test]
fn as_process_1_it_runs_passes_signals_on_and_ends_as_the_command_does() {
    let Some(enter) = as_first() else { return skip("no PID namespace can be made here") };
    let world = World::new(STACK);
    let ran = finish(behind(&enter, &job(&world, &["-q"], &["sh", "-c", "echo ran; exit 7"]))).expect(7);
    assert_eq!(ran.out, "ran\n");
    finish(behind(&enter, &job(&world, &["-q"], &["sh", "-c", "kill -9 $$"]))).expect(137);
    let script = "trap 'echo heard; exit 3' TERM; echo runs >runs; while :; do sleep 0.02; done";
    let mut first = behind(&enter, &job(&world, &["-q"], &["sh", "-c", script]));
    let first = first.stdout(Stdio::piped()).spawn().expect("it starts");
    until("it runs", || world.dir().join("runs").exists());
    let outer = i32::try_from(first.id()).expect("a number");
    let inner = numbers().into_iter().find(|pid| stat(*pid).is_some_and(|stat| stat.parent == outer));
    kill(inner.expect("process 1"), Signal::TERM);
    let ran = first.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "heard\n");
    assert_eq!(ran.status.code(), Some(3), "{}", ran.status);
    world.assert_none_but(&[]);
}

#[test]
fn a_stack_cannot_outlive_process_1_and_up_says_so() {
    let Some(enter) = as_first() else { return skip("no PID namespace can be made here") };
    let world = World::new(STACK);
    let ran = finish(behind(&enter, &world.command(&["up"]))).expect(2);
    assert!(ran.err.contains("process 1") && ran.err.contains("up --attach"), "{}", ran.err);
    world.assert_none_but(&[]);
}
