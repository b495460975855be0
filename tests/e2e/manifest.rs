//! What the manifest says, and what the services get of it.

use crate::world::{World, await_that, finish};

#[test]
fn mistakes_are_all_told_with_line_and_hint() {
    let world = World::new(
        "services:\n  api:\n    comand: sleep 1\n    depends_on: [bd]\n  db:\n    command: sleep 1\n    stop_grace_period: 5\n",
    );
    for verb in [&["check"][..], &["up"], &["config"], &["ps"]] {
        let out = world.expect(65, verb);
        out.complains(&["devstack.yaml:3", "comand", "command", "bd", "db", "5s", "^"]);
        assert_eq!(out.stdout, "");
    }
    world.manifest("services: { a: { command: sleep 1, watch: { paths: [src] } } }");
    world.expect(65, &["check"]).complains(&["watch", "not supported yet"]);
    world.manifest("services: { a: { command: sleep 1 }, t: { type: task, command: 'true' } }");
    world.ok(&["check"]).says(&["fine", "1 service", "1 task"]);
}

#[test]
fn without_a_manifest_it_is_66() {
    let world = World::new("services: { a: { command: exec sleep 600 } }");
    std::fs::remove_file(world.path("devstack.yaml")).expect("it was there");
    for verb in ["up", "down", "ps", "status", "logs", "events", "check"] {
        world.expect(66, &[verb]).complains(&["error[DS0", "devstack.yaml", "try"]);
    }
    world.expect(66, &["-f", "elsewhere.yaml", "up"]);
}

#[test]
fn the_manifest_is_found_from_below_by_option_and_by_variable() {
    let world = World::new("name: found\nservices: { a: { command: exec sleep 600 } }");
    let below = world.path("a/b/c");
    std::fs::create_dir_all(&below).expect("a directory");
    let elsewhere = std::env::temp_dir();
    let mut up = world.command(&["up"]);
    finish({
        up.current_dir(&below);
        up
    })
    .expect(0, "from below");
    let file = world.path("devstack.yaml").to_string_lossy().into_owned();
    let dir = world.dir.to_string_lossy().into_owned();
    for args in [
        &["-f", &file, "status"][..],
        &["status", "-f", &file],
        &["-C", &dir, "status"],
        &["status", "-C", &dir],
    ] {
        let mut status = world.command(args);
        finish({
            status.current_dir(&elsewhere);
            status
        })
        .expect(0, &args.join(" "));
    }
    let mut status = world.command(&["status"]);
    status.current_dir(&elsewhere).env("DEVSTACK_FILE", &file);
    finish(status).expect(0, "DEVSTACK_FILE");
}

#[test]
fn the_environment_is_as_described() {
    let world = World::new(
        "
name: env
env_file: [.env, { path: .missing, required: false }]
environment: { A: stack, B: stack, C: stack }
services:
  one:
    command: env > one.env; exec sleep 600
    ready: { exec: test -s one.env }
    ports: { http: auto }
    env_file: [one.vars]
    environment: { C: service, D: '${FROM_SHELL:-none}-${UNSET:-default}-$$x', SELF: '${services.one.port}' }
  two:
    command: [sh, -c, 'env > two.env; exec sleep 600']
    ready: { exec: test -s two.env }
    ports: { only: auto }
    environment: { PEER: 'http://localhost:${services.one.ports.http}' }
",
    );
    std::fs::write(world.path(".env"), "A=file\nE=\"quoted value\"\n").expect("a file");
    std::fs::write(world.path("one.vars"), "B='own file'\nC='own file'\n").expect("a file");
    let mut up = world.command(&["up"]);
    up.env("FROM_SHELL", "shell value").env("INHERITED", "yes").env("DEVSTACK_LIFE", "forged");
    finish(up).expect(0, "up");
    let port = world.ok(&["port", "one"]).stdout.trim().to_owned();
    let text = world.read("one.env");
    let has = |line: &str| assert!(text.lines().any(|one| one == line), "no {line:?} in\n{text}");
    has("A=stack");
    has("B=own file");
    has("C=service");
    has("D=shell value-default-$x");
    has("E=quoted value");
    has("INHERITED=yes");
    has(&format!("PORT={port}"));
    has(&format!("PORT_HTTP={port}"));
    has(&format!("SELF={port}"));
    has("DEVSTACK_STACK=env");
    has("DEVSTACK_SERVICE=one");
    has(&format!("PWD={}", world.dir.display()));
    let life: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("DEVSTACK_LIFE=")).collect();
    assert!(life.len() == 1 && life[0] != "forged", "{life:?}");
    assert!(world.read("two.env").contains(&format!("PEER=http://localhost:{port}")));
    // The same ports the next time, after a down as well.
    let two = world.ok(&["port", "two"]).stdout;
    world.ok(&["down"]);
    assert_eq!(world.ok(&["port", "one"]).stdout.trim(), port);
    let mut up = world.command(&["up"]);
    up.env("FROM_SHELL", "shell value");
    finish(up).expect(0, "up");
    assert_eq!(world.ok(&["port", "two"]).stdout, two);
    assert!(world.read("one.env").contains(&format!("PORT={port}\n")));
}

