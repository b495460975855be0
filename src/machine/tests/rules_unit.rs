//! One unit: start, gate, health, and what each end of it means.

use super::*;
use crate::machine::standing::{Phase, Rest};

#[test]
fn a_service_without_a_gate_is_ready_as_soon_as_it_runs() {
    let mut bench = Bench::new();
    assert_eq!(bench.up(1, up(&[unit("a")])), ["start a 1"]);
    assert_eq!(bench.state("a"), State::Starting);
    bench.pass(7);
    assert_eq!(bench.started("a", 1), ["reply 1 up true"]);
    let view = bench.view("a");
    assert_eq!((view.state, view.pid, view.pgid, view.sid), (State::Ready, Some(100), Some(100), Some(100)));
    assert_eq!((view.ready_ms, view.started_at), (Some(0), Some(WallTime(1007))));
    assert_eq!(bench.outcome(1, "a"), UnitOutcome::Started);
    assert_eq!(bench.stack.next_deadline(), None);
}

#[test]
fn every_probe_of_the_gate_must_hold_once_and_then_health_is_watched() {
    let mut bench = Bench::new();
    let plan = UnitPlan { health: Some(health(3, false)), ..gated("a", 2) };
    let _ = bench.up(1, up(&[plan]));
    assert_eq!(bench.started("a", 1), ["gate a 1"]);
    assert_eq!(bench.gate("a", 1, 0, Answer::Good), NOTHING);
    assert_eq!(bench.gate("a", 1, 0, bad("503")), NOTHING, "it has held once: that is enough");
    assert_eq!(bench.gate("a", 1, 7, Answer::Good), NOTHING, "there is no such probe");
    assert_eq!(bench.gate("a", 1, 1, bad("refused")), NOTHING);
    assert_eq!(bench.view("a").note.as_deref(), Some("GET / → refused"));
    bench.pass(50);
    assert_eq!(bench.gate("a", 1, 1, Answer::Good), ["health a 1", "reply 1 up true"]);
    assert_eq!((bench.view("a").ready_ms, bench.view("a").health), (Some(50), Health::Unknown));
}

#[test]
fn a_start_timeout_examines_first_then_ends_and_never_restarts() {
    let mut bench = Bench::new();
    let plan = UnitPlan { restart: RestartPolicy::Always, ..gated("a", 2) };
    let _ = bench.up(1, up(&[plan]));
    let _ = bench.started("a", 1);
    let _ = bench.gate("a", 1, 1, bad("503"));
    assert_eq!(bench.tick(5000), ["unwatch a 1", "examine a 1"]);
    assert_eq!(bench.examined("a", 1), ["ask a 1 SIGTERM"]);
    let _ = bench.asked(target("a", 1), 1, &[]);
    assert_eq!(bench.exited("a", 1, Exit::Signal(Signal::TERM)), NOTHING);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "verify a"]);
    let failure = Failure::NotReady {
        after_ms: 5000,
        answers: vec![
            ("connect 127.0.0.1:1000".to_owned(), "no answer".to_owned()),
            ("GET /".to_owned(), "503".to_owned()),
        ],
        listening: Some(vec![3001]),
        tail: vec!["log".to_owned()],
    };
    assert_eq!(bench.verified(&[], &[]), ["reply 1 up false"]);
    assert_eq!(bench.outcome(1, "a"), UnitOutcome::Failed(failure));
    assert!(bench.stack.at_rest());
}

