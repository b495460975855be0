//! What a shim tells beside the life itself: the image's own health check, long lines, volumes, and what it costs.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use devstack::domain::{ContainerStep, ContainerTrouble, MissingImage, OwnHealth};
use devstack::plan::{HealthPlan, Probe, VolumePlan, VolumeSource};

use crate::engine::{Engine, daemon, engine, registry};
use crate::shim_world::Service;
use crate::world::{numbers, stat, until};

/// Builds an image of the idle one and these further lines.
fn image(engine: &'static Engine, service: &mut Service, lines: &str) {
    let dir = service.temp.path().join("image");
    std::fs::create_dir(&dir).expect("a directory");
    std::fs::write(dir.join("Dockerfile"), format!("FROM devstack-test/idle\n{lines}\n")).expect("written");
    let name = format!("devstack-test/more-{}", service.spec.stack);
    let mut command = engine.command(&["build", "-q", "-t", &name]);
    if engine.is_podman() {
        // Its own format has no place for a health check.
        command.arg("--format=docker");
    }
    let built = command.env("DOCKER_BUILDKIT", "0").arg(&dir).output().expect("it runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    service.plan().image = name;
}

#[test]
fn the_images_own_health_check_is_told_where_it_is_asked_for() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    let check = "HEALTHCHECK --interval=1s --retries=1 CMD cat /ill && exit 1; test -e /well";
    image(engine, &mut service, check);
    // Nobody asks.
    let mut shim = service.start();
    assert_eq!(shim.until_running().health, OwnHealth::None);
    shim.ask();
    assert_eq!(shim.end(), Some(0));
    service.spec.unit.health = Some(HealthPlan {
        probes: vec![Probe::Own],
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        retries: 1,
        start_period: Duration::ZERO,
        restart_on_failure: false,
    });
    let name = service.name();
    let inside = |script: &str| engine.docker(&["exec", &name, "sh", "-c", script]);
    engine.docker(&["rm", "-f", &name]);
    let mut shim = service.start();
    shim.until_running();
    inside("touch /well");
    shim.until("it is healthy", |state| state.health == OwnHealth::Healthy);
    inside("echo it hurts >/ill");
    shim.until("it is not", |state| state.health == OwnHealth::Unhealthy("it hurts".to_owned()));
    inside("rm /ill");
    shim.until("it is again", |state| state.health == OwnHealth::Healthy);
    // One that takes over knows it at once.
    shim.kill();
    assert_eq!(shim.end(), None);
    let shim = service.start();
    shim.until("it is still", |state| state.health == OwnHealth::Healthy);
    let image = service.plan().image.clone();
    drop(shim);
    engine.docker(&["rm", "-f", &name]);
    engine.docker(&["rmi", &image]);
}

#[test]
fn an_image_that_is_not_here_is_pulled_and_how_far_it_is_told() {
    let Some(engine) = daemon() else { return };
    let Some(registry) = registry() else { return };
    let mut service = Service::new(engine, &[]);
    let layers = "RUN head -c 3000000 /dev/urandom >/a\nRUN head -c 3000000 /dev/urandom >/b";
    image(engine, &mut service, layers);
    let built = service.plan().image.clone();
    let name = format!("{registry}/{built}");
    service.plan().image.clone_from(&name);
    for words in [&["tag", &built, &name][..], &["push", "-q", &name], &["rmi", &name, &built]] {
        engine.docker(words);
    }
    let shim = service.start();
    let told = RefCell::new(BTreeSet::new());
    shim.until("its container runs", |state| {
        if let ContainerStep::Pulling(far) = &state.step {
            told.borrow_mut().insert(far.clone());
        }
        state.step == ContainerStep::Running
    });
    let told = told.into_inner();
    assert!(told.iter().any(|far| far.ends_with(" of 3 layers")), "{told:?}");
    engine.docker(&["rm", "-f", &service.name()]);
    // And what the registry does not have is told as just that.
    let missing = format!("{registry}/devstack-test/nono");
    service.plan().image.clone_from(&missing);
    let ContainerTrouble::NoImage { image, why, .. } = service.start().trouble() else {
        panic!("there is none")
    };
    assert_eq!((image, why), (missing, MissingImage::NotInRegistry));
    engine.docker(&["rmi", &name]);
}