#[test]
fn an_unset_variable_is_told() {
    let world = World::new("services:\n  a:\n    command: echo ${NO_SUCH_VARIABLE_HERE}\n");
    world.expect(65, &["up"]).complains(&["DS019", "NO_SUCH_VARIABLE_HERE", "devstack.yaml:3"]);
    world.manifest("services:\n  a:\n    command: echo ${NO_SUCH_VARIABLE_HERE:?say who you are}\n");
    world.expect(65, &["up"]).complains(&["say who you are"]);
}

#[test]
fn config_masks_secrets() {
    let world = World::new(
        "
services:
  db:
    command: exec sleep 600
    environment: { DB_PASSWORD: hunter2, API_TOKEN: abcdef, PLAIN: open }
",
    );
    for args in [&["config"][..], &["config", "--json"]] {
        let out = world.ok(args);
        assert!(!out.stdout.contains("hunter2") && !out.stdout.contains("abcdef"), "{}", out.stdout);
        out.says(&["open", "DB_PASSWORD"]);
    }
    world.ok(&["config", "--show-secrets"]).says(&["hunter2", "abcdef"]);
    // What it shows is a manifest itself.
    let shown = world.ok(&["config", "--show-secrets"]).stdout;
    world.manifest(&shown);
    world.ok(&["check"]);
    // And nothing of it gets into the journal.
    world.ok(&["up"]);
    let events = world.ok(&["events", "--json"]).stdout;
    assert!(!events.contains("hunter2"), "{events}");
}

#[test]
fn completions_and_version() {
    let world = World::new("services: { a: { command: exec sleep 600 } }");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let out = world.ok(&["completions", shell]);
        assert!(out.stdout.contains("devstack") && !out.stdout.contains("__keeper"), "{shell}");
    }
    world.expect(2, &["completions", "cmd"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(world.ok(&["version"]).stdout, format!("devstack {version}\n"));
    assert_eq!(world.json(0, &["version", "--json"])["version"], version);
    world.ok(&["--version"]).says(&[version]);
    world.ok(&["--help"]).says(&["up", "down", "Exit codes"]);
    world.expect(2, &["nonsense"]);
    world.expect(2, &["up", "--no-such-option"]);
    world.expect(2, &["up", "--timeout", "5"]).complains(&["5"]);
}

#[test]
fn an_automatic_port_that_a_stranger_took_is_given_up() {
    let world = World::new("services: { a: { command: exec sleep 600, ports: { http: auto } } }");
    world.ok(&["up"]);
    let port = world.ok(&["port", "a"]).stdout;
    world.ok(&["down"]);
    let number: u16 = port.trim().parse().expect("a port");
    let held = std::net::TcpListener::bind(("127.0.0.1", number)).expect("it is free again");
    // A supervisor that is about to end could as well be about to start what listens there.
    await_that("the supervisor has ended", || world.ps()["supervisor"].is_null());
    world.ok(&["up"]);
    let other = world.ok(&["port", "a"]).stdout;
    assert_ne!(other, port);
    drop(held);
    assert_eq!(world.ok(&["port", "a"]).stdout, other, "what runs keeps its port");
    world.ok(&["down"]);
    assert_eq!(world.ok(&["port", "a"]).stdout, other);
}
