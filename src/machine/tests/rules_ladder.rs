//! The stop ladder, rung by rung.

use super::*;

fn stopping(plan: UnitPlan, request: DownRequest) -> (Bench, Vec<String>) {
    let mut bench = Bench::running(&[plan]);
    let first = bench.down(2, request);
    (bench, first)
}

/// Answers what `down` asks once the units are done.
fn finish(bench: &mut Bench, survivors: &[i32]) -> DownReport {
    assert_eq!(bench.sought(&[]), ["verify all"]);
    assert_eq!(bench.verified(survivors, &[]).len(), 1);
    bench.down_reply(2)
}

#[test]
fn asked_it_ends() {
    let (mut bench, first) = stopping(unit("a"), down());
    assert_eq!(first, ["ask a 1 SIGTERM"]);
    assert_eq!(bench.asked(target("a", 1), 3, &[]), NOTHING);
    assert_eq!(bench.exited("a", 1, Exit::Signal(Signal::TERM)), NOTHING);
    bench.pass(40);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    let report = finish(&mut bench, &[]);
    let row = EndedUnit {
        name: name("a"),
        signal: Some(Signal::TERM),
        exit: Some(Exit::Signal(Signal::TERM)),
        millis: 40,
        processes: 3,
        deaf: Vec::new(),
        container: None,
    };
    assert_eq!((report.clean, report.ended, report.forced, report.units), (true, 3, 0, vec![row]));
    assert_eq!(bench.state("a"), State::Stopped);
    assert!(bench.stack.at_rest());
    assert_eq!(bench.stack.life_of(&name("a")), None);
}

#[test]
fn deaf_it_is_killed_after_its_grace() {
    let (mut bench, _) = stopping(unit("a"), down());
    let _ = bench.asked(target("a", 1), 2, &[]);
    assert_eq!(bench.tick(1000), ["kill a 1"]);
    assert_eq!(bench.stack.next_deadline(), None, "the answer is outstanding");
    assert_eq!(bench.killed(target("a", 1), &[100, 101], &[]), NOTHING);
    let _ = bench.exited("a", 1, Exit::Signal(Signal::KILL));
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    let report = finish(&mut bench, &[]);
    assert_eq!((report.clean, report.ended, report.forced), (true, 2, 2));
    assert_eq!(report.units[0].deaf.len(), 2);
}

#[test]
fn who_is_born_meanwhile_is_asked_too_one_question_at_a_time() {
    let (mut bench, _) = stopping(unit("a"), down());
    let stir = || Event::Stirred { target: target("a", 1) };
    assert_eq!(bench.event(stir()), NOTHING, "a question is outstanding");
    assert_eq!(bench.event(stir()), NOTHING);
    assert_eq!(bench.asked(target("a", 1), 1, &[]), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.asked(target("a", 1), 1, &[]), NOTHING);
    assert_eq!(bench.event(stir()), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.tick(1000), ["kill a 1"], "stirring does not renew the grace");
    assert_eq!(bench.event(stir()), NOTHING);
}

#[test]
fn the_stop_command_comes_first_and_costs_grace() {
    let stop = StopPlan {
        signal: Signal::INT,
        grace: millis(1000),
        command: Some(CommandPlan::Shell("stop".to_owned())),
    };
    let ended = || Event::StopCommandEnded { unit: name("a"), life: Life(1), exit: Exit::Code(1) };
    let plan = UnitPlan { stop, ..unit("a") };
    let (mut bench, first) = stopping(plan.clone(), down());
    assert_eq!(first, ["command a 1"]);
    bench.pass(600);
    assert_eq!(bench.event(ended()), ["ask a 1 SIGINT"]);
    assert_eq!(bench.tick(400), ["kill a 1"]);

    let (mut bench, _) = stopping(plan.clone(), down());
    assert_eq!(bench.tick(1000), ["kill a 1"], "a command that hangs ends nothing");
    assert_eq!(bench.event(ended()), NOTHING);

    let (mut bench, first) = stopping(plan, DownRequest { force: true, ..down() });
    assert_eq!(first, ["kill a 1"]);
    assert_eq!(bench.killed(target("a", 1), &[100], &[]), NOTHING);
}

#[test]
fn kill_rounds_are_bounded_and_end_in_a_verdict() {
    let (mut bench, first) = stopping(unit("a"), DownRequest { force: true, ..down() });
    assert_eq!(first, ["kill a 1"]);
    for pause in [50, 100, 200, 350, 350, 350, 350] {
        assert_eq!(bench.killed(target("a", 1), &[100], &[101]), NOTHING);
        assert_eq!(bench.tick(pause), ["kill a 1"]);
    }
    assert_eq!(bench.killed(target("a", 1), &[], &[101]), NOTHING);
    assert_eq!(bench.tick(350), ["seek"], "no retirement without a proof");
    let report = finish(&mut bench, &[101]);
    assert!(!report.clean);
    assert_eq!(report.survivors, [survivor(101)], "known from both looks, told once");
    assert_eq!((report.ended, report.forced), (1, 1));
    let view = bench.view("a");
    assert_eq!((view.state, view.note.as_deref()), (State::Failed, Some("1 process could not be ended")));
    assert!(bench.stack.at_rest());
    assert_eq!(bench.stack.life_of(&name("a")), Some(Life(1)));
}

