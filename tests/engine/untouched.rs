//! `up` and `down` beside a container that holds the stack's port and looks like what the stack sweeps.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::engine::{Container, Engine, daemon};
use crate::world::{World, answers, free_port, list, number, runs, stat, until};

/// A stack that declares a port and sweeps all that belongs to the engine and the container, however it is named.
/// The patterns match nothing else: others may work on this machine as well.
fn manifest(engine: &Engine, container: &Container, ports: &[u16], scope: &str) -> String {
    let dir = engine.dir();
    let patterns = [
        format!("data-root {}/", dir.display()),
        format!("config {}/", dir.display()),
        format!("id {}", container.id),
        format!("host-port {}", container.port),
        format!("-r {}$", container.name),
    ];
    format!(
        "services:\n  api: {{ command: stand-in wait, ports: {ports:?} }}\nsweep: {{ patterns: {patterns:?}, scope: {scope} }}\n"
    )
}

/// A container of its own for a test, on a port that was free.
fn container(engine: &'static Engine) -> Container {
    let port = free_port();
    let container = engine.serve(&format!("beside-{port}"), port);
    until("it serves", || page(port).is_some());
    container
}

/// What the program in the container answers; through the proxy, which accepts connections before that program does.
fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /etc/passwd HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.contains("root:x:0:0").then_some(text)
}

/// The same processes run, none was started anew, and the port is served.
#[track_caller]
fn assert_untouched(container: &Container, before: &Before) {
    for one in &before.processes {
        assert!(runs(one.pid), "{} was ended", one.role);
    }
    assert_eq!(container.processes(), before.processes);
    assert_eq!(container.inspect()["State"], before.state);
    assert!(page(container.port).is_some());
}

struct Before {
    processes: Vec<crate::engine::Process>,
    state: Value,
}

fn before(container: &Container) -> Before {
    Before { processes: container.processes(), state: container.inspect()["State"].clone() }
}

/// No receipt of a signal names one of them.
#[track_caller]
fn assert_no_signal(world: &World, before: &Before) {
    let signalled = signalled(world);
    for one in &before.processes {
        assert!(!signalled.contains(&one.pid), "{} got a signal", one.role);
    }
}

/// Who got a signal of devstack, or was refused one, as its journal tells.
fn signalled(world: &World) -> Vec<i32> {
    let journal = std::fs::read_to_string(world.stack_state().join("journal.jsonl")).expect("a journal");
    let lines = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let receipts = lines.filter_map(|line| line.get("receipt").cloned());
    receipts.map(|receipt| number(&receipt["process"]["pid"])).collect()
}

/// The port is told as held by the proxy, with its command line.
#[track_caller]
fn assert_held(report: &Value, container: &Container, before: &Before) {
    let port = &list(report, "ports")[0];
    assert_eq!((port["port"].as_u64(), port["free"].as_bool()), (Some(container.port.into()), Some(false)));
    let proxy = before.processes.iter().find(|one| one.role == "docker-proxy").expect("it is there");
    assert_eq!(number(&port["owner"]["pid"]), proxy.pid, "{port}");
    assert!(port["owner"]["command"].as_str().is_some_and(|line| line.contains("docker-proxy")), "{port}");
}

#[test]
fn what_sweeps_look_for_is_named_and_left_alone() {
    let Some(engine) = daemon() else { return };
    let container = container(engine);
    let before = before(&container);
    for scope in ["stack", "user"] {
        for force in [&[][..], &["--force"]] {
            let world = World::new(&manifest(engine, &container, &[], scope));
            world.up();
            let api = world.pid("api");
            let report = world.down(force, 0);
            assert!(signalled(&world).contains(&api), "the journal tells who was signalled");
            assert_untouched(&container, &before);
            assert_no_signal(&world, &before);
            assert!(list(&report, "swept").is_empty(), "{report:#}");
            for one in &before.processes {
                let told = list(&report, "left_alone").iter().find(|told| number(&told["pid"]) == one.pid);
                let why = told.unwrap_or_else(|| panic!("{} is not named: {report:#}", one.role))["evidence"]
                    .as_str()
                    .expect("text");
                // Within a directory of its own the container's process has no evidence, whatever the scope is.
                let expected = match (one.role, scope) {
                    ("inside", _) => "runs within a container",
                    (_, "user") => "a daemon that other projects may use",
                    _ => "no evidence that it belongs here",
                };
                assert!(why.contains(expected), "{}, scope {scope}: {why}", one.role);
            }
            world.assert_none_but(&[]);
        }
    }
}

