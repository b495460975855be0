//! Every kind of gate and health check, asked through the whole program.

use std::net::TcpListener;
use std::process::Command;

use crate::world::{World, await_that, free_port, stand_in, until};

#[test]
fn http_is_asked_until_it_is_answered_well() {
    let port = free_port();
    let world = World::new(&format!(
        "
services:
  api:
    command: [{stand_in}, api, --port, '{port}', --after, '300']
    ports: [{port}]
    health: http://localhost:{port}/api/v1/health
",
        stand_in = stand_in()
    ));
    // A proxy in the environment is nobody that could say how the service is.
    let mut command = world.command(&["up"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9");
    }
    let up = crate::world::finish(command).expect(0, "up");
    up.says(&["healthy", &port.to_string(), "1 of 1 healthy"]);
    let api = world.service("api");
    assert_eq!((&api["state"], &api["health"]), (&"ready".into(), &"healthy".into()));
    let after = api["ready_ms"].as_u64().expect("a time");
    assert!((250..5000).contains(&after), "503 is not healthy: ready after {after} ms");
    assert_eq!(api["ports"][0], port);
    assert_eq!(world.ok(&["port", "api"]).stdout, format!("{port}\n"));
    assert_eq!(world.ok(&["url", "api"]).stdout, format!("http://localhost:{port}\n"));
    world.ok(&["down"]).says(&["free"]);
    assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
}

#[test]
fn tcp_exec_log_notify_and_port_open_the_gate() {
    let (tcp, port) = (free_port(), free_port());
    let world = World::new(&format!(
        "
services:
  tcp:
    command: [{stand_in}, listen, --port, '{tcp}', --after, '200']
    ready: {{ tcp: localhost:{tcp} }}
  exec:
    command: sleep 0.2; touch here; exec sleep 600
    ready: {{ exec: [test, -e, here] }}
  log:
    command: echo booting; sleep 0.2; echo listening on 1234; exec sleep 600
    ready: {{ log: 'listening on \\d+' }}
  notify:
    command: [{stand_in}, notify, --after, '200']
    ready: {{ notify: true }}
  port:
    command: [{stand_in}, listen, --port, '{port}', --after, '200']
    ready: {{ port: {port} }}
",
        stand_in = stand_in()
    ));
    world.ok(&["up"]).says(&["5 of 5 ready"]);
    for name in ["tcp", "exec", "log", "notify", "port"] {
        let after = world.service(name)["ready_ms"].as_u64().expect("a time");
        assert!((150..5000).contains(&after), "{name} was ready after {after} ms");
    }
}

#[test]
fn all_questions_of_a_gate_must_hold() {
    let world = World::new(
        "
services:
  two:
    command: echo one; exec sleep 600
    ready: { log: one, exec: test -e go }
",
    );
    let up = world.spawn(&["up"]);
    until("its first question to be answered", || {
        let log = world.run(&["logs", "two"]);
        if log.stdout.contains("one") { Ok(()) } else { Err(format!("{log:?}")) }
    });
    assert_eq!(world.state("two"), "starting");
    std::fs::write(world.path("go"), "").expect("go");
    up.finish().expect(0, "up");
    assert_eq!(world.state("two"), "ready");
}

#[test]
fn a_sick_service_is_told_and_heals() {
    let port = free_port();
    let world = World::new(&format!(
        "
services:
  api:
    command: [{stand_in}, api, --port, '{port}', --sick-while, sick]
    health: {{ http: 'http://localhost:{port}/api/v1/health', interval: 50ms, retries: 2 }}
",
        stand_in = stand_in()
    ));
    world.ok(&["up"]);
    world.ok(&["status"]);
    let pid = world.pid("api");
    std::fs::write(world.path("sick"), "").expect("sick");
    await_that("it to be unhealthy", || world.state("api") == "unhealthy");
    let status = world.expect(5, &["status"]);
    status.says(&["unhealthy", "503"]);
    std::fs::remove_file(world.path("sick")).expect("well");
    world.ok(&["wait", "--for", "healthy", "api", "--timeout", "30s"]);
    assert_eq!(world.pid("api"), pid, "it was left in peace");
    world.ok(&["status"]);
}

#[test]
fn an_unhealthy_service_is_restarted_where_it_is_asked_for() {
    let port = free_port();
    let world = World::new(&format!(
        "
services:
  api:
    command: [{stand_in}, api, --port, '{port}', --sick-while, sick]
    restart: on-failure
    health: {{ http: 'http://localhost:{port}/api/v1/health', interval: 50ms, retries: 2, on_failure: restart }}
",
        stand_in = stand_in()
    ));
    world.ok(&["up"]);
    let pid = world.pid("api");
    std::fs::write(world.path("sick"), "").expect("sick");
    await_that("it to be ended", || !crate::world::alive(pid));
    std::fs::remove_file(world.path("sick")).expect("well");
    await_that("it to be ready again", || world.state("api") == "ready");
    let api = world.service("api");
    assert!(api["restarts"].as_u64() >= Some(1), "{api}");
    assert_ne!(world.pid("api"), pid);
    world.ok(&["events", "--service", "api"]).says(&["503", "SIGTERM"]);
}

#[test]
fn a_strangers_answer_is_a_conflict_and_not_health() {
    let port = free_port();
    let world = World::new(&format!(
        "
services:
  api:
    command: exec sleep 600
    ready: {{ http: 'http://localhost:{port}/' }}
    start_timeout: 20s
"
    ));
    let mut stranger = Command::new(stand_in());
    let mut stranger =
        stranger.args(["listen", "--http", "--port", &port.to_string()]).spawn().expect("it starts");
    await_that("the stranger to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let up = world.expect(1, &["up"]);
    let (pid, runs) = (stranger.id().to_string(), stranger.try_wait().expect("its state").is_none());
    stranger.kill().expect("it can be ended");
    stranger.wait().expect("it has ended");
    assert!(runs, "nobody touched the stranger");
    up.complains(&[
        "error[DS021]",
        &format!("port {port}"),
        "held by",
        "stand-in",
        &format!("pid {pid}"),
        "try",
    ]);
}
