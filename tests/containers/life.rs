//! The ordinary day of a container: up, known, changed, down.

use crate::stack::{Stack, pid_of, ping};
use crate::world::{answers, free_port, list, until};

fn redis(port: u16, more: &str) -> String {
    format!("services:\n  cache: {{ image: devstack-test/redis, ports: ['{port}:6379']{more} }}\n")
}

#[test]
fn a_container_is_up_when_it_answers_and_gone_when_it_is_said_to_be() {
    let port = free_port();
    let Some(stack) = Stack::new(&redis(port, "")) else { return };
    stack.up();
    assert_eq!(ping(port).as_deref(), Some("+PONG\r\n"), "it answers when up returns");
    let id = stack.only();
    let found = stack.inspect(&id);
    assert_eq!(found["Config"]["Labels"]["devstack.service"], "cache");
    assert_eq!(found["HostConfig"]["RestartPolicy"]["Name"], "no", "its engine must not fight ours");
    let cache = stack.world.service("cache");
    assert_eq!((&cache["state"], &cache["health"]), (&"ready".into(), &"healthy".into()), "{cache:#}");
    assert_eq!(cache["container"]["id"], id.as_str(), "{cache:#}");
    assert!(crate::world::command_line(pid_of(&cache)).starts_with("devstack-container "), "{cache:#}");
    let inside = list(&cache, "processes").iter().filter(|one| one["found_by"] == "container");
    let commands: Vec<&str> = inside.filter_map(|one| one["command"].as_str()).collect();
    assert!(commands.iter().any(|command| command.contains("redis-server")), "{cache:#}");
    let logs = stack.run(&["logs", "cache"]).expect(0).out;
    assert!(logs.contains("Ready to accept connections"), "{logs}");
    // Once more changes nothing.
    stack.up();
    assert_eq!(stack.only(), id);

    let report = stack.down();
    assert_eq!(report["containers"]["removed"], 1, "{report:#}");
    assert_eq!(list(&report, "ports")[0]["free"], true, "{report:#}");
    assert!(!answers(port));
    // Without a supervisor there is nothing to do, and no engine to be asked.
    let report = stack.down();
    assert!(report["containers"].is_null(), "{report:#}");
}

#[test]
fn another_definition_is_another_container_and_the_old_one_goes() {
    let port = free_port();
    let Some(stack) = Stack::new(&redis(port, "")) else { return };
    stack.up();
    let old = stack.only();
    stack.world.write(&redis(port, ", environment: { COLOUR: green }"));
    stack.up();
    let new = stack.only();
    assert_ne!(old, new);
    let environment = stack.inspect(&new)["Config"]["Env"].to_string();
    assert!(environment.contains("COLOUR=green"), "{environment}");
    assert_eq!(ping(port).as_deref(), Some("+PONG\r\n"));
    stack.down();
}

#[test]
fn checks_run_inside_and_ports_must_lead_there() {
    let port = free_port();
    // It listens where no port of the host leads to, and says that it is well.
    let inside = format!(
        "services:\n  web:\n    image: devstack-test/idle\n    command: [httpd, -f, -p, '127.0.0.1:80', -h, /]\n    ports: ['{port}:80']\n    ready: {{ exec: 'test -e /etc/passwd && test \"$COLOUR\" = green', tcp: 'localhost:{port}' }}\n    environment: {{ COLOUR: green }}\n    start_timeout: 5s\n"
    );
    let Some(stack) = Stack::new(&inside) else { return };
    // Podman takes longer to start.
    let inside = if stack.engine.is_podman() { inside.replace("timeout: 5s", "timeout: 9s") } else { inside };
    stack.world.write(&inside);
    let ran = stack.run(&["up"]).expect(1);
    assert!(ran.err.contains("loopback address inside its container only"), "{}", ran.err);
    assert!(!ran.err.contains("COLOUR"), "what ran inside held: {}", ran.err);
    stack.world.write(&inside.replace("127.0.0.1:80", "80"));
    stack.up();
    stack.down();
}

#[test]
fn one_that_is_healthy_inside_and_dead_from_the_host_is_told_as_that() {
    let port = free_port();
    let Some(stack) = Stack::new(&redis(port, ", command: [redis-server, --bind, 127.0.0.1]")) else {
        return;
    };
    std::thread::scope(|scope| {
        let up = scope.spawn(|| stack.run(&["up"]));
        until("it is told", || {
            let ps = stack.run(&["ps"]);
            ps.status.success() && ps.out.contains("healthy inside, dead from the host: port 6379")
        });
        stack.down();
        assert_ne!(up.join().expect("it ends").status.code(), Some(0));
    });
}

#[test]
fn a_container_that_does_not_end_in_its_grace_is_told_as_killed() {
    let deaf = "services:\n  deaf:\n    image: devstack-test/idle\n    command: [sh, -c, 'trap \"\" TERM; echo deaf; while :; do sleep 1; done']\n    ready: { log: deaf }\n    stop_grace_period: 1s\n";
    let Some(stack) = Stack::new(deaf) else { return };
    stack.up();
    let report = stack.down();
    assert_eq!(list(&report, "services")[0]["container"]["forced"], true, "{report:#}");
    // By force nobody waits, and the engine kills what the shim stood for.
    stack.up();
    let id = stack.only();
    let report = stack.run(&["down", "--force", "--json"]).expect(0).json();
    assert_eq!(list(&report, "services")[0]["container"]["forced"], true, "{report:#}");
    assert!(stack.containers().is_empty(), "{report:#}");
    until("the engine has forgotten it", || {
        stack.engine.command(&["inspect", &id]).output().is_ok_and(|ran| !ran.status.success())
    });
}

#[test]
fn one_service_is_stopped_and_the_other_containers_stay() {
    let (one, two) = (free_port(), free_port());
    let manifest = format!(
        "services:\n  one: {{ image: devstack-test/redis, ports: ['{one}:6379'] }}\n  two: {{ image: devstack-test/redis, ports: ['{two}:6379'] }}\n"
    );
    let Some(stack) = Stack::new(&manifest) else { return };
    stack.up();
    assert_eq!(stack.containers().len(), 2);
    stack.run(&["stop", "one"]).expect(0);
    stack.only();
    assert_eq!(ping(two).as_deref(), Some("+PONG\r\n"));
    assert!(!answers(one));
    stack.down();
}
