//! Verbs that only mean something with a container: a command inside, volumes that are kept and removed.

use crate::stack::Stack;
use crate::world::{finish, until};

const IDLE: &str = "
services:
  box:
    image: devstack-test/idle
    command: [sleep, '600']
    environment: { COLOUR: green }
    volumes: ['data:/data']
  api: { command: exec sleep 600 }
";

#[test]
fn exec_runs_inside_and_passes_code_environment_and_input_on() {
    let Some(stack) = Stack::new(IDLE) else { return };
    let before = stack.run(&["exec", "box", "true"]).expect(125);
    assert!(before.err.contains("DS042"), "{}", before.err);
    stack.up();
    let show = "echo $COLOUR $OURS $(pwd) $(id -un); exit 7";
    let told =
        stack.run(&["exec", "-e", "OURS=a", "-w", "/tmp", "-u", "nobody", "box", "sh", "-c", show]).expect(7);
    assert_eq!(told.out, "green a /tmp nobody\n");
    // There is no terminal here, and none is asked for.
    stack.run(&["exec", "box", "sh", "-c", "test ! -t 0"]).expect(0);
    let missing = stack.run(&["exec", "box", "no-such-program"]);
    assert!(matches!(missing.status.code(), Some(126 | 127)), "{}", missing.err);
    stack.down();
}

#[test]
fn exec_finds_it_whatever_it_is_called_and_says_when_it_is_paused() {
    let Some(stack) = Stack::new(IDLE) else { return };
    stack.up();
    let id = stack.only();
    let name = format!("renamed-{}", &id[..12]);
    stack.engine.docker(&["rename", &id, &name]);
    assert_eq!(stack.run(&["exec", "box", "echo", "here"]).expect(0).out, "here\n");
    // Also for a caller whose own engine is another one.
    let mut elsewhere = stack.command(&["exec", "box", "echo", "here"]);
    elsewhere.env("DOCKER_HOST", "unix:///nono");
    assert_eq!(finish(elsewhere).expect(0).out, "here\n");
    stack.engine.docker(&["pause", &id]);
    let ran = stack.run(&["exec", "box", "echo", "here"]).expect(125);
    let unpause = format!("{} unpause {name}", stack.engine.name());
    assert!(ran.err.contains("error[DS042]: box is paused") && ran.err.contains(&unpause), "{}", ran.err);
    stack.engine.docker(&["unpause", &id]);
    stack.run(&["exec", "box", "true"]).expect(0);
    stack.down();
}

#[test]
fn what_a_container_takes_is_what_runs_inside() {
    let eats = "services:\n  box: { image: devstack-test/idle, network: none, command: [sh, -c, '(head -c 60000000 /dev/zero; sleep 600) | tail & trap \"exit 0\" TERM; while :; do sleep 0.1; done'] }\n";
    let Some(stack) = Stack::new(eats) else { return };
    stack.up();
    let taken = || stack.run(&["monitor", "--once", "--json"]).expect(0).json()["services"][0].clone();
    until("it has eaten", || taken()["memory_bytes"].as_u64() > Some(60_000_000));
    let taken = taken();
    assert!(
        taken["memory_bytes"].as_u64() < Some(70_000_000),
        "whoever stands for it is not counted: {taken:#}"
    );
    assert!(
        taken["biggest"]["command"].as_str().is_some_and(|command| command.contains("tail")),
        "{taken:#}"
    );
    stack.down();
}

#[test]
fn a_volume_of_somebody_else_is_not_told_as_kept() {
    let external = "
services:
  box: { image: devstack-test/idle, command: [sleep, '600'], network: none, volumes: ['theirs:/data'] }
volumes: { theirs: { external: true, name: NAME } }
";
    let name = format!("devstack-test-theirs-{}", crate::world::free_port());
    let Some(stack) = Stack::new(&external.replace("NAME", &name)) else { return };
    stack.engine.docker(&["volume", "create", &name]);
    stack.up();
    let told = stack.run(&["down"]).expect(0).out;
    assert!(!told.contains("volumes kept"), "{told}");
    stack.engine.docker(&["volume", "rm", &name]);
}

#[test]
fn a_named_volume_outlives_down_until_it_is_said_to_go() {
    let Some(stack) = Stack::new(IDLE) else { return };
    let others = stack.engine.docker(&["volume", "create", "devstack-test-others"]);
    stack.up();
    stack.run(&["exec", "box", "sh", "-c", "echo kept >/data/row"]).expect(0);
    let told = stack.run(&["down"]).expect(0).out;
    assert!(told.contains("volumes kept: data (devstack down --volumes removes them)"), "{told}");
    stack.up();
    assert_eq!(stack.run(&["exec", "box", "cat", "/data/row"]).expect(0).out, "kept\n");
    // Only what is a container is ended.
    stack.run(&["down", "--containers"]).expect(0);
    assert!(stack.containers().is_empty());
    assert_eq!(stack.world.service("api")["state"], "ready");
    stack.run(&["down", "--volumes"]).expect(2);
    let told = stack.run(&["down", "--volumes", "--yes", "--json"]).expect(0).json();
    assert_eq!(told["volumes"]["removed"].as_array().map(Vec::len), Some(1), "{told}");
    let left = stack.engine.docker(&["volume", "ls", "--quiet"]).out;
    assert!(left.contains(others.out.trim()), "one of somebody else is left alone: {left}");
    assert!(!left.contains(told["volumes"]["removed"][0].as_str().expect("a name")), "{left}");
    let _ = finish(stack.engine.command(&["volume", "rm", "devstack-test-others"]));
}
