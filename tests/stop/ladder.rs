//! How services are asked, how long they may take, and what happens then.

use std::time::Duration;

use crate::world::{World, answers, free_port, list, number, runs, stat};

#[test]
fn a_deaf_service_is_killed_after_its_grace_and_named() {
    let world = World::new(
        "services:\n  deaf: { command: stand-in deaf --child, stop_grace_period: 1s, ready: { log: deaf } }\n",
    );
    world.up();
    let (pid, living) = (world.pid("deaf"), world.living());
    assert_eq!(living.len(), 2);
    let ran = world.run(&["down"]).expect(0);
    world.assert_none_but(&[]);
    assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
    assert!(ran.took < Duration::from_secs(60), "{:?}", ran.took);
    let (_, waited) = ran.out.split_once("SIGTERM ").expect("it was asked");
    let waited: f32 =
        waited.split_once("s → SIGKILL").and_then(|(time, _)| time.parse().ok()).expect("a time");
    assert!((1.0..9.0).contains(&waited), "its own grace, and not the usual one: {}", ran.out);
    assert!(ran.out.contains(&format!("stand-in {pid}")), "{}", ran.out);
    assert!(ran.out.contains("2 by force") && ran.out.contains("0 left"), "{}", ran.out);
}

#[test]
fn the_deaf_are_listed_in_json() {
    let world = World::new(
        "services:\n  deaf: { command: stand-in deaf, stop_grace_period: 200ms, ready: { log: deaf } }\n",
    );
    world.up();
    let pid = world.pid("deaf");
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true);
    assert_eq!((number(&report["ended"]), number(&report["forced"])), (1, 1));
    let deaf = list(&list(&report, "services")[0], "deaf");
    assert_eq!(number(&deaf[0]["pid"]), pid);
    assert_eq!(list(&report, "services")[0]["exit"]["signal"], "SIGKILL");
}

#[test]
fn the_stop_signal_of_the_manifest_is_sent() {
    let script = "trap 'echo got usr1; exit 7' USR1; trap 'echo got term; exit 8' TERM; echo on; \
                  while :; do sleep 0.05; done";
    let world = World::new(&format!(
        "services:\n  api:\n    command: [sh, -c, \"{script}\"]\n    stop_signal: SIGUSR1\n    ready: {{ log: on }}\n"
    ));
    world.up();
    let pid = world.pid("api");
    let report = world.down(&[], 0);
    assert!(!runs(pid));
    assert_eq!(list(&report, "services")[0]["signal"], "SIGUSR1");
    assert_eq!(number(&list(&report, "services")[0]["exit"]["code"]), 7);
    let log = String::from_utf8(world.log("api")).expect("text");
    assert!(log.ends_with("got usr1\n") && !log.contains("term"), "{log}");
}

#[test]
fn the_stop_command_is_run_before_any_signal() {
    let world = World::new(concat!(
        "services:\n",
        "  api:\n",
        "    command: 'trap \"echo term; exit 9\" TERM; echo on; while [ ! -e stop ]; do sleep 0.02; done; trap \"\" TERM; touch done; exit 3'\n",
        "    stop_command: 'echo \"$DEVSTACK_SERVICE\" > stop; while [ ! -e done ]; do sleep 0.02; done'\n",
        "    ready: { log: on }\n",
    ));
    world.up();
    let pid = world.pid("api");
    let report = world.down(&[], 0);
    assert!(!runs(pid));
    assert_eq!(number(&list(&report, "services")[0]["exit"]["code"]), 3, "{report}");
    assert_eq!(std::fs::read_to_string(world.dir().join("stop")).expect("it ran"), "api\n");
    assert_eq!(number(&report["forced"]), 0);
}

#[test]
fn a_stop_command_that_hangs_does_not_hold_the_stop() {
    let world = World::new(concat!(
        "services:\n",
        "  api: { command: stand-in wait, stop_command: stand-in wait, stop_grace_period: 1s }\n",
    ));
    world.up();
    let report = world.down(&[], 0);
    assert!(report["seconds"].as_f64().expect("seconds") < 60.0, "{report}");
    world.assert_none_but(&[]);
}

#[test]
fn a_time_limit_on_the_command_line_replaces_the_grace() {
    let world = World::new(
        "services:\n  deaf: { command: stand-in deaf, stop_grace_period: 5m, ready: { log: deaf } }\n",
    );
    world.up();
    let ran = world.run(&["down", "--timeout", "300ms"]).expect(0);
    assert!(ran.took < Duration::from_secs(60), "{:?}", ran.took);
    world.assert_none_but(&[]);
}

