//! The shim's bad days: what is missing or taken, and what others do to the container meanwhile.

use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use devstack::domain::{ContainerStep, ContainerTrouble, MissingImage};
use devstack::plan::{BuildPlan, PublishPlan, PullPolicy};
use rustix::process::Signal;

use crate::engine::{daemon, engine};
use crate::shim_world::{Door, Service};
use crate::world::{answers, free_port, kill, until};

const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[test]
fn a_container_that_does_not_obey_is_told_as_forced_and_one_that_was_killed_is_not() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]);
    service.spec.unit.stop.grace = Duration::from_secs(1);
    let mut shim = service.start();
    shim.until_running();
    shim.ask();
    shim.until("it is being stopped", |state| state.step == ContainerStep::Stopping);
    // A second one says nothing new.
    shim.ask();
    assert_eq!(shim.end(), Some(137));
    assert_eq!((shim.state().exit, shim.state().forced), (Some(137), true));

    let mut shim = service.start();
    shim.until_running();
    engine.docker(&["kill", &service.name()]);
    assert_eq!(shim.end(), Some(137));
    let state = shim.state();
    assert_eq!((state.exit, state.forced, state.trouble), (Some(137), false, None));
}

#[test]
fn a_container_that_somebody_removes_is_told_as_removed() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    let mut shim = service.start();
    shim.until_running();
    engine.docker(&["rm", "-f", &service.name()]);
    assert_eq!(shim.trouble(), ContainerTrouble::Removed);
    // The next life has a new one.
    let next = service.start();
    next.until_running();
}

#[test]
fn a_log_that_breaks_off_goes_on_with_nothing_lost() {
    let Some(engine) = engine() else { return };
    let script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done";
    let mut service = Service::new(engine, &["sh", "-c", script]);
    let mut shim = service.start();
    shim.until_running();
    for count in [10, 60] {
        until("some lines", || shim.written().lines().count() > count);
        kill(shim.child("logs"), Signal::KILL);
    }
    until("some more lines", || shim.written().lines().count() > 120);
    shim.ask();
    assert!(shim.end().is_some());
    for (at, line) in shim.all_written().lines().enumerate() {
        assert_eq!(line, format!("line {}", at + 1));
    }
}

#[test]
fn an_engine_that_goes_away_for_a_moment_is_waited_for() {
    let Some(engine) = daemon() else { return };
    let script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done";
    let mut service = Service::new(engine, &["sh", "-c", script]);
    let door = Door::to(engine);
    let mut shim = service.start_with(&[("DOCKER_HOST", &door.host())]);
    shim.until_running();
    until("some lines", || shim.written().lines().count() > 10);
    door.shut();
    until("it asks in vain", || door.refused() > 1);
    door.open();
    until("some more lines", || {
        assert_eq!(shim.state().trouble, None);
        shim.written().lines().count() > 200
    });
    shim.ask();
    assert!(shim.end().is_some());
    assert_eq!(shim.state().trouble, None);
    for (at, line) in shim.all_written().lines().enumerate() {
        assert_eq!(line, format!("line {}", at + 1));
    }
}

#[test]
fn an_engine_that_goes_away_for_good_is_told_and_asked_seldom() {
    let Some(engine) = daemon() else { return };
    let mut service = Service::new(engine, &[]);
    let door = Door::to(engine);
    let mut shim = service.start_with(&[("DOCKER_HOST", &door.host())]);
    shim.until_running();
    door.shut();
    assert!(matches!(shim.trouble(), ContainerTrouble::NotAnswering { .. }), "{:?}", shim.state());
    // Each command of the engine that finds nobody asks twice or so; one that did not rest would ask hundreds of times.
    assert!(door.refused() < 100, "asked {} times", door.refused());
    assert_eq!(service.container().expect("it runs on")["State"]["Running"], true);
}

#[test]
fn who_may_not_ask_the_engine_is_told_so() {
    let Some(engine) = daemon() else { return };
    let mut service = Service::new(engine, &[]);
    service.nobodys = true;
    let trouble = service.start().trouble();
    assert!(matches!(trouble, ContainerTrouble::NotPermitted { .. }), "{trouble:?}");
}

#[test]
fn a_container_that_wants_too_much_memory_is_told_so() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &["sh", "-c", "head -c 200000000 /dev/zero | tail"]);
    service.spec.unit.container.as_mut().expect("it is in one").memory = Some(16 << 20);
    let mut shim = service.start();
    assert!(shim.end().is_some());
    // Podman 4.3 tells only that it was killed, where cgroups are of the first version.
    assert!(engine.is_podman() || shim.state().out_of_memory, "{:?}", shim.state());
}

