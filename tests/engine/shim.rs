//! The shim's ordinary day: a container is made, started, copied, taken over, stopped.

use devstack::domain::{ContainerStep, ContainerTrouble, OwnHealth};

use crate::engine::engine;
use crate::shim_world::Service;
use crate::world::until;

#[test]
fn a_container_is_made_started_told_and_stopped() {
    let Some(engine) = engine() else { return };
    // Two pipes lead to the engine: what is written to both at once may come in either order.
    let script =
        "trap 'echo bye; exit 3' TERM; echo out; sleep 0.3; echo err >&2; while :; do sleep 0.1; done";
    let mut service = Service::new(engine, &["sh", "-c", script]);
    let mut shim = service.start();
    let state = shim.until_running();
    assert_eq!((state.health, state.trouble.clone()), (OwnHealth::None, None));
    let container = service.container().expect("it is there");
    assert_eq!(container["Id"], state.id.expect("its id"));
    assert_eq!(container["State"]["Pid"], state.pid.expect("its process"));
    assert_eq!(container["HostConfig"]["RestartPolicy"]["Name"], "no");
    let labels = &container["Config"]["Labels"];
    for (name, value) in service.spec.labels() {
        assert_eq!(labels[&name], value.as_str(), "{name}");
    }
    until("its output", || shim.written() == "out\nerr\n");
    shim.ask();
    assert_eq!(shim.end(), Some(3));
    let state = shim.state();
    assert_eq!(
        (state.step, state.exit, state.forced, state.pid),
        (ContainerStep::Ended, Some(3), false, None)
    );
    assert_eq!(shim.all_written(), "out\nerr\nbye\n");
    // It stays, to be started again.
    assert_eq!(service.container().expect("it is there")["State"]["Status"], "exited");
}

#[test]
fn a_running_container_is_taken_over_and_its_log_goes_on() {
    let Some(engine) = engine() else { return };
    let script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done";
    let mut service = Service::new(engine, &["sh", "-c", script]);
    let mut first = service.start();
    let id = first.until_running().id;
    until("some lines", || first.written().lines().count() > 20);
    first.kill();
    assert_eq!(first.end(), None);
    let before = first.all_written();
    let container = service.container().expect("it runs on");
    assert_eq!(container["State"]["Running"], true);
    let mut second = service.start();
    let state = second.until_running();
    assert_eq!(state.id, id);
    assert_eq!(service.container().expect("it is there")["Config"]["Labels"]["devstack.life"], "1");
    until("some more lines", || second.written().lines().count() > 20);
    second.ask();
    assert!(second.end().is_some());
    let all = before + &second.all_written();
    for (at, line) in all.lines().enumerate() {
        assert_eq!(line, format!("line {}", at + 1), "nothing is lost and nothing told twice");
    }
}

#[test]
fn an_ended_container_is_started_again_and_one_of_another_definition_made_anew() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &["sh", "-c", "echo run; exit 4"]);
    let mut shim = service.start();
    assert_eq!(shim.end(), Some(4));
    let id = shim.state().id.expect("its id");
    assert_eq!(shim.all_written(), "run\n");
    let mut again = service.start();
    assert_eq!(again.end(), Some(4));
    assert_eq!((again.state().id, again.all_written()), (Some(id.clone()), "run\n".to_owned()));
    service.spec.unit.definition = "fedcba9876543210".to_owned();
    let mut other = service.start();
    assert_eq!(other.end(), Some(4));
    assert_ne!(other.state().id, Some(id.clone()));
    let gone = engine.command(&["inspect", &id]).output().expect("asked");
    assert!(!gone.status.success(), "the old one is still there");
}

#[test]
fn a_running_container_of_another_definition_is_asked_to_end_first() {
    let Some(engine) = engine() else { return };
    let script = "trap 'echo bye; exit 0' TERM; echo hi; while :; do sleep 0.1; done";
    let mut service = Service::new(engine, &["sh", "-c", script]);
    let mut first = service.start();
    let id = first.until_running().id;
    service.spec.unit.definition = "fedcba9876543210".to_owned();
    let second = service.start();
    assert_ne!(second.until_running().id, id);
    // Its shim sees it end, or already gone.
    assert!(matches!(first.end(), Some(0 | 125)), "{:?}", first.state());
    assert_eq!(first.all_written(), "hi\nbye\n", "it was asked, not killed");
}

#[test]
fn a_strangers_name_is_refused_and_he_is_left_alone() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    let name = service.name();
    let labels = ["--label", "com.docker.compose.project=other"];
    let args = [&["run", "-d", "--name", &name][..], &labels, &["devstack-test/idle"]].concat();
    let id = engine.docker(&args).out.trim().to_owned();
    let mut shim = service.start();
    let ContainerTrouble::NameTaken { name: told, by } = shim.trouble() else { panic!("{:?}", shim.state()) };
    assert_eq!(told, name);
    let image = if engine.is_podman() { "localhost/devstack-test/idle:latest" } else { "devstack-test/idle" };
    assert_eq!(by, format!("{} (image {image}, compose project other)", &id[..12]));
    let container = service.container().expect("it is there");
    assert_eq!((&container["Id"], &container["State"]["Running"]), (&id.into(), &true.into()));
    engine.docker(&["rm", "-f", "-v", &name]);
}
