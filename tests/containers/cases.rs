//! What people meet with containers, case by case: what devstack says, with which exit code, and what it leaves alone.

use std::net::TcpListener;
use std::process::Command;

use crate::engine::{Engine, daemon};
use crate::stack::Stack;
use crate::world::{Ran, finish, free_port, until};

/// Ended with this code; each of these stands in what it said.
#[track_caller]
pub(crate) fn told(ran: Ran, code: i32, words: &[&str]) -> Ran {
    let ran = ran.expect(code);
    let all = format!("{}{}", ran.out, ran.err);
    for word in words {
        assert!(all.contains(word), "no {word:?} in\n{all}");
    }
    ran
}

/// Leads a command to the engine of the tests.
pub(crate) fn lead(engine: &Engine, command: &mut Command) {
    for (name, value) in engine.command(&[]).get_envs() {
        command.env(name, value.expect("none is taken away"));
    }
    command.env_remove("DOCKER_CONTEXT").env("DEVSTACK_ENGINE", engine.name());
}

/// A service `db` of the idle image with these further lines.
pub(crate) fn idle(more: &[&str]) -> String {
    let lines: String = more.iter().flat_map(|line| ["    ", line, "\n"]).collect();
    format!("services:\n  db:\n    image: devstack-test/idle\n{lines}")
}

/// Serves files on port 80 inside.
fn web(port: u16) -> String {
    idle(&["command: [httpd, -f, -p, '80', -h, /]", &format!("ports: ['{port}:80']")])
}

#[test]
fn a_strangers_name_is_refused_and_he_is_not_touched() {
    let name = format!("case-{}", free_port());
    let Some(stack) = Stack::new(&idle(&[&format!("container_name: {name}")])) else { return };
    let id = stack.engine.docker(&["run", "-d", "--name", &name, "devstack-test/idle"]).out.trim().to_owned();
    let first = stack.inspect(&id)["State"]["StartedAt"].clone();
    let said = format!("the name {name} (db) belongs to a container of somebody else");
    told(stack.run(&["up"]), 1, &["error[DS036]", &said, &id[..12], "it was not touched"]);
    stack.down();
    let found = stack.inspect(&id);
    assert_eq!((&found["State"]["Running"], &found["State"]["StartedAt"]), (&true.into(), &first));
    stack.engine.docker(&["rm", "-f", &id]);
}

#[test]
fn a_container_of_a_crashed_run_is_taken_over_or_made_anew() {
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    let kill = || {
        let parts = stack.parts();
        crate::stack::kill_all(&[&[parts.supervisor][..], &parts.keepers, &parts.leaders].concat());
    };
    stack.up();
    let id = stack.only();
    kill();
    // A reboot or a `docker stop` in between changes nothing.
    stack.engine.docker(&["kill", &id]);
    stack.up();
    assert_eq!(stack.only(), id);
    kill();
    stack.world.write(&idle(&["environment: { COLOUR: green }"]));
    stack.up();
    assert_ne!(stack.only(), id, "another definition is another container");
    stack.down();
}

#[test]
fn a_port_that_a_process_holds_is_told_with_it() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = holder.local_addr().expect("bound").port();
    let Some(stack) = Stack::new(&web(port)) else { return };
    let (port, pid) = (format!("port {port} (db) is in use"), format!("pid {}", std::process::id()));
    told(stack.run(&["up"]), 1, &["error[DS020]", &port, &pid]);
    assert!(stack.containers().is_empty(), "something half made is left");
    drop(holder);
    stack.up();
    stack.down();
}

#[test]
fn a_port_that_another_container_publishes_is_told_with_its_name() {
    let port = free_port();
    let Some(stack) = Stack::new(&web(port)) else { return };
    let other = stack.engine.serve(&format!("case-{port}"), port);
    let said = format!("held by  container {}, which publishes it", other.name);
    let ran =
        told(stack.run(&["up"]), 1, &["error[DS020]", &said, &format!("{} stop case-", stack.engine.name())]);
    assert!(!ran.err.contains("not clean"), "{}", ran.err);
    assert!(stack.containers().is_empty(), "something half made is left");
    assert_eq!(other.inspect()["State"]["Running"], true);
    drop(other);
    stack.up();
    stack.down();
}

