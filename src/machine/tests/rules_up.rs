//! `up`: order, what is unchanged, what fails, what is rolled back.

use super::*;
use Condition::{Completed, Healthy, Started};

type Step<'a> = &'a dyn Fn(&mut Bench) -> Vec<String>;

#[test]
fn each_condition_lets_the_dependent_start_when_it_holds_and_not_before() {
    let gate = |bench: &mut Bench| bench.gate("a", 1, 0, Answer::Good);
    let start = |bench: &mut Bench| bench.started("a", 1);
    let end = |bench: &mut Bench| {
        assert_eq!(bench.exited("a", 1, Exit::Code(0)), NOTHING);
        bench.emptied("a", 1)
    };
    let table: [(UnitPlan, Condition, &[Step<'_>]); 5] = [
        (gated("a", 1), Started, &[&start]),
        (gated("a", 1), Healthy, &[&start, &gate]),
        (unit("a"), Healthy, &[&start]),
        (task("a"), Completed, &[&start, &end]),
        (task("a"), Healthy, &[&start, &end]),
    ];
    for (plan, condition, steps) in table {
        let mut bench = Bench::new();
        let second = needs(unit("b"), &[("a", condition)]);
        assert_eq!(bench.up(1, up(&[plan, second])), ["start a 1"]);
        for (at, step) in steps.iter().enumerate() {
            assert_eq!(bench.state("b"), State::Queued);
            assert_eq!(bench.view("b").note.as_deref(), Some("needs a"));
            let actions = step(&mut bench);
            let starts = actions.contains(&"start b 1".to_owned());
            assert_eq!(starts, at + 1 == steps.len(), "{condition:?} {actions:?}");
        }
    }
}

#[test]
fn what_does_not_depend_on_each_other_starts_at_once() {
    let mut bench = Bench::new();
    let units = [
        gated("a", 1),
        gated("b", 1),
        needs(unit("c"), &[("a", Healthy), ("b", Healthy)]),
        needs(unit("d"), &[("b", Healthy)]),
    ];
    assert_eq!(bench.up(1, up(&units)), ["start a 1", "start b 1"]);
    let _ = bench.started("b", 1);
    let _ = bench.started("a", 1);
    bench.pass(30);
    assert_eq!(bench.gate("b", 1, 0, Answer::Good), ["start d 1"]);
    bench.pass(10);
    assert_eq!(bench.gate("a", 1, 0, Answer::Good), ["start c 1"]);
    let _ = bench.started("d", 1);
    bench.pass(5);
    assert_eq!(bench.started("c", 1), ["reply 1 up true"]);
    let report = bench.up_reply(1);
    let told: Vec<_> = report.units.iter().map(|(unit, _)| unit.as_str()).collect();
    assert_eq!(told, ["a", "b", "c", "d"]);
    assert_eq!(report.slowest, [(name("a"), 40), (name("c"), 45)]);
}

#[test]
fn what_runs_as_wanted_is_not_touched_and_answered_at_once() {
    let units = [gated("a", 1), needs(unit("b"), &[("a", Healthy)])];
    let mut bench = Bench::running(&units);
    let before: Vec<_> = bench.stack.view(Moment(0), WallTime(0));
    assert_eq!(bench.up(2, up(&units)), ["reply 2 up true"]);
    assert_eq!(bench.outcome(2, "a"), UnitOutcome::Unchanged);
    assert_eq!(bench.stack.view(Moment(0), WallTime(0)), before);

    let mut more = units.to_vec();
    more.push(needs(unit("c"), &[("b", Healthy)]));
    assert_eq!(bench.up(3, up(&more)), ["start c 1"]);
    assert_eq!(bench.started("c", 1), ["reply 3 up true"]);
    assert_eq!(
        (bench.outcome(3, "b"), bench.outcome(3, "c")),
        (UnitOutcome::Unchanged, UnitOutcome::Started)
    );
}

#[test]
fn a_completed_task_runs_again_only_when_it_changed_or_is_asked_to() {
    let mut bench = Bench::new();
    let plan = task("t");
    let _ = bench.up(1, up(std::slice::from_ref(&plan)));
    let _ = bench.started("t", 1);
    let _ = bench.exited("t", 1, Exit::Code(0));
    assert_eq!(bench.emptied("t", 1), ["retire t 1", "reply 1 up true"]);
    assert_eq!(bench.up(2, up(std::slice::from_ref(&plan))), ["reply 2 up true"]);
    let again = UpRequest { recreate: vec![name("t")], ..up(std::slice::from_ref(&plan)) };
    assert_eq!(bench.up(3, again), ["start t 2"]);
    let _ = bench.started("t", 2);
    let _ = bench.exited("t", 2, Exit::Code(0));
    let _ = bench.emptied("t", 2);
    assert_eq!(bench.outcome(3, "t"), UnitOutcome::Recreated);
    assert_eq!(bench.up(4, up(&[UnitPlan { definition: "2".to_owned(), ..plan }])), ["start t 3"]);
}

#[test]
fn a_changed_unit_is_ended_by_its_old_plan_and_started_by_its_new_one() {
    let old = unit("a");
    let stop = StopPlan { signal: Signal::INT, grace: millis(1), command: None };
    let new = UnitPlan { definition: "2".to_owned(), stop, ..unit("a") };
    let mut bench = Bench::running(std::slice::from_ref(&old));
    assert_eq!(bench.up(2, up(std::slice::from_ref(&new))), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "start a 2"]);
    assert_eq!(bench.stack.unit_plan(&name("a")).map(AsRef::as_ref), Some(&new));
    assert_eq!(bench.started("a", 2), ["reply 2 up true"]);
    assert_eq!(bench.outcome(2, "a"), UnitOutcome::Recreated);
}

#[test]
fn recreated_units_end_in_reverse_order_and_start_in_order() {
    let units = [unit("a"), needs(unit("b"), &[("a", Healthy)]), needs(unit("c"), &[("b", Healthy)])];
    let mut bench = Bench::running(&units);
    let request = UpRequest { recreate: vec![name("a"), name("c")], ..up(&units) };
    assert_eq!(bench.up(2, request), ["ask c 1 SIGTERM"], "b is not asked: nobody named it");
    assert_eq!(bench.state("a"), State::Stopping);
    assert_eq!(bench.emptied("c", 1), ["retire c 1", "ask a 1 SIGTERM", "start c 2"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "start a 2"]);
    let _ = bench.started("a", 2);
    assert_eq!(bench.started("c", 2), ["reply 2 up true"]);
    assert_eq!(bench.outcome(2, "b"), UnitOutcome::Unchanged);
}

#[test]
fn a_dependent_waits_for_the_new_life_not_for_the_old_one() {
    let units = [unit("a"), needs(unit("b"), &[("a", Healthy)])];
    let mut bench = Bench::running(&units);
    let request = UpRequest { recreate: vec![name("a"), name("b")], ..up(&units) };
    assert_eq!(bench.up(2, request), ["ask b 1 SIGTERM"]);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "start a 2"]);
    assert_eq!(bench.started("a", 2), ["start b 2"]);
}

