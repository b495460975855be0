//! `exec`: does a command run where its service runs, as if it had been called by itself?

use std::io::Write as _;
use std::process::Stdio;

use rustix::process::Signal;

use crate::world::{Running, World, alive, await_that, command_of};

const ONE: &str = "
name: one
services:
  api:
    command: exec sleep 600
    working_dir: inner
    environment: { GREETING: 'from the manifest', PORT: '3999' }
";

fn world() -> World {
    let world = World::new(ONE);
    std::fs::create_dir(world.path("inner")).expect("a directory");
    world
}

#[test]
fn a_command_has_environment_and_directory_of_its_service_and_passes_its_code_on() {
    let world = world();
    let show = "echo $GREETING $PORT $DEVSTACK_SERVICE $(basename $PWD) $(basename $(pwd -P)) ${OURS-none}";
    // It need not run for that.
    let told = world.ok(&["exec", "api", "--", "sh", "-c", show]).stdout;
    assert_eq!(told, "from the manifest 3999 api inner inner none\n");
    let told =
        world.ok(&["exec", "-e", "OURS=a b", "-e", "PORT=1", "-w", "..", "api", "sh", "-c", show]).stdout;
    assert_eq!(told, "from the manifest 1 api checkout checkout a b\n");
    for code in [0, 1, 3, 4, 77, 125, 126, 127, 255] {
        world.expect(code, &["exec", "api", "sh", "-c", &format!("exit {code}")]);
    }
    world.ok(&["up"]);
    world.expect(7, &["exec", "api", "sh", "-c", "exit 7"]);
    // The dash and what follows are the command's own.
    assert_eq!(world.ok(&["exec", "api", "echo", "-n", "--json"]).stdout, "--json");
}

#[test]
fn what_runs_is_meant_as_it_was_started() {
    let world = world();
    world.ok(&["up"]);
    world.manifest(&ONE.replace("from the manifest", "changed"));
    let greeting = ["exec", "api", "sh", "-c", "echo $GREETING"];
    assert_eq!(world.ok(&greeting).stdout, "from the manifest\n");
    world.manifest("services: [");
    assert_eq!(world.ok(&greeting).stdout, "from the manifest\n");
    world.manifest(&ONE.replace("from the manifest", "changed"));
    world.ok(&["down"]);
    assert_eq!(world.ok(&greeting).stdout, "changed\n");
}

#[test]
fn only_one_code_says_that_it_never_ran() {
    let world = world();
    world.expect(127, &["exec", "api", "no-such-program"]).complains(&["DS022", "no-such-program", "PATH"]);
    world.expect(127, &["exec", "api", "./no-such-file"]).complains(&["DS022", "there is no such file"]);
    std::fs::write(world.path("inner/text"), "no program").expect("a file");
    world.expect(126, &["exec", "api", "./text"]).complains(&["DS023"]);
    world.expect(125, &["exec", "nobody", "true"]).complains(&["DS041", "nobody"]);
    world.expect(125, &["exec", "-w", "nowhere", "api", "true"]).complains(&["DS024", "nowhere"]);
    world.expect(125, &["exec", "-u", "no-such-user", "api", "true"]).complains(&["DS025"]);
    world.manifest("services: [");
    world.expect(125, &["exec", "api", "true"]).complains(&["error"]);
    world.manifest(ONE);
    world.expect(2, &["exec", "api"]);
}

#[test]
fn streams_and_signals_are_the_commands_own() {
    let world = world();
    let mut command = world.command(&["exec", "api", "cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("its input").write_all(b"through\n").expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!((out.status.code(), out.stdout), (Some(0), b"through\n".to_vec()));

    let script = "trap 'echo caught; exit 9' INT TERM; echo ready; while :; do sleep 0.05; done";
    for signal in [Signal::INT, Signal::TERM] {
        let mut running = Running::start(world.command(&["exec", "api", "sh", "-c", script]));
        running.read_until("ready\n");
        assert!(command_of(running.pid()).starts_with("sh -c"), "nothing of devstack stands between");
        running.signal(signal);
        running.finish().expect(9, "the trap's own code").says(&["caught"]);
    }
}

#[test]
fn down_leaves_it_alone() {
    let world = world();
    world.ok(&["up"]);
    let mut running =
        Running::start(world.command(&["exec", "api", "sh", "-c", "env; echo ready; exec sleep 600"]));
    let told = running.read_until("ready\n");
    assert!(!told.contains("DEVSTACK_LIFE=") && !told.contains("DEVSTACK_STACK_ID="), "{told}");
    await_that("sleep to run", || command_of(running.pid()) == "sleep 600");
    world.ok(&["down"]);
    assert!(alive(running.pid()));
    running.signal(Signal::KILL);
    assert_eq!(running.finish().code, None);
}