#[test]
fn one_that_is_dead_at_start_is_told_at_once_with_its_last_words() {
    let lines = [
        "command: [sh, -c, 'echo opening; echo no such configuration >&2; exit 3']",
        "ready: { log: never }",
        "start_timeout: 10m",
    ];
    let Some(stack) = Stack::new(&idle(&lines)) else { return };
    let words = ["error[DS028]: db ended before it was ready: exit 3", "no such configuration"];
    told(stack.run(&["up"]), 1, &words);
    assert!(stack.containers().is_empty(), "it is left behind");
}

#[test]
fn one_that_is_dead_at_once_and_is_asked_nothing_is_never_told_as_running() {
    let lines = ["command: [sh, -c, 'echo no such configuration >&2; exit 3']", "network: none"];
    let manifest = idle(&lines) + "  api: { command: stand-in wait, depends_on: [db] }\n";
    let Some(stack) = Stack::new(&manifest) else { return };
    let words = ["error[DS028]: db ended before it was ready: exit 3", "no such configuration"];
    let ran = told(stack.run(&["up"]), 1, &words);
    assert!(!ran.err.contains("✓ db"), "{}", ran.err);
    let events = stack.run(&["events"]).expect(0).out;
    assert!(!events.contains("its container runs"), "{events}");
    assert!(!stack.run(&["events", "--service", "api"]).expect(0).out.contains("started"), "{events}");
    assert!(stack.containers().is_empty(), "it is left behind");
}

#[test]
fn one_that_is_asked_nothing_is_ready_as_a_process_is() {
    let Some(stack) = Stack::new(&idle(&["network: none"])) else { return };
    let ran = told(stack.run(&["up"]), 0, &["1 of 1 ready"]);
    assert!(!format!("{}{}", ran.out, ran.err).contains("healthy"), "{}", ran.out);
    let db = stack.world.service("db");
    assert_eq!((&db["state"], &db["health"]), (&"ready".into(), &"none".into()), "{db:#}");
    stack.down();
}

#[test]
fn another_name_in_the_manifest_is_another_container_and_the_old_one_goes() {
    let named = |name: &str| idle(&[&format!("container_name: {name}"), "network: none"]);
    let base = format!("case-{}", free_port());
    let Some(stack) = Stack::new(&named(&format!("{base}-old"))) else { return };
    stack.up();
    stack.world.write(&named(&format!("{base}-new")));
    told(stack.run(&["up"]), 0, &["1 recreated"]);
    let name = stack.inspect(&stack.only())["Name"].as_str().expect("a name").to_owned();
    assert_eq!(name.trim_start_matches('/'), format!("{base}-new"));
    stack.down();
}

#[test]
fn what_others_did_to_it_is_shown() {
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    stack.up();
    let failed = || until("it has failed", || stack.world.service("db")["state"] == "failed");
    stack.engine.docker(&["kill", &stack.only()]);
    failed();
    told(stack.run(&["status"]), 5, &["exit 137"]);
    stack.up();
    stack.engine.docker(&["rm", "-f", &stack.only()]);
    failed();
    told(stack.run(&["status"]), 5, &["somebody removed its container"]);
    stack.up();
    stack.down();
}

#[test]
fn a_stop_that_ended_in_sigkill_is_told_as_forced() {
    let lines = [
        "command: [sh, -c, 'trap \"\" TERM; echo deaf; while :; do sleep 0.2; done']",
        "ready: { log: deaf }",
        "stop_grace_period: 1s",
    ];
    let Some(stack) = Stack::new(&idle(&lines)) else { return };
    stack.up();
    told(stack.run(&["down"]), 0, &["container did not end, killed after", "1 container removed · 0 left"]);
    stack.up();
    told(stack.run(&["down", "--force"]), 0, &["container killed", "1 container removed · 0 left"]);
    assert!(stack.containers().is_empty());
}

