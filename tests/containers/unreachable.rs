//! Engines that are not there, or go away; and stacks that need none.

use std::os::unix::fs::symlink;

use crate::engine::daemon;
use crate::stack::Stack;
use crate::world::{World, finish, free_port};

#[test]
fn what_an_engine_that_went_away_may_hold_is_not_clean() {
    let port = free_port();
    let manifest = format!("services:\n  cache: {{ image: devstack-test/redis, ports: ['{port}:6379'] }}\n");
    if daemon().is_none() {
        return;
    }
    let Some(stack) = Stack::new(&manifest) else { return };
    // Its socket by a name of the test's own, which can go away while the engine stays for others.
    let socket = stack.world.beside("engine").join("docker.sock");
    let there = || symlink(stack.engine.dir().join("docker.sock"), &socket).expect("a link");
    there();
    let run = |args: &[&str]| {
        let mut command = stack.command(args);
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        finish(command)
    };
    run(&["up"]).expect(0);
    std::fs::remove_file(&socket).expect("it is there");
    let ran = run(&["down"]).expect(6);
    assert!(ran.out.contains("not proven gone"), "{}{}", ran.out, ran.err);
    assert_eq!(stack.containers().len(), 1);
    // Where it is asked is known from the start: a caller of another environment asks the same one.
    there();
    stack.world.down(&[], 0);
    assert!(stack.containers().is_empty());
}

#[test]
fn an_engine_that_was_never_there_holds_nothing() {
    let port = free_port();
    let world = World::new(&format!("services:\n  cache: {{ image: nono, ports: ['{port}:80'] }}\n"));
    let mut command = world.command(&["up"]);
    command
        .env("DOCKER_HOST", format!("unix://{}/nobody.sock", world.dir().display()))
        .env("DEVSTACK_ENGINE", "docker");
    let ran = finish(command);
    assert!(!ran.status.success());
    assert!(!ran.err.contains("not clean"), "{}", ran.err);
    world.down(&[], 0);
}

#[test]
fn a_stack_without_containers_never_starts_an_engines_command() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    // Programs of these names that tell when they are started.
    let dir = world.beside("bin");
    let called = dir.join("called");
    for name in ["docker", "podman"] {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho \"$0 $*\" >>{}\n", called.display()))
            .expect("written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    }
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
    for args in
        [&["up"][..], &["ps"], &["restart", "api"], &["down"], &["up"], &["down", "--force"], &["down"]]
    {
        let mut command = world.command(args);
        command.env("PATH", &path);
        finish(command).expect(0);
    }
    assert!(!called.exists(), "{}", std::fs::read_to_string(&called).unwrap_or_default());
}