#[test]
fn a_container_that_works_in_the_stacks_directory_is_still_the_engines() {
    let Some(engine) = daemon() else { return };
    let port = free_port();
    let world = World::new("services: { api: { command: stand-in wait } }\n");
    let name = format!("within-{port}");
    // The same path within and without, as people mount their checkout.
    let mount = format!("{0}:{0}", world.dir().display());
    let dir = world.dir().display().to_string();
    let container = engine.serve_with(&name, port, &["-v", &mount, "-w", &dir]);
    until("it serves", || page(port).is_some());
    let before = before(&container);
    for scope in ["stack", "user"] {
        world.write(&manifest(engine, &container, &[], scope));
        world.up();
        let report = world.down(&["--force"], 0);
        assert_untouched(&container, &before);
        assert_no_signal(&world, &before);
        assert!(list(&report, "swept").is_empty(), "{report:#}");
    }
    world.assert_none_but(&[]);
}

#[test]
fn a_port_that_a_container_holds_keeps_a_service_from_starting_and_a_stop_from_being_clean() {
    let Some(engine) = daemon() else { return };
    let container = container(engine);
    let before = before(&container);
    for scope in ["stack", "user"] {
        let world = World::new(&manifest(engine, &container, &[container.port], scope));
        let ran = world.run(&["up"]).expect(1);
        assert!(
            ran.err.contains(&format!("error[DS020]: port {} (api) is in use", container.port)),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("docker-proxy"), "{}", ran.err);
        // Nobody is told to kill what serves the container.
        assert!(!ran.err.contains("kill"), "{}", ran.err);
        assert_untouched(&container, &before);
        for force in [&[][..], &["--force"]] {
            let report = world.down(force, 6);
            assert_held(&report, &container, &before);
            assert!(list(&report, "survivors").is_empty() && list(&report, "swept").is_empty(), "{report:#}");
            assert_untouched(&container, &before);
        }
        assert_no_signal(&world, &before);
        world.assert_none_but(&[]);
    }
}

#[test]
fn a_port_that_a_container_took_while_the_stack_ran_is_told_and_not_freed_by_force() {
    let Some(engine) = daemon() else { return };
    let port = free_port();
    let world = World::new(&format!("services: {{ api: {{ command: stand-in wait, ports: [{port}] }} }}\n"));
    world.up();
    let container = engine.serve(&format!("after-{port}"), port);
    until("it serves", || page(port).is_some());
    let before = before(&container);
    for force in [&[][..], &["--force"]] {
        let report = world.down(force, 6);
        assert_held(&report, &container, &before);
        assert_untouched(&container, &before);
    }
    let text = world.run(&["down"]).expect(6);
    assert!(text.out.contains("docker-proxy") && text.out.contains("held"), "{}", text.out);
    assert_no_signal(&world, &before);
    drop(container);
    until("the port is free", || !answers(port));
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_plain_user_is_told_as_much_as_the_kernel_shows() {
    let Some(engine) = daemon() else { return };
    let container = container(engine);
    let before = before(&container);
    let world = World::plain(&manifest(engine, &container, &[container.port], "user"));
    let ran = world.run(&["up"]).expect(1);
    assert!(ran.err.contains("a process of root that this user may not see"), "{}", ran.err);
    let report = world.down(&["--force"], 6);
    assert_eq!(list(&report, "ports")[0]["free"], false, "{report:#}");
    assert_untouched(&container, &before);
    world.assert_none_but(&[]);
}

#[test]
fn a_container_that_a_services_own_command_runs_ends_by_its_engine() {
    let Some(engine) = daemon() else { return };
    let port = free_port();
    let name = format!("run-{port}");
    let world = World::new(&format!(
        "services:\n  db:\n    command: [docker, run, --rm, --name, {name}, -p, '{port}:80', devstack-test/idle]\n    environment: {}\n    ready: {{ exec: [docker, exec, {name}, 'true'] }}\n",
        engine.environment()
    ));
    world.up();
    let container = engine.adopt(&name, port);
    let before = before_running(&container);
    let report = world.down(&[], 0);
    assert_eq!(list(&report, "ports").len(), 0, "{report:#}");
    let left = engine.docker(&["ps", "-aq", "--filter", &format!("name={name}")]);
    assert_eq!(left.out, "");
    assert_no_signal(&world, &before);
    let daemon = before.processes.iter().find(|one| one.role == "dockerd").expect("it is there");
    assert!(stat(daemon.pid).is_some());
}

/// As [`before`], of a container that serves no page.
fn before_running(container: &Container) -> Before {
    Before { processes: container.processes(), state: Value::Null }
}