#[test]
fn a_taken_port_is_told_with_its_holder_and_nothing_half_made_is_left() {
    let Some(engine) = engine() else { return };
    let holder = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = holder.local_addr().expect("bound").port();
    let mut service = Service::new(engine, &[]);
    service.plan().publish = vec![PublishPlan { address: LOCALHOST, host: port, inside: 80 }];
    let mut shim = service.start();
    let ContainerTrouble::PortTaken { port: told, container: None, holder: Some(by) } = shim.trouble() else {
        panic!("{:?}", shim.state())
    };
    let me = i32::try_from(std::process::id()).expect("a number");
    assert_eq!((told, by.process.map(|process| process.pid.get())), (port, Some(me)));
    assert!(service.container().is_none(), "something is left");
    drop(holder);

    // Now another container has it.
    let other = engine.serve(&format!("shim-other-{port}"), port);
    let mut shim = service.start();
    let ContainerTrouble::PortTaken { port: told, container: Some(by), .. } = shim.trouble() else {
        panic!("{:?}", shim.state())
    };
    assert_eq!((told, by), (port, other.name.clone()));
    assert!(service.container().is_none(), "something is left");
    drop(other);
    let shim = service.start();
    shim.until_running();
    // Its proxy accepts, though nobody listens inside; podman has none.
    assert!(engine.is_podman() || answers(port));
}

#[test]
fn a_container_under_the_name_of_yesterday_makes_room_for_its_port() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    service.plan().publish = vec![PublishPlan { address: LOCALHOST, host: free_port(), inside: 80 }];
    let mut first = service.start();
    let id = first.until_running().id.expect("its id");
    first.kill();
    assert_eq!(first.end(), None);
    service.plan().name += "-anew";
    let second = service.start();
    assert_ne!(second.until_running().id.as_ref(), Some(&id));
    assert!(!engine.command(&["inspect", &id]).output().expect("asked").status.success());
}

#[test]
fn an_image_that_cannot_be_had_is_told_quickly() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    let missing = |image: &str, pull: PullPolicy, service: &mut Service| {
        service.plan().image = image.to_owned();
        service.plan().pull = pull;
        let mut shim = service.start();
        let ContainerTrouble::NoImage { image: told, why, text } = shim.trouble() else {
            panic!("{:?}", shim.state())
        };
        assert_eq!(told, image);
        assert!(!text.is_empty());
        assert!(service.container().is_none(), "something is left");
        why
    };
    let here = "devstack-test/nono";
    assert_eq!(missing(here, PullPolicy::Never, &mut service), MissingImage::NotPulled);
    // Nobody listens there.
    for pull in [PullPolicy::Missing, PullPolicy::Always] {
        assert_eq!(missing("127.0.0.1:1/nono", pull, &mut service), MissingImage::Offline);
    }
}

#[test]
fn what_the_engine_refuses_is_told_in_its_words() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &["/no/such"]);
    service.plan().entrypoint = Some(vec!["/no/such".to_owned()]);
    let mut shim = service.start();
    assert!(matches!(shim.trouble(), ContainerTrouble::NotExecutable { text } if text.contains("/no/such")));
    assert!(service.container().is_none(), "something is left");

    let mut service = Service::new(engine, &[]);
    service.plan().network = Some("no-such-network".to_owned());
    let network = "no-such-network".to_owned();
    assert_eq!(service.start().trouble(), ContainerTrouble::NoSuchNetwork { network });
    assert!(service.container().is_none(), "something is left");

    let mut service = Service::new(engine, &[]);
    service.plan().context = Some("no-such-context".to_owned());
    let context = "no-such-context".to_owned();
    assert_eq!(
        service.start_with(&[("DOCKER_HOST", "")]).trouble(),
        ContainerTrouble::NoSuchContext { context }
    );

    let mut service = Service::new(engine, &[]);
    if !engine.is_podman() {
        let trouble = service.start_with(&[("DOCKER_HOST", "unix:///no/such/socket")]).trouble();
        assert!(matches!(trouble, ContainerTrouble::NotAnswering { .. }), "{trouble:?}");
    }
    let program = engine.command(&[]).get_program().to_string_lossy().into_owned();
    let trouble = service.start_with(&[("PATH", "/no/such/directory")]).trouble();
    assert_eq!(trouble, ContainerTrouble::NotInstalled { program });
}

#[test]
fn an_image_is_built_where_it_is_not_here() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    let image = format!("devstack-test/built-{}", service.spec.stack);
    let dir = service.temp.path().join("context");
    std::fs::create_dir(&dir).expect("a directory");
    let file = |text: &str| std::fs::write(dir.join("Dockerfile"), text).expect("written");
    service.plan().image.clone_from(&image);
    service.plan().build = Some(BuildPlan {
        dir: dir.clone(),
        dockerfile: None,
        args: vec![("WORD".to_owned(), "hello".to_owned())],
        target: None,
    });
    file("FROM devstack-test/idle\nRUN echo it fails && exit 7\n");
    let ContainerTrouble::NotBuilt { tail } = service.start().trouble() else { panic!("it cannot be built") };
    assert!(tail.iter().any(|line| line == "it fails"), "{tail:?}");

    file("FROM devstack-test/idle\nARG WORD\nENV WORD=$WORD\nCMD [\"sh\", \"-c\", \"echo $WORD\"]\n");
    let mut shim = service.start();
    assert_eq!(shim.end(), Some(0), "{:?}", shim.state());
    assert_eq!(shim.all_written(), "hello\n");
    engine.docker(&["rm", "-f", &service.name()]);
    engine.docker(&["rmi", &image]);
}
