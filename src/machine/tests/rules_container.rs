//! Lives that are containers: their engine ends them, and tells why one could not be had.

use super::*;

fn contained(text: &str) -> UnitPlan {
    let (name, image) = (format!("test-{text}"), "redis:7".to_owned());
    let container = ContainerPlan { name, image, ..ContainerPlan::default() };
    UnitPlan { container: Some(Box::new(container)), gate: vec![Probe::Own], ..unit(text) }
}

fn tells(bench: &mut Bench, life: u32, state: ContainerState) -> Vec<String> {
    bench.event(Event::Contained { unit: name("db"), life: Life(life), state })
}

fn step(step: ContainerStep) -> ContainerState {
    ContainerState { step, ..ContainerState::default() }
}

fn trouble(trouble: ContainerTrouble) -> ContainerState {
    ContainerState { step: ContainerStep::Ended, trouble: Some(trouble), ..ContainerState::default() }
}

fn refused() -> ContainerTrouble {
    ContainerTrouble::Refused { text: "no".to_owned() }
}

/// Its shim was started, and its gate is asked.
fn starting(plan: UnitPlan) -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.up(1, up(&[plan])), ["start db 1"]);
    assert_eq!(bench.started("db", 1), ["gate db 1"]);
    bench
}

fn note(bench: &Bench) -> String {
    bench.view("db").note.unwrap_or_default()
}

#[test]
fn what_is_done_for_it_is_shown_while_it_starts() {
    let mut bench = starting(contained("db"));
    assert_eq!(note(&bench), "the health check of its image");
    assert_eq!(tells(&mut bench, 1, step(ContainerStep::Pulling("38 %".to_owned()))), NOTHING);
    assert_eq!(note(&bench), "pulling redis:7 38 %");
    let _ = tells(&mut bench, 1, step(ContainerStep::Starting));
    assert_eq!(note(&bench), "starts its container");
    let _ = tells(&mut bench, 1, step(ContainerStep::Running));
    assert_eq!(note(&bench), "the health check of its image");
    // Of another life it is old news.
    let _ = tells(&mut bench, 0, step(ContainerStep::Pulling("9 %".to_owned())));
    assert_eq!(note(&bench), "the health check of its image");
}

#[test]
fn its_engine_has_its_grace_before_anything_is_killed() {
    let running = || {
        let mut bench = starting(contained("db"));
        let _ = bench.gate("db", 1, 0, Answer::Good);
        bench
    };
    let mut bench = running();
    assert_eq!(bench.down(2, down()), ["ask db 1 SIGTERM"]);
    let _ = bench.asked(target("db", 1), 1, &[]);
    assert_eq!(bench.tick(3000), ["kill db 1"], "one second of its own, two for the engine");
    // A shorter grace, ordered at first or meanwhile, is the container's as well.
    for (first, then) in [(Some(500), None), (None, Some(500))] {
        let mut bench = running();
        let order = |grace: Option<u64>| DownRequest { grace: grace.map(millis), ..down() };
        let _ = bench.down(2, order(first));
        let _ = bench.asked(target("db", 1), 1, &[]);
        if then.is_some() {
            assert_eq!(bench.down(3, order(then)), NOTHING);
        }
        assert_eq!(bench.tick(2500), ["kill db 1"], "{first:?} {then:?}");
    }
    let mut bench = running();
    assert_eq!(bench.down(2, DownRequest { force: true, ..down() }), ["kill db 1"], "force waits for nobody");
}

#[test]
fn a_container_that_its_engine_had_to_kill_is_told_as_forced() {
    let mut bench = starting(contained("db"));
    let _ = bench.gate("db", 1, 0, Answer::Good);
    let _ = bench.down(2, down());
    let _ = bench.asked(target("db", 1), 1, &[]);
    let ended = ContainerState {
        id: Some("3f2a".to_owned()),
        forced: true,
        exit: Some(137),
        ..step(ContainerStep::Ended)
    };
    let _ = tells(&mut bench, 1, ended);
    let _ = bench.exited("db", 1, Exit::Code(137));
    assert_eq!(bench.emptied("db", 1), ["retire db 1", "seek"]);
    assert_eq!(bench.sought(&[]), ["verify all"]);
    let _ = bench.verified(&[], &[]);
    let report = bench.down_reply(2);
    assert!(report.clean && report.units[0].container.as_ref().is_some_and(|one| one.forced));
    assert_eq!((report.forced, report.units[0].deaf.len()), (1, 0));
}