#[test]
fn what_has_changed_is_recreated_and_said_to_be() {
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    stack.up();
    let id = stack.only();
    told(stack.run(&["up"]), 0, &[]);
    assert_eq!(stack.only(), id);
    stack.world.write(&idle(&["limits: { memory: 64M }"]));
    told(stack.run(&["up"]), 0, &["1 recreated"]);
    let found = stack.inspect(&stack.only());
    assert_eq!(found["HostConfig"]["Memory"], 64 << 20);
    stack.down();
}

#[test]
fn containers_alone_are_ended_where_that_is_asked_for() {
    let both = idle(&[]) + "  api: { command: stand-in wait }\n";
    let Some(stack) = Stack::new(&both) else { return };
    stack.up();
    let api = stack.world.pid("api");
    told(stack.run(&["down", "--containers"]), 0, &["1 container removed", "0 left"]);
    assert!(stack.containers().is_empty());
    assert_eq!(stack.world.pid("api"), api);
    stack.down();
}

#[test]
fn named_volumes_are_kept_until_they_are_asked_for() {
    let Some(stack) = Stack::new(&idle(&["volumes: ['kept:/data']"])) else { return };
    let other = format!("case-{}", free_port());
    stack.engine.docker(&["volume", "create", &other]);
    stack.up();
    let mounts = stack.inspect(&stack.only())["Mounts"].clone();
    let volume = mounts[0]["Name"].as_str().expect("a name").to_owned();
    let is_there = |name: &str| {
        let asked = stack.engine.command(&["volume", "inspect", name]).output();
        asked.expect("asked").status.success()
    };
    told(stack.run(&["down"]), 0, &["volumes kept: kept"]);
    assert!(is_there(&volume));
    // Nobody can be asked here.
    told(stack.run(&["down", "--volumes"]), 2, &["nobody can be asked here: add --yes", &volume]);
    assert!(is_there(&volume));
    told(stack.run(&["down", "--volumes", "--yes"]), 0, &[]);
    assert!(!is_there(&volume) && is_there(&other));
    stack.engine.docker(&["volume", "rm", &other]);
}

#[test]
fn logs_go_on_where_they_stopped() {
    // A shell that is the first process hears only what it waits for.
    let script = "command: [sh, -c, 'trap \"exit 0\" TERM; i=0; while :; do i=$$((i+1)); echo line $$i; sleep 0.05; done']";
    // Podman's is started again, and told from its beginning.
    if daemon().is_none() {
        return;
    }
    let Some(stack) = Stack::new(&idle(&[script])) else { return };
    let lines = || -> Vec<String> {
        let ran = finish(stack.command(&["logs", "db"]));
        ran.out.lines().map(str::to_owned).collect()
    };
    stack.up();
    for round in 1..=2 {
        until("some lines", || lines().len() > 15 * round);
        let parts = stack.parts();
        crate::stack::kill_all(&[&[parts.supervisor][..], &parts.keepers, &parts.leaders].concat());
        stack.up();
    }
    until("some more lines", || lines().len() > 60);
    let number = |line: &String| -> usize {
        line.strip_prefix("line ").and_then(|at| at.parse().ok()).expect("a line")
    };
    let told: Vec<usize> = lines().iter().map(number).collect();
    let (steps, most): (Vec<usize>, usize) =
        (told.windows(2).map(|two| two[1].saturating_sub(two[0])).collect(), 3);
    assert!(steps.iter().all(|step| (1..=most).contains(step)), "nothing is told twice: {told:?}");
    // What was between shim and keeper when both were killed is with nobody: a line at most, at each of the two kills.
    assert!(steps.iter().filter(|step| **step > 1).count() <= 2, "nothing else is lost: {told:?}");
    stack.down();
}
