//! Devstack killed in its parts while a container runs or is made: none is left behind, and none is there twice.

use crate::stack::{Parts, Stack, children, kill_all, ping};
use crate::world::{Started, free_port, until};

fn manifest(port: u16) -> String {
    format!("services:\n  cache: {{ image: devstack-test/redis, ports: ['{port}:6379'] }}\n")
}

/// Whom a test kills, in words; and whom it is.
type Victims = (&'static str, fn(&Parts) -> Vec<i32>);

const RUNNING: [Victims; 5] = [
    ("supervisor", |parts| vec![parts.supervisor]),
    ("keepers", |parts| parts.keepers.clone()),
    ("supervisor and keepers", |parts| [vec![parts.supervisor], parts.keepers.clone()].concat()),
    ("supervisor and shims", |parts| [vec![parts.supervisor], parts.leaders.clone()].concat()),
    ("all", |parts| [vec![parts.supervisor], parts.keepers.clone(), parts.leaders.clone()].concat()),
];

#[test]
fn the_next_up_takes_over_what_runs_and_makes_no_second_one() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port)) else { return };
    stack.up();
    let id = stack.only();
    for (whom, victims) in RUNNING {
        kill_all(&victims(&stack.parts()));
        stack.up();
        assert_eq!(stack.only(), id, "{whom} killed");
        assert_eq!(ping(port).as_deref(), Some("+PONG\r\n"), "{whom} killed");
    }
    stack.down();
}

#[test]
fn the_next_down_ends_what_runs() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port)) else { return };
    for (whom, victims) in RUNNING {
        stack.up();
        kill_all(&victims(&stack.parts()));
        assert_eq!(stack.containers().len(), 1, "{whom} killed");
        stack.down();
    }
}

#[test]
fn a_shim_that_is_killed_takes_its_container_along() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port)) else { return };
    stack.up();
    kill_all(&stack.parts().leaders);
    until("it has failed", || stack.world.service("cache")["state"] == "failed");
    assert!(stack.running().is_empty(), "nobody stands for it any more");
    // It is started again, not made again: its unnamed volumes stay.
    let id = stack.only();
    stack.up();
    assert_eq!(stack.only(), id);
    stack.down();
}

/// When it is killed: as soon as this holds of what the shim told.
fn is_at(stack: &Stack, step: &str) -> bool {
    stack.told().is_some_and(|told| told["step"] == step)
}

#[test]
fn killed_in_the_middle_of_an_up_nothing_is_left_and_nothing_is_there_twice() {
    let port = free_port();
    // Its gate never holds: the middle of `up` lasts.
    let slow = manifest(port).replace("'] }", "'], ready: { exec: 'false' } }");
    let Some(stack) = Stack::new(&slow) else { return };
    for then in ["down", "up"] {
        for step in ["starting", "running"] {
            stack.world.write(&slow);
            let up = Started::by(&stack.command(&["up"]), false);
            // The shim may be through with a step before anybody has looked.
            until("it is there", || is_at(&stack, step) || is_at(&stack, "running"));
            let parts = stack.parts();
            kill_all(&[vec![parts.supervisor], parts.keepers, parts.leaders].concat());
            drop(up);
            if then == "up" {
                stack.world.write(&manifest(port));
                stack.up();
                stack.only();
                assert_eq!(ping(port).as_deref(), Some("+PONG\r\n"), "killed while {step}");
            }
            stack.down();
            assert!(children(&[parts.supervisor]).is_empty());
        }
    }
}