#[test]
fn a_dependency_that_is_new_in_the_new_plan_is_waited_for() {
    let old = [unit("a"), unit("b")];
    let mut bench = Bench::running(&old);
    let changed = |plan| UnitPlan { definition: "2".to_owned(), ..plan };
    let new = [changed(unit("a")), changed(needs(unit("b"), &[("a", Healthy)]))];
    let first = bench.up(2, up(&new));
    assert_eq!(first, ["ask b 1 SIGTERM"]);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "start a 2"]);
    assert_eq!(bench.started("a", 2), ["start b 2"]);
}

#[test]
fn a_plan_that_turns_an_arrow_round_locks_nothing_up() {
    let old = [unit("a"), needs(unit("b"), &[("a", Healthy)])];
    let mut bench = Bench::running(&old);
    let changed = |plan| UnitPlan { definition: "2".to_owned(), ..plan };
    let new = [changed(unit("b")), changed(needs(unit("a"), &[("b", Healthy)]))];
    let first = bench.up(2, up(&new));
    assert_eq!(first, ["ask a 1 SIGTERM"], "by the new order");
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "start b 2"]);
    assert_eq!(bench.started("b", 2), ["start a 2"]);
}

#[test]
fn a_failure_blocks_its_dependents_and_rolls_back_what_was_started() {
    let old = unit("old");
    let mut bench = Bench::running(std::slice::from_ref(&old));
    let units = [
        old,
        unit("a"),
        gated("b", 1),
        needs(unit("c"), &[("a", Healthy), ("old", Started)]),
        needs(unit("d"), &[("b", Healthy)]),
        needs(unit("e"), &[("d", Healthy)]),
    ];
    assert_eq!(bench.up(2, up(&units)), ["start a 1", "start b 1"]);
    assert_eq!(bench.started("a", 1), ["start c 1"]);
    let _ = bench.started("b", 1);
    let _ = bench.started("c", 1);
    assert_eq!(bench.exited("b", 1, Exit::Code(3)), ["unwatch b 1"]);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "ask c 1 SIGTERM"], "in reverse order, and not `old`");
    assert_eq!(bench.emptied("c", 1), ["retire c 1", "ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "verify a,b,c"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 2 up false"]);
    let failure = Failure::Exited { exit: Exit::Code(3), was_ready: false, tail: vec!["last".to_owned()] };
    assert_eq!(bench.outcome(2, "b"), UnitOutcome::Failed(failure));
    assert_eq!(bench.outcome(2, "d"), UnitOutcome::Blocked { needs: name("b") });
    assert_eq!(bench.outcome(2, "e"), UnitOutcome::Blocked { needs: name("d") });
    assert_eq!(bench.outcome(2, "old"), UnitOutcome::Unchanged);
    let back = bench.up_reply(2).rolled_back.expect("a report");
    assert!(back.clean);
    assert_eq!(back.units.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    assert_eq!((bench.state("old"), bench.state("a")), (State::Ready, State::Stopped));
}

