//! How does a service in a container look: in tables, in the tree, in progress, in JSON, and at the end?

use devstack::domain::{
    ContainerState, ContainerStep, ContainerTrouble, ContainerView, ContainersProof, DownReport,
    EndedContainer, EndedUnit, Exit, FoundBy, Health, LeftContainer, OwnHealth, State, UnitOutcome, UnitView,
    UpReport, WallTime,
};
use devstack::show::progress::{Track, Verb};
use devstack::show::{down, json, ps, status, up};

use crate::world::*;
use crate::{every_way, plain};

const ID: &str = "3f2ab4c5d6e7f80912a3b4c5d6e7f80912a3b4c5d6e7f80912a3b4c5d6e7f809";

fn container(state: Option<ContainerState>) -> ContainerView {
    ContainerView {
        engine: "docker".to_owned(),
        name: "shop-postgres-1a2b3c".to_owned(),
        image: "postgres:16".to_owned(),
        state,
    }
}

fn state(step: ContainerStep) -> ContainerState {
    ContainerState { step, ..ContainerState::default() }
}

fn postgres() -> UnitView {
    let runs = ContainerState {
        id: Some(ID.to_owned()),
        pid: Some(41300),
        health: OwnHealth::Healthy,
        ..state(ContainerStep::Running)
    };
    let mut unit = running("postgres", 41210, 5432, 1900);
    unit.container = Some(container(Some(runs)));
    unit.processes = vec![
        process(41210, 1000, "devstack __container postgres", FoundBy::Leader),
        process(41300, 900, "postgres -D /var/lib/postgresql/data", FoundBy::Container),
        process(41301, 41300, "postgres: checkpointer", FoundBy::Container),
    ];
    unit
}

fn with(step: ContainerStep, health: OwnHealth) -> UnitView {
    UnitView { container: Some(container(Some(ContainerState { health, ..state(step) }))), ..postgres() }
}

fn ended(container: EndedContainer, unit: EndedUnit) -> EndedUnit {
    EndedUnit { container: Some(container), ..unit }
}

fn stop(proof: ContainersProof) -> DownReport {
    let named = |forced| EndedContainer { name: "shop-postgres-1a2b3c".to_owned(), forced, deaf: forced };
    DownReport {
        clean: proof.is_clean(),
        ended: 9,
        ports: vec![port(5432)],
        containers: Some(Box::new(proof)),
        units: vec![
            ended(named(false), ended_unit("postgres", Exit::Code(0), 810, 7)),
            ended(named(true), ended_unit("redis", Exit::Code(137), 10_040, 1)),
            ended(named(true), EndedUnit { signal: None, ..ended_unit("mail", Exit::Code(137), 310, 1) }),
            ended(named(false), EndedUnit { signal: None, ..ended_unit("queue", Exit::Code(3), 0, 0) }),
        ],
        seconds: 10.1,
        ..DownReport::default()
    }
}

#[test]
fn ps_shows_its_processes_under_it() {
    let view = stack(vec![postgres()]);
    insta::assert_snapshot!(
        every_way(|paint| ps::tree(paint, &view)) + "--- flat\n" + &ps::flat(&plain(), &view)
    );
}

#[test]
fn status_tells_its_name_image_and_own_health() {
    let unhealthy = OwnHealth::Unhealthy("no response\x1b[2J\n".to_owned());
    let mut out = status::screen(&plain(), &stack(vec![postgres()]), NOW);
    for unit in [
        postgres(),
        with(ContainerStep::Running, unhealthy),
        with(ContainerStep::Pulling("2 of 5 layers".to_owned()), OwnHealth::None),
        with(ContainerStep::Pulling(String::new()), OwnHealth::None),
        with(ContainerStep::Building("Step 3/4".to_owned()), OwnHealth::Starting),
        UnitView { container: Some(container(None)), ..postgres() },
    ] {
        out += &status::unit(&plain(), &unit, NOW);
    }
    assert!(!out.contains('\x1b'), "an escape sequence of a health check passed");
    insta::assert_snapshot!(out);
}

#[test]
fn up_tells_of_it_while_and_after() {
    let paint = plain();
    let mut track = Track::new(Verb::Up);
    let mut out = String::new();
    let note = Some("pulling postgres:16 38 %".to_owned());
    let begins =
        UnitView { state: State::Starting, health: Health::None, ready_ms: None, note, ..postgres() };
    out += &track.update(&[begins], NOW, &paint);
    out += &(track.block(WallTime(NOW.0 + 1000), &paint).join("\n") + "\n");
    out += &track.update(&[postgres()], WallTime(NOW.0 + 1900), &paint);
    out += &(track.block(WallTime(NOW.0 + 2000), &paint).join("\n") + "\n");
    let report = UpReport {
        ready: true,
        units: vec![(name("postgres"), UnitOutcome::Started)],
        seconds: 1.9,
        ..UpReport::default()
    };
    out += &up::report(&paint, &report, &stack(vec![postgres()]));
    insta::assert_snapshot!(out);
}

#[test]
fn down_tells_how_each_was_ended_and_what_is_proven() {
    let left = LeftContainer {
        engine: "docker".to_owned(),
        name: "shop-redis-1a2b3c".to_owned(),
        id: ID.to_owned(),
        unit: Some(name("redis")),
        reason: "removal is in progress\x1b[2J".to_owned(),
    };
    let mute = ContainerTrouble::NotAnswering { text: "Is the docker daemon running?".to_owned() };
    let clean = stop(ContainersProof { removed: 4, ..ContainersProof::default() });
    assert_eq!(down::problem(&clean), None);
    let mut out = every_way(|paint| down::report(paint, &clean));
    for proof in [
        ContainersProof { removed: 3, left: vec![left.clone()], ..ContainersProof::default() },
        ContainersProof { unproven: Some(mute), ..ContainersProof::default() },
    ] {
        let report = stop(proof);
        out += "---\n";
        out += &down::report(&plain(), &report);
        out += &down::problem(&report).expect("it is not clean").render(&plain());
    }
    assert!(!out.contains('\x1b'), "an escape sequence of an engine passed");
    insta::assert_snapshot!(out);
}

#[test]
fn json_has_the_fields_of_a_container() {
    let read = |text: serde_json::Result<String>| {
        serde_json::from_str::<serde_json::Value>(&text.expect("serialises")).expect("is JSON")
    };
    let view = read(json::stack(&stack(vec![postgres(), running("api", 41220, 3000, 10)])));
    let expected = serde_json::json!({
        "engine": "docker", "name": "shop-postgres-1a2b3c", "image": "postgres:16", "id": ID, "pid": 41300,
        "step": "running", "progress": null, "health": "healthy", "exit": null,
    });
    assert_eq!(view["services"][0]["container"], expected);
    assert_eq!(view["services"][0]["processes"][1]["found_by"], "container");
    assert!(view["services"][1]["container"].is_null());
    let pulls =
        read(json::service(&with(ContainerStep::Pulling("2 of 5 layers".to_owned()), OwnHealth::None)));
    assert_eq!(pulls["container"]["progress"], "2 of 5 layers");
    let report = read(json::down(
        &stop(ContainersProof { removed: 4, ..ContainersProof::default() }),
        &down::Volumes::default(),
        &[],
    ));
    assert_eq!(report["containers"], serde_json::json!({ "removed": 4, "left": [], "unproven": null }));
    let forced = serde_json::json!({ "name": "shop-postgres-1a2b3c", "forced": true, "deaf": true });
    assert_eq!(report["services"][1]["container"], forced);
    assert!(read(json::down(&clean_stop(), &down::Volumes::default(), &[]))["containers"].is_null());
}