#[test]
fn force_does_not_ask() {
    let world = World::new(concat!(
        "services:\n",
        "  api:\n",
        "    command: 'trap \"echo asked\" TERM; echo on; while :; do sleep 0.02; done'\n",
        "    stop_grace_period: 5m\n",
        "    ready: { log: on }\n",
        "  deaf: { command: stand-in deaf --child, stop_grace_period: 5m, ready: { log: deaf } }\n",
    ));
    world.up();
    let ran = world.run(&["down", "--force"]).expect(0);
    assert!(ran.took < Duration::from_secs(60), "{:?}", ran.took);
    world.assert_none_but(&[]);
    assert_eq!(String::from_utf8(world.log("api")).expect("text"), "on\n");
}

#[test]
fn a_stopped_stack_is_verified_again() {
    let port = free_port();
    let world = World::new(&format!(
        "services:\n  api: {{ command: stand-in listen --port {port}, ports: [{port}], ready: {{ port: {port} }} }}\n"
    ));
    // Never started at all.
    let report = world.down(&[], 0);
    assert_eq!((report["clean"].as_bool(), number(&report["ended"])), (Some(true), 0));
    world.up();
    assert!(answers(port));
    let first = world.down(&[], 0);
    assert_eq!((first["clean"].as_bool(), number(&first["ended"])), (Some(true), 1));
    assert!(!answers(port));
    let second = world.down(&[], 0);
    assert_eq!((second["clean"].as_bool(), number(&second["ended"])), (Some(true), 0));
    assert_eq!(list(&second, "ports")[0]["free"], true);
    world.assert_none_but(&[]);
}

#[test]
fn two_at_once_both_see_it_end() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n  b: { command: stand-in wait }\n");
    world.up();
    let mut first = world.command(&["down", "--json"]);
    first.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let first = first.spawn().expect("it starts");
    world.down(&[], 0);
    world.assert_none_but(&[]);
    let first = first.wait_with_output().expect("it ends");
    assert_eq!(first.status.code(), Some(0), "{first:?}");
}

#[test]
fn one_service_ends_and_the_others_go_on() {
    let world = World::new("services:\n  a: { command: stand-in wait }\n  b: { command: stand-in wait }\n");
    world.up();
    let (a, b) = (world.pid("a"), world.pid("b"));
    for pid in [a, b] {
        let line = stat(pid).expect("it lives");
        assert_eq!((line.group, line.session), (pid, pid), "a session of its own");
    }
    let report = world.down(&["a"], 0);
    assert_eq!(report["clean"], true);
    assert!(!runs(a) && runs(b));
    assert_eq!(world.service("b")["state"], "ready");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_manifest_that_broke_or_went_keeps_nothing_alive() {
    let manifest = "services:\n  api: { command: stand-in wait }\n";
    let world = World::new(manifest);
    world.up();
    world.write("services:\n  api: { comand: [ }\n");
    let ran = world.run(&["down"]).expect(0);
    assert!(ran.err.contains("what the last `up` recorded is ended"), "{}", ran.err);
    world.assert_none_but(&[]);

    world.write(manifest);
    world.up();
    std::fs::remove_file(world.dir().join("devstack.yaml")).expect("removed");
    let ran = world.run(&["down"]);
    assert_eq!(ran.status.code(), Some(0), "{}{}", ran.out, ran.err);
    world.assert_none_but(&[]);
}

#[test]
fn a_checkout_that_was_deleted_can_be_ended() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    world.up();
    let manifest = world.dir().join("devstack.yaml");
    std::fs::remove_dir_all(world.dir()).expect("removed");
    std::fs::create_dir(world.dir()).expect("a new one");
    let mut down = world.command(&["down"]);
    down.arg("-f").arg(manifest).current_dir("/");
    let ran = crate::world::finish(down);
    assert_eq!(ran.status.code(), Some(0), "{}{}", ran.out, ran.err);
    world.assert_none_but(&[]);
}

#[test]
fn a_stray_that_holds_the_output_does_not_delay_the_stop() {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    world.up();
    let pid = world.pid("api");
    // Somebody outside every layer opens the service's own output, as a debugger or a foreign daemon may.
    let mut holder = std::process::Command::new("sleep");
    let pipe = std::fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/1")).expect("its output");
    let mut holder = holder.arg("600").stdout(pipe).spawn().expect("it starts");
    let ran = world.run(&["down"]).expect(0);
    assert!(ran.took < Duration::from_secs(60), "{:?}", ran.took);
    assert!(holder.try_wait().expect("ours").is_none(), "a stranger with our pipe was ended");
    holder.kill().expect("ours");
    holder.wait().expect("ours");
    world.assert_none_but(&[]);
}