#[test]
fn with_keep_the_others_go_on_and_the_answer_waits_for_all() {
    let mut bench = Bench::new();
    let units =
        [gated("a", 1), unit("b"), needs(unit("c"), &[("b", Healthy)]), needs(unit("d"), &[("a", Healthy)])];
    let _ = bench.up(1, UpRequest { keep: true, ..up(&units) });
    let _ = bench.started("b", 1);
    let _ = bench.started("a", 1);
    let _ = bench.exited("a", 1, Exit::Code(1));
    assert_eq!(bench.emptied("a", 1), ["retire a 1"]);
    assert_eq!(bench.state("d"), State::Failed);
    assert_eq!(bench.started("c", 1), ["reply 1 up false"]);
    assert_eq!(bench.outcome(1, "c"), UnitOutcome::Started);
    assert!(bench.up_reply(1).rolled_back.is_none());
    assert_eq!(bench.state("c"), State::Ready);
}

#[test]
fn a_unit_with_a_policy_may_die_before_it_is_ready() {
    let mut bench = Bench::new();
    let plan = UnitPlan { restart: RestartPolicy::OnFailure { max: Some(1) }, ..gated("a", 1) };
    let _ = bench.up(1, up(&[plan, needs(unit("b"), &[("a", Healthy)])]));
    for life in [1, 2] {
        let _ = bench.started("a", life);
        let _ = bench.exited("a", life, Exit::Code(1));
        let actions = bench.emptied("a", life);
        if life == 1 {
            assert_eq!(actions, ["retire a 1"]);
            assert_eq!(bench.tick(200), ["start a 2"]);
        } else {
            assert_eq!(actions, ["retire a 2", "verify a"]);
        }
    }
    assert_eq!(bench.verified(&[], &[]), ["reply 1 up false"]);
    assert_eq!(bench.outcome(1, "b"), UnitOutcome::Blocked { needs: name("a") });
}

#[test]
fn a_unit_that_was_ready_and_died_while_others_start_is_a_failure() {
    let mut bench = Bench::new();
    let _ = bench.up(1, up(&[unit("a"), gated("b", 1)]));
    let _ = bench.started("a", 1);
    let _ = bench.started("b", 1);
    let _ = bench.exited("a", 1, Exit::Code(0));
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "unwatch b 1", "ask b 1 SIGTERM"]);
    let _ = bench.emptied("b", 1);
    let _ = bench.verified(&[], &[]);
    let failure = Failure::Exited { exit: Exit::Code(0), was_ready: true, tail: Vec::new() };
    assert_eq!(bench.outcome(1, "a"), UnitOutcome::Failed(failure));
}

