//! Restart policies: who is restarted, after which pause, and when it is given up.

use super::*;

/// Ends life `life` of `a` after it had been ready for `ready` milliseconds; what happened, and the failure if it rests.
fn die(bench: &mut Bench, life: u32, ready: u64, exit: Exit) -> State {
    bench.pass(ready);
    assert_eq!(bench.exited("a", life, exit), NOTHING);
    assert_eq!(bench.emptied("a", life), [format!("retire a {life}")]);
    bench.state("a")
}

fn failure(bench: &Bench) -> Option<String> {
    Some(bench.view("a")).filter(|view| view.state == State::Failed).and_then(|view| view.note)
}

#[test]
fn the_policy_decides_what_an_exit_means() {
    use RestartPolicy::{Always, No, OnFailure};
    let on_failure = OnFailure { max: None };
    for (policy, exit, state) in [
        (No, Exit::Code(0), State::Stopped),
        (No, Exit::Code(1), State::Failed),
        (No, Exit::Unknown, State::Failed),
        (on_failure, Exit::Code(0), State::Stopped),
        (on_failure, Exit::Code(1), State::Backoff),
        (on_failure, Exit::Signal(Signal::KILL), State::Backoff),
        (OnFailure { max: Some(0) }, Exit::Code(1), State::Failed),
        (Always, Exit::Code(0), State::Backoff),
        (Always, Exit::Code(1), State::Backoff),
    ] {
        let mut bench = Bench::running(&[UnitPlan { restart: policy, ..unit("a") }]);
        assert_eq!(die(&mut bench, 1, 0, exit), state, "{policy:?} {exit}");
    }
}

#[test]
fn before_it_is_ready_an_exit_with_0_is_a_failure() {
    use RestartPolicy::{Always, No, OnFailure};
    for (policy, state) in
        [(No, State::Failed), (OnFailure { max: None }, State::Failed), (Always, State::Backoff)]
    {
        let mut bench = Bench::new();
        let plan = UnitPlan { restart: policy, ..gated("a", 1) };
        let _ = bench.up(1, UpRequest { keep: true, ..up(&[plan]) });
        let _ = bench.started("a", 1);
        assert_eq!(bench.exited("a", 1, Exit::Code(0)), ["unwatch a 1"]);
        let _ = bench.emptied("a", 1);
        assert_eq!(bench.state("a"), state, "{policy:?}");
    }
}

#[test]
fn the_pause_doubles_and_the_fifth_death_is_a_loop() {
    let mut bench = Bench::running(&[UnitPlan { restart: RestartPolicy::Always, ..unit("a") }]);
    for (life, pause) in [(1, 200), (2, 400), (3, 800), (4, 1600)] {
        assert_eq!(die(&mut bench, life, 100, Exit::Code(3)), State::Backoff);
        assert_eq!(bench.tick(pause), [format!("start a {}", life + 1)]);
        assert_eq!(bench.started("a", life + 1), NOTHING);
        assert_eq!(bench.view("a").restarts, life);
    }
    assert_eq!(die(&mut bench, 5, 100, Exit::Code(3)), State::Failed);
    assert_eq!(failure(&bench).as_deref(), Some("died 5 times in 3.5s, at last: exit 3"));
    assert_eq!(bench.stack.next_deadline(), None);
}

#[test]
fn ten_calm_seconds_end_a_row_of_deaths() {
    for (ready, pause) in [(9_999, 400), (10_000, 200)] {
        let mut bench = Bench::running(&[UnitPlan { restart: RestartPolicy::Always, ..unit("a") }]);
        let _ = die(&mut bench, 1, 0, Exit::Code(1));
        let _ = bench.tick(200);
        let _ = bench.started("a", 2);
        let _ = die(&mut bench, 2, ready, Exit::Code(1));
        assert_eq!(bench.tick(pause), ["start a 3"], "ready for {ready} ms");
    }
}

#[test]
fn a_number_in_the_policy_replaces_the_five() {
    for max in [1, 2, 9] {
        let policy = RestartPolicy::OnFailure { max: Some(max) };
        let mut bench = Bench::running(&[UnitPlan { restart: policy, ..unit("a") }]);
        for life in 1..=max {
            assert_eq!(die(&mut bench, life, 0, Exit::Code(1)), State::Backoff, "max {max}, death {life}");
            let _ = bench.tick((200 << (life - 1)).min(30_000));
            let _ = bench.started("a", life + 1);
        }
        assert_eq!(die(&mut bench, max + 1, 0, Exit::Code(1)), State::Failed);
        let note = failure(&bench).expect("a failure");
        assert!(note.starts_with(&format!("died {} times", max + 1)), "{note}");
    }
}

#[test]
fn an_unhealthy_unit_is_given_up_by_the_same_count() {
    let mut bench = Bench::running(&[UnitPlan { health: Some(health(1, true)), ..unit("a") }]);
    for life in 1..=5 {
        assert_eq!(bench.check("a", life, bad("503")).len(), 2);
        let _ = bench.examined("a", life);
        let _ = bench.emptied("a", life);
        if life < 5 {
            let _ = bench.tick(200 << (life - 1));
            let _ = bench.started("a", life + 1);
        }
    }
    assert_eq!(failure(&bench).as_deref(), Some("unhealthy: GET / → 503"));
}

#[test]
fn a_new_up_forgives_and_starts_at_once() {
    let plan = UnitPlan { restart: RestartPolicy::Always, ..unit("a") };
    let mut bench = Bench::running(std::slice::from_ref(&plan));
    let _ = die(&mut bench, 1, 0, Exit::Code(1));
    assert_eq!(bench.up(2, up(&[plan])), ["start a 2"]);
    assert_eq!(bench.started("a", 2), ["reply 2 up true"]);
    let _ = die(&mut bench, 2, 0, Exit::Code(1));
    assert_eq!(bench.tick(200), ["start a 3"], "the first pause again");
    assert_eq!(bench.view("a").restarts, 1);
}