#[test]
fn an_image_without_a_health_check_is_told_as_such() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    service.spec.unit.gate = vec![Probe::Own];
    let shim = service.start();
    shim.until("it has none", |state| state.id.is_some() && state.health == OwnHealth::None);
}

#[test]
fn long_and_odd_lines_come_as_they_were_written() {
    let Some(engine) = engine() else { return };
    // The engine keeps a long line in pieces; podman's cannot always be told from lines, so there it is none.
    let long = if engine.is_podman() { 0 } else { 100_000 };
    let script = format!(
        "head -c {long} /dev/zero | tr '\\0' a; echo; echo; printf 'é\\r\\n'; printf '  2026-11-21T10:57:44Z x\\nno end'"
    );
    let mut service = Service::new(engine, &["sh", "-c", &script]);
    let mut shim = service.start();
    assert_eq!(shim.end(), Some(0));
    shim.all_written();
    let expected = [&vec![b'a'; long][..], b"\n\n\xc3\xa9\r\n  2026-11-21T10:57:44Z x\nno end\n"].concat();
    let written = shim.bytes();
    assert!(written == expected, "{} bytes, {} expected", written.len(), expected.len());
}

#[test]
fn a_container_whose_log_cannot_be_read_is_held_to_its_end() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    let name = service.name();
    let labels: Vec<String> =
        service.spec.labels().iter().map(|(name, value)| format!("--label={name}={value}")).collect();
    let mut args = vec!["run", "-d", "--log-driver=none", "--name", &name];
    args.extend(labels.iter().map(String::as_str));
    args.extend(["devstack-test/idle", "sh", "-c", "trap 'exit 6' TERM; while :; do sleep 0.1; done"]);
    engine.docker(&args);
    let mut shim = service.start();
    until("it says so", || shim.written().starts_with("devstack: its log cannot be read: "));
    shim.ask();
    assert_eq!(shim.end(), Some(6));
    assert_eq!(shim.all_written().lines().count(), 1);
}

#[test]
fn a_named_volume_is_labelled_and_outlives_its_container() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &["sh", "-c", "cat /data/kept /data/ro; echo row >/data/kept"]);
    let name = format!("shim-{}-data", service.spec.stack);
    let host = service.temp.path().join("a:b");
    std::fs::write(&host, "read only\n").expect("written");
    let mount = |source, inside: &str, options: &str| VolumePlan {
        source,
        inside: inside.to_owned(),
        options: options.to_owned(),
    };
    let named = VolumeSource::Named { written: "data".to_owned(), name: name.clone(), external: false };
    service.plan().volumes = vec![
        mount(named, "/data", ""),
        mount(VolumeSource::Path(host), "/data/ro", "ro"),
        mount(VolumeSource::Anonymous, "/scratch", ""),
    ];
    for expected in ["read only\n", "row\nread only\n"] {
        let mut shim = service.start();
        assert_eq!(shim.end(), Some(0), "{:?} {}", shim.state(), shim.written());
        let written =
            shim.all_written().replace("cat: can't open '/data/kept': No such file or directory\n", "");
        assert_eq!(written, expected);
        engine.docker(&["rm", "-f", "-v", &service.name()]);
    }
    let told = engine.docker(&["volume", "inspect", &name]).json();
    let labels = &told[0]["Labels"];
    assert_eq!(labels["devstack.stack"], service.spec.stack.as_str());
    assert_eq!(labels["devstack.volume"], "data");
}

#[test]
fn a_shim_that_holds_has_one_child_and_rests() {
    let Some(engine) = engine() else { return };
    let mut service = Service::new(engine, &[]);
    service.spec.unit.gate = vec![Probe::Own];
    let shim = service.start();
    shim.until("it is looked at", |state| state.pid.is_some() && state.health == OwnHealth::None);
    let children = || -> usize {
        numbers().into_iter().filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == shim.pid())).count()
    };
    until("only the log is followed", || children() == 1);
    shim.child("logs");
    let switches = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", shim.pid())).expect("it lives");
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.expect("counted").trim().parse::<u64>().expect("a number")
    };
    let before = switches();
    std::thread::sleep(Duration::from_secs(2));
    assert!(switches() - before < 10, "{} times awake", switches() - before);
    assert_eq!(children(), 1);
}