#[test]
fn an_unhealthy_unit_is_not_ready() {
    let plan = UnitPlan { health: Some(health(1, false)), ..unit("a") };
    let mut bench = Bench::running(std::slice::from_ref(&plan));
    let _ = bench.check("a", 1, bad("503"));
    let units = [plan, needs(unit("b"), &[("a", Healthy)])];
    assert_eq!(bench.up(2, UpRequest { keep: true, ..up(&units) }), ["reply 2 up false"]);
    assert_eq!(bench.outcome(2, "b"), UnitOutcome::Blocked { needs: name("a") });
    assert_eq!(
        bench.up(3, up(&units)),
        ["reply 3 up false"],
        "nothing was started, so nothing is rolled back"
    );
}

#[test]
fn conditions_of_units_outside_count_unless_they_are_waived() {
    let units = [unit("a"), needs(unit("b"), &[("a", Healthy)])];
    let only_b = |no_deps| UpRequest { units: vec![name("b")], no_deps, ..up(&units) };
    let mut bench = Bench::new();
    assert_eq!(bench.up(1, only_b(false)), ["reply 1 up false"]);
    assert_eq!(bench.outcome(1, "b"), UnitOutcome::Blocked { needs: name("a") });
    assert_eq!(bench.up(2, only_b(true)), ["start b 1"]);
    assert_eq!(bench.state("a"), State::Stopped);
}

#[test]
fn the_time_limit_rolls_back_or_keeps() {
    let units = [gated("a", 1), needs(unit("b"), &[("a", Healthy)])];
    let limited = |keep| UpRequest { timeout: Some(millis(100)), keep, ..up(&units) };
    let mut bench = Bench::new();
    let _ = bench.up(1, limited(false));
    let _ = bench.started("a", 1);
    assert_eq!(bench.tick(100), ["unwatch a 1", "ask a 1 SIGTERM"]);
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.verified(&[], &[]), ["reply 1 up false"]);
    let report = bench.up_reply(1);
    assert!(report.timed_out && !report.cancelled && report.rolled_back.is_some());
    assert_eq!(bench.outcome(1, "a"), UnitOutcome::Unfinished);

    let _ = bench.up(2, limited(true));
    let _ = bench.started("a", 2);
    assert_eq!(bench.tick(100), ["reply 2 up false"]);
    assert!(bench.up_reply(2).timed_out);
    assert_eq!((bench.state("a"), bench.state("b")), (State::Starting, State::Stopped));
    assert_eq!(bench.gate("a", 2, 0, Answer::Good), NOTHING);
    assert_eq!(bench.state("a"), State::Ready);
}

#[test]
fn ctrl_c_rolls_back_even_with_keep_and_the_second_one_kills() {
    let units = [unit("a"), needs(gated("b", 1), &[("a", Healthy)])];
    let mut bench = Bench::new();
    let _ = bench.up(1, UpRequest { keep: true, timeout: Some(millis(10)), ..up(&units) });
    let _ = bench.started("a", 1);
    let _ = bench.started("b", 1);
    assert_eq!(bench.cancel(1, false), ["unwatch b 1", "ask b 1 SIGTERM"]);
    assert_eq!(bench.cancel(1, false), NOTHING);
    assert_eq!(bench.cancel(1, true), ["kill a 1", "kill b 1"]);
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "verify a,b"]);
    assert_eq!(bench.verified(&[], &[3000]), ["reply 1 up false"]);
    let report = bench.up_reply(1);
    assert!(report.cancelled && !report.timed_out);
    assert!(!report.rolled_back.expect("a report").clean, "a port is held");
}

