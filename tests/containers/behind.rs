//! What others do to a container behind our back.

use crate::stack::{Stack, ping};
use crate::world::{free_port, until};

fn manifest(port: u16, restart: &str) -> String {
    format!(
        "services:\n  cache: {{ image: devstack-test/redis, ports: ['{port}:6379'], restart: '{restart}' }}\n"
    )
}

#[test]
fn a_container_that_somebody_killed_is_a_service_that_died() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port, "no")) else { return };
    stack.up();
    let id = stack.only();
    stack.engine.docker(&["kill", &id]);
    until("it has failed", || stack.world.service("cache")["state"] == "failed");
    let cache = stack.world.service("cache");
    assert_eq!(cache["exit"]["code"], 137, "{cache:#}");
    stack.up();
    assert_eq!(stack.only(), id, "the same one goes on");
    stack.down();
}

#[test]
fn our_policy_starts_it_again_and_not_its_engines() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port, "always")) else { return };
    stack.up();
    let id = stack.only();
    stack.engine.docker(&["kill", &id]);
    until("it was started again", || stack.world.service("cache")["restarts"] == 1);
    until("it is ready", || stack.world.service("cache")["state"] == "ready");
    assert_eq!(stack.only(), id, "the same one goes on");
    assert_eq!(stack.inspect(&id)["RestartCount"], 0, "not by its engine");
    assert_eq!(ping(port).as_deref(), Some("+PONG\r\n"));
    stack.down();
}

#[test]
fn a_container_that_somebody_took_away_is_told_as_that() {
    let port = free_port();
    let Some(stack) = Stack::new(&manifest(port, "no")) else { return };
    stack.up();
    let id = stack.only();
    stack.engine.docker(&["rm", "--force", &id]);
    until("it has failed", || stack.world.service("cache")["state"] == "failed");
    let cache = stack.world.service("cache");
    let note = cache["note"].as_str().unwrap_or_default();
    assert!(note.contains("removed") || note.contains("137"), "{cache:#}");
    stack.up();
    assert_ne!(stack.only(), id);
    stack.down();
}

#[test]
fn a_port_that_a_container_holds_is_told_with_its_name() {
    let (port, taken) = (free_port(), free_port());
    let manifest = format!(
        "services:\n  cache: {{ image: devstack-test/redis, ports: ['{port}:6379'] }}\n  api: {{ command: stand-in wait, ports: [{taken}], depends_on: [cache] }}\n"
    );
    let Some(stack) = Stack::new(&manifest) else { return };
    let name = format!("holder-{taken}");
    let holder = stack.engine.serve(&name, taken);
    let ran = stack.run(&["up"]).expect(1);
    assert!(ran.err.contains(&format!("port {taken}")) && ran.err.contains(&name), "{}", ran.err);
    assert!(!ran.err.contains("kill"), "{}", ran.err);
    drop(holder);
    stack.up();
    stack.down();
}
