//! State that was lost, and devstack killed in all its parts: what its containers are known by then.

use std::path::PathBuf;

use crate::engine::daemon;
use crate::stack::{Parts, Stack, children, kill_all};
use crate::world::{World, finish, free_port, list};

fn manifest(port: u16) -> String {
    format!("services:\n  cache: {{ image: devstack-test/redis, ports: ['{port}:6379'] }}\n")
}

fn all(parts: &Parts) -> Vec<i32> {
    [vec![parts.supervisor], parts.keepers.clone(), parts.leaders.clone()].concat()
}

/// Removes all that is on disk of the stack, and nothing else: not its sockets.
fn lose_state(stack: &Stack) {
    std::fs::remove_dir_all(stack.world.stack_state()).expect("it is there");
}

#[test]
fn what_is_left_after_lost_state_is_seen_and_ended() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port)) else { return };
    for killed in [true, false] {
        stack.up();
        if killed {
            kill_all(&all(&stack.parts()));
        }
        lose_state(&stack);
        let seen = stack.run(&["ps", "--json"]).expect(0).json();
        let cache = &list(&seen, "services")[0];
        assert_eq!(cache["state"], "ready", "killed: {killed}: {seen:#}");
        lose_state_again(&stack);
        let report = stack.down();
        assert_eq!(report["containers"]["removed"], 1, "killed: {killed}: {report:#}");
    }
}

/// To look may have called a supervisor, which has written all of it anew.
fn lose_state_again(stack: &Stack) {
    let stacks = std::fs::read_dir(stack.world.state()).expect("it is there").flatten();
    for one in stacks.filter(|one| one.file_name() != "run") {
        std::fs::remove_dir_all(one.path()).expect("it is there");
    }
}

#[test]
fn a_container_whose_owner_is_lost_is_named_and_left_alone() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port)) else { return };
    stack.up();
    let (id, parts) = (stack.only(), stack.parts());
    // Commands of the engine that the shim has started have the stack's secret.
    let helpers = children(&parts.leaders);
    kill_all(&all(&parts));
    kill_all(&helpers);
    lose_state(&stack);
    let warned = stack.run(&["ps"]).expect(0);
    let name = stack.inspect(&id)["Name"].as_str().expect("it has one").trim_start_matches('/').to_owned();
    assert!(warned.err.contains(&format!("container {name}")), "{}", warned.err);
    for words in [&["down", "cache"][..], &["stop", "cache"], &["down", "--containers"]] {
        let ran = stack.run(words).expect(6);
        assert!(ran.err.contains(&format!("docker rm --force {name}")), "{words:?}: {}{}", ran.out, ran.err);
    }
    for _ in 0..2 {
        let ran = stack.run(&["down"]).expect(6);
        assert!(ran.err.contains(&format!("docker rm --force {name}")), "{}{}", ran.out, ran.err);
        // The proxy alone would be no help.
        assert!(ran.out.contains(&format!("held by container {name}")), "{}", ran.out);
        assert_eq!(stack.running().len(), 1, "it is left alone");
    }
    // A start begins a new record. What may have been before it is not forgotten.
    stack.run(&["up"]).expect(1);
    let ran = stack.run(&["down"]).expect(6);
    assert!(ran.err.contains(&format!("docker rm --force {name}")), "{}{}", ran.out, ran.err);
    assert_eq!(stack.running().len(), 1, "it is left alone");
    let mut elsewhere = stack.command(&["up"]);
    elsewhere.env("DOCKER_HOST", "unix:///nono");
    finish(elsewhere);
    stack.run(&["down"]).expect(6);
    stack.engine.docker(&["rm", "--force", &id]);
    stack.down();
}