#[test]
fn what_is_left_in_an_engine_is_not_clean_and_an_engine_that_is_silent_neither() {
    let left = LeftContainer {
        engine: "docker".to_owned(),
        name: "test-db".to_owned(),
        id: "3f2a".to_owned(),
        unit: Some(name("db")),
        reason: "no".to_owned(),
    };
    let gone = ContainersProof { removed: 1, ..ContainersProof::default() };
    let left = ContainersProof { left: vec![left], ..ContainersProof::default() };
    let unproven = ContainersProof { unproven: Some(refused()), ..ContainersProof::default() };
    let (gone, left, unproven) = (gone.into(), left.into(), unproven.into());
    for (check, clean) in [(None, true), (Some(gone), true), (Some(left), false), (Some(unproven), false)] {
        let mut bench = Bench::running(&[unit("a")]);
        let _ = bench.down(2, down());
        let _ = bench.asked(target("a", 1), 1, &[]);
        let _ = bench.exited("a", 1, Exit::Code(0));
        let _ = bench.emptied("a", 1);
        assert_eq!(bench.sought(&[]), ["verify all"]);
        let verified =
            Event::Verified { survivors: Vec::new(), ports: Vec::new(), containers: check.clone() };
        let _ = bench.event(verified);
        let report = bench.down_reply(2);
        assert_eq!((report.clean, report.containers), (clean, check));
    }
}

#[test]
fn trouble_that_lasts_is_not_tried_again() {
    let always = UnitPlan { restart: RestartPolicy::Always, ..contained("db") };
    let lasting = ContainerTrouble::NameTaken { name: "db".to_owned(), by: "redis".to_owned() };
    let mut bench = starting(always.clone());
    let _ = tells(&mut bench, 1, trouble(lasting.clone()));
    let _ = bench.exited("db", 1, Exit::Code(125));
    let _ = bench.emptied("db", 1);
    assert_eq!(bench.state("db"), State::Failed);
    assert_eq!(note(&bench), lasting.to_string());

    // What may pass is tried again, as any death is.
    let mut bench = starting(always);
    let _ = tells(&mut bench, 1, trouble(refused()));
    let _ = bench.exited("db", 1, Exit::Code(125));
    let _ = bench.emptied("db", 1);
    assert_eq!(bench.state("db"), State::Backoff);
}

#[test]
fn why_a_container_could_not_be_had_is_what_it_failed_of() {
    for restart in [RestartPolicy::No, RestartPolicy::OnFailure { max: Some(1) }] {
        let mut bench = starting(UnitPlan { restart, ..contained("db") });
        for life in 1..=2 {
            let _ = tells(&mut bench, life, trouble(refused()));
            let _ = bench.exited("db", life, Exit::Code(125));
            let _ = bench.emptied("db", life);
            if bench.state("db") != State::Backoff {
                break;
            }
            assert_eq!(life, 1);
            let _ = bench.tick(200);
            let _ = bench.started("db", 2);
        }
        assert_eq!(note(&bench), refused().to_string(), "{restart:?}");
    }
    // The trouble of one life is not that of the next.
    let mut bench =
        starting(UnitPlan { restart: RestartPolicy::OnFailure { max: Some(1) }, ..contained("db") });
    let _ = tells(&mut bench, 1, trouble(refused()));
    let _ = bench.exited("db", 1, Exit::Code(125));
    let _ = bench.emptied("db", 1);
    let _ = bench.tick(200);
    let _ = bench.started("db", 2);
    let _ = bench.exited("db", 2, Exit::Code(3));
    let _ = bench.emptied("db", 2);
    assert!(note(&bench).contains("exit 3"), "{}", note(&bench));
}