#[test]
fn ctrl_c_while_a_start_is_outstanding_ends_it_when_it_has_started() {
    let mut bench = Bench::new();
    let _ = bench.up(1, up(&[unit("a"), needs(unit("b"), &[("a", Started)])]));
    assert_eq!(bench.cancel(1, true), NOTHING);
    assert_eq!(bench.state("a"), State::Stopping);
    assert_eq!(bench.started("a", 1), ["kill a 1"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "verify a"]);
}

#[test]
fn a_second_up_waits_in_line_and_keeps_its_own_time() {
    let mut bench = Bench::new();
    let first = [gated("a", 1)];
    let _ = bench.up(1, up(&first));
    let both = [gated("a", 1), unit("b")];
    assert_eq!(bench.up(2, up(&both)), NOTHING);
    assert_eq!(bench.up(3, UpRequest { timeout: Some(millis(50)), ..up(&both) }), NOTHING);
    assert_eq!(bench.up(4, up(&both)), NOTHING);
    assert_eq!(bench.cancel(4, false), ["reply 4 up false"]);
    assert!(bench.up_reply(4).cancelled);
    let _ = bench.started("a", 1);
    assert_eq!(bench.tick(50), ["reply 3 up false"]);
    assert!(bench.up_reply(3).timed_out);
    assert_eq!(bench.gate("a", 1, 0, Answer::Good), ["reply 1 up true", "start b 1"]);
    assert_eq!(bench.started("b", 1), ["reply 2 up true"]);
}

#[test]
fn requests_that_name_strangers_are_refused() {
    let mut bench = Bench::new();
    let request = UpRequest { units: vec![name("x")], ..up(&[unit("a")]) };
    assert_eq!(bench.up(1, request), ["reply 1 no x"]);
    assert_eq!(bench.down(2, DownRequest { units: Some(vec![name("y")]), ..down() }), ["reply 2 no y"]);
    assert_eq!(bench.up(3, up(&[])), ["reply 3 up true"]);
}

#[test]
fn what_runs_and_is_no_longer_in_the_manifest_stays_known() {
    let mut bench = Bench::running(&[unit("a"), unit("b")]);
    assert_eq!(bench.up(2, up(&[unit("a")])), ["reply 2 up true"]);
    assert_eq!(bench.view("b").note.as_deref(), Some("no longer in the manifest"));
    assert_eq!(bench.down(3, down()), ["ask b 1 SIGTERM", "ask a 1 SIGTERM"]);
}

#[test]
fn the_newest_plan_says_how_a_running_unit_is_stopped() {
    let mut bench = Bench::running(&[gated("a", 1)]);
    let stop = StopPlan { signal: Signal::INT, grace: millis(7), command: None };
    assert_eq!(bench.up(2, up(&[UnitPlan { stop, ..gated("a", 2) }])), ["reply 2 up true"]);
    assert_eq!(bench.down(3, down()), ["ask a 1 SIGINT"]);
    assert_eq!(bench.tick(7), ["kill a 1"]);
}

#[test]
fn a_port_that_a_stranger_held_from_the_start_is_told_once() {
    let holder = PortHolder {
        process: Some(process(7)),
        command: "node".to_owned(),
        user: "dev".to_owned(),
        dir: None,
        age_ms: None,
        stack: None,
    };
    let why = Failure::PortInUse { port: 3000, holder };
    for (held, clean) in [(3000, true), (3001, false)] {
        let mut bench = Bench::new();
        let _ = bench.up(1, up(&[unit("a")]));
        let event = Event::NotStarted { unit: name("a"), life: Life(1), why: why.clone() };
        assert_eq!(bench.event(event), ["verify a"]);
        assert_eq!(bench.verified(&[], &[held]), ["reply 1 up false"]);
        let report = bench.up_reply(1);
        assert_eq!(report.units, [(name("a"), UnitOutcome::Failed(why.clone()))]);
        assert_eq!(report.rolled_back.expect("a report").clean, clean, "{held}");
    }
}

#[test]
fn nobody_waits_for_a_service_to_be_completed() {
    let mut bench = Bench::new();
    let units = [gated("a", 1), needs(unit("b"), &[("a", Completed)])];
    assert_eq!(bench.up(1, UpRequest { keep: true, ..up(&units) }), ["start a 1"]);
    assert_eq!(bench.state("b"), State::Failed);
}
