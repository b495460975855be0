//! The recipe of docs/ci.md, executed as it stands there.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::world::{World, finish, free_port, until};

/// The script of the page.
fn script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, rest) = page.split_once("```sh\n").expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// The script with another test command, in a session of its own.
fn ci(world: &World, tests: &str) -> Command {
    let path = world.beside("ci").join("ci.sh");
    fs::write(&path, script()).expect("written");
    let program = Path::new(env!("CARGO_BIN_EXE_devstack")).parent().expect("a directory");
    let search = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
    let mut command = Command::new("setsid");
    command.args(["--wait", "sh"]).arg(path).current_dir(world.dir());
    command.env("DEVSTACK_STATE_DIR", world.state()).env_remove("DEVSTACK_FILE");
    command.env("PATH", format!("{}:{search}", program.display())).env("TESTS", tests);
    command.stdin(Stdio::null());
    command
}

#[test]
fn the_script_passes_the_code_of_the_tests_on_and_leaves_nothing() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    for (tests, code) in [("true", 0), ("false", 1)] {
        let ran = finish(ci(&world, tests)).expect(code);
        assert!(ran.out.contains("0 left"), "{}\n{}", ran.out, ran.err);
        world.assert_none_but(&[]);
    }
}

#[test]
fn a_cancelled_run_is_put_away_as_well() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    let hang = format!("{} child --count 2 --session", world.program("hanging-tests").display());
    let mut command = ci(&world, &hang);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("the tests hang", || {
        world.living().values().filter(|line| line.contains("hanging-tests")).count() >= 3
    });
    // As a CI does it: the whole group is told.
    let group = Pid::from_raw(i32::try_from(running.id()).expect("a number")).expect("a number");
    kill_process_group(group, Signal::TERM).expect("it is ours");
    assert_eq!(running.wait().expect("ours").code(), Some(143));
    world.assert_none_but(&[]);
}

#[test]
fn a_stop_that_is_not_clean_is_the_verdict() {
    let port = free_port();
    let world = World::new(&format!("services:\n  api: {{ command: stand-in wait, ports: [{port}] }}\n"));
    let tests = world.beside("ci").join("tests");
    fs::write(&tests, "while [ ! -e port-is-held ]; do sleep 0.01; done\n").expect("written");
    let mut command = ci(&world, &format!("sh {}", tests.display()));
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    until("the stack is up", || world.run(&["status"]).status.code() == Some(0));
    // The tests pass, and a stranger holds a port of the stack: this test.
    let held = TcpListener::bind(("127.0.0.1", port)).expect("nobody listens there");
    fs::write(world.dir().join("port-is-held"), "").expect("written");
    let ended = running.wait_with_output().expect("ours");
    assert_eq!(ended.status.code(), Some(6), "{}", String::from_utf8_lossy(&ended.stderr));
    drop(held);
    world.assert_none_but(&[]);
}