#[test]
fn nothing_is_clean_after_lost_state_where_the_engine_cannot_be_asked() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port)) else { return };
    stack.up();
    kill_all(&all(&stack.parts()));
    lose_state(&stack);
    for hidden in [("DOCKER_HOST", "unix:///nono"), ("PATH", "/nono")] {
        let mut command = stack.command(&["down"]);
        command.env(hidden.0, hidden.1).env("CONTAINERS_STORAGE_CONF", "/nono");
        let ran = finish(command).expect(6);
        assert!(ran.err.contains("not proven gone"), "{hidden:?}: {}{}", ran.out, ran.err);
        if stack.engine.is_podman() {
            break;
        }
    }
    stack.down();
}

#[test]
fn a_stack_that_was_never_there_is_clean_without_an_engine_and_not_proven_with_a_silent_one() {
    if daemon().is_none() {
        return;
    }
    let never = || World::new(&manifest(free_port()));
    let down = |world: &World, name: &str, value: &str, code: i32| {
        let mut command = world.command(&["down"]);
        finish_with(command.env("DEVSTACK_ENGINE", "docker").env(name, value), code);
    };
    down(&never(), "PATH", "/nono", 0);
    down(&never(), "DOCKER_HOST", "unix:///nono", 6);
    // What was begun where none answered is known to have made nothing.
    let world = never();
    let mut up = world.command(&["up"]);
    finish_with(up.env("DEVSTACK_ENGINE", "docker").env("DOCKER_HOST", "unix:///nono"), 69);
    down(&world, "DOCKER_HOST", "unix:///nono", 0);
}

fn finish_with(command: &mut std::process::Command, code: i32) {
    let mut owned = std::process::Command::new(command.get_program());
    owned.args(command.get_args()).current_dir(command.get_current_dir().expect("the stack's"));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => owned.env(name, value),
            None => owned.env_remove(name),
        };
    }
    finish(owned).expect(code);
}

#[test]
fn what_nobody_stands_for_is_waited_for_and_entered_as_ps_shows_it() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port)) else { return };
    stack.up();
    kill_all(&all(&stack.parts()));
    stack.run(&["wait"]).expect(0);
    assert_eq!(stack.run(&["exec", "cache", "echo", "inside"]).expect(0).out, "inside\n");
    // It runs: that it stops is waited for, not assumed.
    stack.run(&["wait", "--for", "stopped", "--timeout", "300ms"]).expect(124);
    let status = stack.run(&["status"]).expect(5);
    assert!(
        status.out.contains("its container runs") && status.out.contains("nobody watches"),
        "{}",
        status.out
    );
    stack.engine.docker(&["kill", &stack.only()]);
    let status = stack.run(&["status"]).expect(3);
    assert!(status.out.contains("failed") && status.out.contains("it has ended"), "{}", status.out);
    stack.down();
}

#[test]
fn the_engines_command_may_be_where_only_a_later_caller_has_it() {
    let port = free_port();
    let two = format!("{}  api: {{ command: stand-in wait }}\n", manifest(port));
    let Some(stack) = Stack::new(&two) else { return };
    // As much of a PATH as a service needs, without an engine.
    let bare: PathBuf = stack.world.beside("bare");
    let mut first = stack.command(&["up", "api"]);
    first.env("PATH", &bare);
    finish(first).expect(0);
    stack.up();
    stack.down();
}

#[test]
fn a_port_that_somebodys_container_holds_after_a_stop_is_told_with_its_name() {
    let (port, taken) = (free_port(), free_port());
    let two = format!("{}  api: {{ command: stand-in wait, ports: [{taken}] }}\n", manifest(port));
    let Some(stack) = Stack::new(&two) else { return };
    stack.run(&["up", "cache"]).expect(0);
    let name = format!("holder-{taken}");
    let holder = stack.engine.serve(&name, taken);
    // The second time the stack is known to have no container.
    for _ in 0..2 {
        let ran = stack.run(&["down"]).expect(6);
        assert!(ran.out.contains(&format!("held by container {name}, which publishes it")), "{}", ran.out);
    }
    drop(holder);
    stack.down();
}