#[test]
fn a_stranger_on_the_port_is_a_conflict_not_health() {
    let holder = PortHolder {
        process: Some(process(7)),
        command: "node".to_owned(),
        user: "dev".to_owned(),
        dir: None,
        age_ms: None,
        stack: None,
    };
    let mut bench = Bench::new();
    let plan = UnitPlan { restart: RestartPolicy::Always, ..gated("a", 1) };
    let _ = bench.up(1, UpRequest { keep: true, ..up(&[plan]) });
    let _ = bench.started("a", 1);
    let answer = Answer::Foreign { port: 3000, holder: holder.clone() };
    assert_eq!(bench.gate("a", 1, 0, answer.clone()), ["unwatch a 1", "ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "reply 1 up false"]);
    assert_eq!(bench.outcome(1, "a"), UnitOutcome::Failed(Failure::PortConflict { port: 3000, holder }));

    // After it was ready, it is a bad round of its health check.
    let mut bench = Bench::running(&[UnitPlan { health: Some(health(1, false)), ..unit("a") }]);
    assert_eq!(bench.check("a", 1, answer), NOTHING);
    assert_eq!(bench.state("a"), State::Unhealthy);
    assert_eq!(bench.view("a").note.as_deref(), Some("port 3000 is answered by node (pid 7, dev)"));
}

#[test]
fn a_unit_that_cannot_start_has_failed() {
    let mut bench = Bench::new();
    let _ = bench.up(1, up(&[UnitPlan { restart: RestartPolicy::Always, ..unit("a") }]));
    let why = Failure::Start { reason: "no".to_owned() };
    let event = Event::NotStarted { unit: name("a"), life: Life(1), why: why.clone() };
    assert_eq!(bench.event(event), ["verify a"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 1 up false"]);
    assert_eq!(bench.outcome(1, "a"), UnitOutcome::Failed(why));
}

#[test]
fn what_a_dead_leader_left_goes_down_the_ladder_before_anything_else() {
    let mut bench = Bench::running(&[UnitPlan { restart: RestartPolicy::Always, ..unit("a") }]);
    assert_eq!(bench.exited("a", 1, Exit::Code(1)), NOTHING);
    assert_eq!(bench.state("a"), State::Stopping);
    assert_eq!(bench.tick(20), ["ask a 1 SIGTERM"]);
    let _ = bench.asked(target("a", 1), 1, &[]);
    assert_eq!(bench.tick(980), ["kill a 1"], "the grace counts from the ladder's begin");
    assert_eq!(bench.emptied("a", 1), ["retire a 1"]);
    assert_eq!(bench.tick(200), ["start a 2"]);
}

#[test]
fn a_task_is_complete_when_it_ended_with_0_and_nothing_is_left() {
    for (exit, left, state) in [
        (Exit::Code(0), false, State::Completed),
        (Exit::Code(0), true, State::Completed),
        (Exit::Code(2), false, State::Failed),
        (Exit::Unknown, false, State::Failed),
    ] {
        let mut bench = Bench::new();
        let _ = bench.up(1, UpRequest { keep: true, ..up(&[task("t")]) });
        assert_eq!(bench.started("t", 1), NOTHING);
        assert_eq!(bench.state("t"), State::Starting);
        assert_eq!(bench.exited("t", 1, exit), NOTHING, "not before the proof");
        if left {
            assert_eq!(bench.tick(20), ["ask t 1 SIGTERM"]);
        }
        let done = format!("reply 1 up {}", state == State::Completed);
        assert_eq!(bench.emptied("t", 1), ["retire t 1", &done]);
        assert_eq!(bench.state("t"), state, "{exit}");
    }
}

#[test]
fn a_task_that_does_not_end_in_time_has_failed() {
    let mut bench = Bench::new();
    let _ = bench.up(1, UpRequest { keep: true, ..up(&[task("t")]) });
    let _ = bench.started("t", 1);
    assert_eq!(bench.tick(5000), ["examine t 1"]);
    assert_eq!(bench.examined("t", 1), ["ask t 1 SIGTERM"]);
    assert_eq!(bench.emptied("t", 1), ["retire t 1", "reply 1 up false"]);
}

#[test]
fn bad_rounds_in_a_row_make_a_unit_unhealthy_and_a_good_one_heals_it() {
    let plan = HealthPlan { start_period: millis(500), ..health(2, false) };
    let mut bench = Bench::running(&[UnitPlan { health: Some(plan), ..unit("a") }]);
    for _ in 0..5 {
        assert_eq!(bench.check("a", 1, bad("503")), NOTHING);
    }
    assert_eq!(bench.state("a"), State::Ready, "failures do not count in the start period");
    bench.pass(500);
    for (answer, state) in [
        (bad("503"), State::Ready),
        (Answer::Good, State::Ready),
        (bad("503"), State::Ready),
        (bad("503"), State::Unhealthy),
        (Answer::Good, State::Ready),
    ] {
        assert_eq!(bench.check("a", 1, answer), NOTHING);
        assert_eq!(bench.state("a"), state);
    }
    assert_eq!(bench.view("a").health, Health::Healthy);
}

#[test]
fn an_unhealthy_unit_is_restarted_where_its_check_says_so() {
    let mut bench = Bench::running(&[UnitPlan { health: Some(health(2, true)), ..unit("a") }]);
    assert_eq!(bench.check("a", 1, bad("503")), NOTHING);
    assert_eq!(bench.check("a", 1, bad("503")), ["unwatch a 1", "examine a 1"]);
    assert_eq!(bench.examined("a", 1), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1"]);
    assert_eq!(bench.state("a"), State::Backoff);
    assert_eq!(bench.tick(200), ["start a 2"]);
    assert_eq!(bench.view("a").restarts, 1);
}

#[test]
fn a_proof_of_emptiness_without_an_exit_is_an_unknown_exit() {
    let mut bench = Bench::running(&[unit("a")]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1"]);
    assert_eq!((bench.state("a"), bench.view("a").exit), (State::Failed, Some(Exit::Unknown)));
}

#[test]
fn late_and_foreign_events_change_nothing() {
    let watched = UnitPlan { health: Some(health(1, true)), ..gated("a", 1) };
    let mut bench = Bench::running(&[watched]);
    let before = bench.stack.clone();
    for (unit, life) in [("a", 0), ("a", 2), ("b", 1)] {
        assert_eq!(bench.started(unit, life), NOTHING);
        assert_eq!(bench.exited(unit, life, Exit::Code(1)), NOTHING);
        assert_eq!(bench.emptied(unit, life), NOTHING);
        assert_eq!(bench.check(unit, life, bad("503")), NOTHING);
    }
    assert_eq!(bench.started("a", 1), NOTHING);
    assert_eq!(bench.gate("a", 1, 0, bad("503")), NOTHING);
    assert_eq!(bench.asked(target("a", 1), 0, &[5]), NOTHING);
    assert_eq!(bench.killed(target("a", 1), &[], &[5]), NOTHING);
    assert_eq!(bench.examined("a", 1), NOTHING);
    assert_eq!(bench.emptied("a", 3), NOTHING);
    assert_eq!(bench.event(Event::Emptied { target: Target::Strays }), NOTHING);
    assert_eq!(bench.event(Event::Stirred { target: target("a", 1) }), NOTHING);
    assert_eq!(bench.sought(&[5]), NOTHING);
    assert_eq!(bench.verified(&[5], &[]), NOTHING);
    assert_eq!(bench.cancel(1, true), NOTHING);
    assert_eq!(bench.event(Event::Tick), NOTHING);
    assert_eq!(bench.stack, before);
}

fn adopted(plan: UnitPlan, ready: bool, exit: Option<Exit>) -> Event {
    let started = Moment(10);
    Event::Adopted(Box::new(Adopted { plan, life: Life(4), leader: process(100), exit, ready, started }))
}

#[test]
fn an_adopted_life_is_taken_over_where_it_stands() {
    let watched =
        UnitPlan { health: Some(health(1, false)), restart: RestartPolicy::Always, ..gated("a", 1) };
    for (ready, exit, actions, state) in [
        (true, None, vec!["health a 4"], State::Ready),
        (false, None, vec!["gate a 4"], State::Starting),
        (true, Some(Exit::Code(1)), vec![], State::Stopping),
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.event(adopted(watched.clone(), ready, exit)), actions);
        assert_eq!(bench.state("a"), state);
        assert_eq!(bench.stack.life_of(&name("a")), Some(Life(4)));
        if exit.is_some() {
            assert_eq!(bench.tick(20), ["ask a 4 SIGTERM"]);
            assert_eq!(bench.emptied("a", 4), ["retire a 4"]);
            assert_eq!(bench.tick(200), ["start a 5"], "its policy goes on");
        }
    }
}

#[test]
fn a_task_is_never_adopted_as_ready() {
    let mut bench = Bench::new();
    let _ = bench.event(adopted(task("a"), true, None));
    assert_eq!(bench.state("a"), State::Starting);
    let _ = bench.exited("a", 4, Exit::Code(1));
    let _ = bench.emptied("a", 4);
    let phase = &bench.stack.units[&name("a")].phase;
    let failed = Rest::Failed(Failure::Exited {
        exit: Exit::Code(1),
        was_ready: false,
        tail: vec!["last".to_owned()],
    });
    assert_eq!(*phase, Phase::Resting(failed));
}

#[test]
fn an_adopted_unit_is_unchanged_by_up_and_ended_by_down() {
    let mut bench = Bench::new();
    let _ = bench.event(adopted(unit("a"), true, None));
    assert_eq!(bench.event(adopted(unit("a"), true, None)), NOTHING, "twice is once");
    assert_eq!(bench.up(1, up(&[unit("a")])), ["reply 1 up true"]);
    assert_eq!(bench.down(2, down()), ["ask a 4 SIGTERM"]);
    assert_eq!(bench.emptied("a", 4), ["retire a 4", "seek"]);
}

#[test]
fn numbers_of_lives_are_never_given_twice() {
    let mut bench = Bench::new();
    assert_eq!(bench.event(Event::Remembered { lives: vec![(name("a"), Life(6))] }), NOTHING);
    assert_eq!(bench.up(1, up(&[unit("a")])), ["start a 7"]);
    let _ = bench.event(Event::Remembered { lives: vec![(name("a"), Life(2)), (name("gone"), Life(3))] });
    assert_eq!(bench.stack.lives(), [(name("a"), Life(7)), (name("gone"), Life(3))]);
    let _ = bench.started("a", 7);
    let _ = bench.exited("a", 7, Exit::Code(1));
    let _ = bench.emptied("a", 7);
    let _ = bench.up(2, up(&[unit("b")]));
    assert_eq!(bench.stack.unit_plan(&name("a")), None, "at rest and no longer in the manifest");
    let _ = bench.started("b", 1);
    assert_eq!(bench.up(3, up(&[unit("a"), unit("b")])), ["start a 8"]);
}

#[test]
fn adopted_units_find_their_order_by_what_they_need() {
    let mut bench = Bench::new();
    let _ = bench.event(adopted(needs(unit("a"), &[("z", Condition::Healthy)]), true, None));
    let _ = bench.event(adopted(needs(unit("m"), &[("a", Condition::Healthy)]), true, None));
    let _ = bench.event(adopted(unit("z"), true, None));
    let order: Vec<_> = bench.stack.view(Moment(0), WallTime(0)).into_iter().map(|view| view.name).collect();
    assert_eq!(order, [name("z"), name("a"), name("m")]);
    assert_eq!(bench.down(1, down()), ["ask m 4 SIGTERM"]);
    assert_eq!(bench.emptied("m", 4), ["retire m 4", "ask a 4 SIGTERM"]);
    assert_eq!(bench.emptied("a", 4), ["retire a 4", "ask z 4 SIGTERM"]);
}