#[test]
fn without_a_proof_it_is_never_clean_even_if_nobody_is_named() {
    let (mut bench, _) = stopping(unit("a"), DownRequest { force: true, ..down() });
    for pause in [50, 100, 200, 350, 350, 350, 350, 350] {
        let _ = bench.killed(target("a", 1), &[], &[]);
        let _ = bench.tick(pause);
    }
    let report = finish(&mut bench, &[]);
    assert!(!report.clean && report.survivors.is_empty());
}

#[test]
fn a_late_proof_still_counts() {
    let (mut bench, _) = stopping(unit("a"), DownRequest { force: true, ..down() });
    for pause in [50, 100, 200, 350, 350, 350, 350, 350] {
        let _ = bench.killed(target("a", 1), &[], &[101]);
        let _ = bench.tick(pause);
    }
    assert_eq!(bench.sought(&[]), ["verify all"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 2 down true"]);
    assert_eq!(bench.state("a"), State::Stopped);
}

#[test]
fn where_nobody_can_hear_the_grace_is_not_waited_out() {
    let (mut bench, _) = stopping(unit("a"), down());
    assert_eq!(bench.asked(target("a", 1), 0, &[100]), ["kill a 1"]);

    let (mut bench, _) = stopping(unit("a"), down());
    assert_eq!(bench.asked(target("a", 1), 1, &[101]), NOTHING, "one heard it: it may take the other along");
    assert_eq!(bench.tick(1000), ["kill a 1"]);
}

#[test]
fn force_and_a_shorter_grace_arrive_in_the_middle() {
    let (mut bench, _) = stopping(unit("a"), down());
    let _ = bench.asked(target("a", 1), 1, &[]);
    bench.pass(100);
    assert_eq!(bench.down(3, DownRequest { grace: Some(millis(300)), ..down() }), NOTHING);
    assert_eq!(bench.stack.next_deadline(), Some(Moment(bench.now + 200)));
    assert_eq!(bench.down(4, DownRequest { grace: Some(millis(9000)), ..down() }), NOTHING);
    assert_eq!(bench.stack.next_deadline(), Some(Moment(bench.now + 200)), "a longer one comes too late");
    assert_eq!(bench.down(5, DownRequest { force: true, ..down() }), ["kill a 1"]);
    assert_eq!(bench.down(6, DownRequest { force: true, ..down() }), NOTHING, "once is enough");
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    let _ = bench.sought(&[]);
    let answers = [
        "reply 2 down true",
        "reply 3 down true",
        "reply 4 down true",
        "reply 5 down true",
        "reply 6 down true",
    ];
    assert_eq!(bench.verified(&[], &[]), answers);
}

#[test]
fn a_requests_grace_replaces_the_units_own() {
    let (mut bench, _) = stopping(unit("a"), DownRequest { grace: Some(millis(3000)), ..down() });
    assert_eq!(bench.tick(3000), ["kill a 1"]);
    let (mut bench, first) = stopping(unit("a"), DownRequest { grace: Some(millis(0)), ..down() });
    assert_eq!(first, ["ask a 1 SIGTERM"]);
    assert_eq!(bench.tick(0), ["kill a 1"]);
}

#[test]
fn what_could_not_be_ended_is_tried_again_by_the_next_down_and_before_the_next_life() {
    let fail = |bench: &mut Bench, first: &str| {
        assert_eq!(bench.asked(target("a", 1), 0, &[101]), ["kill a 1"], "{first}");
        for pause in [50, 100, 200, 350, 350, 350, 350, 350] {
            let _ = bench.killed(target("a", 1), &[], &[101]);
            let _ = bench.tick(pause);
        }
    };
    let (mut bench, _) = stopping(unit("a"), down());
    fail(&mut bench, "down");
    assert!(!finish(&mut bench, &[101]).clean);
    assert_eq!(bench.up(3, up(&[unit("a")])), ["ask a 1 SIGTERM"], "never a start beside a living life");
    fail(&mut bench, "up");
    assert_eq!(bench.verified(&[101], &[]), ["reply 3 up false"]);
    assert_eq!(bench.outcome(3, "a"), UnitOutcome::Failed(Failure::Survived { count: 1 }));
    assert_eq!(bench.down(4, down()), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    let _ = bench.sought(&[]);
    assert_eq!(bench.verified(&[], &[]), ["reply 4 down true"]);
    assert_eq!(bench.up(5, up(&[unit("a")])), ["start a 2"]);
}
