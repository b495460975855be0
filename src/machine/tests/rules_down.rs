//! `down`: it wins from every phase, ends in reverse order, looks for strays, and says clean only when it is.

use super::*;
use Condition::Healthy;

fn chain() -> [UnitPlan; 3] {
    [unit("a"), needs(unit("b"), &[("a", Healthy)]), needs(unit("c"), &[("b", Healthy)])]
}

fn only(units: &[&str]) -> DownRequest {
    DownRequest { units: Some(units.iter().map(|unit| name(unit)).collect()), ..down() }
}

#[test]
fn a_stop_wins_from_every_phase() {
    // How to get there, what the stop does at once, what ends it.
    type Steps<'a> = &'a dyn Fn(&mut Bench);
    let table: [(&str, Steps<'_>, &[&str], Option<&str>); 8] = [
        ("queued", &|_| {}, &[], None),
        (
            "gating",
            &|bench| drop(bench.started("a", 1)),
            &["unwatch a 1", "ask a 1 SIGTERM"],
            Some("retire a 1"),
        ),
        (
            "ready",
            &|bench| {
                let _ = bench.started("a", 1);
                let _ = bench.gate("a", 1, 0, Answer::Good);
            },
            &["unwatch a 1", "ask a 1 SIGTERM"],
            Some("retire a 1"),
        ),
        (
            "examining",
            &|bench| {
                let _ = bench.started("a", 1);
                let _ = bench.tick(5000);
            },
            &["ask a 1 SIGTERM"],
            Some("retire a 1"),
        ),
        (
            "dead leader",
            &|bench| {
                let _ = bench.started("a", 1);
                let _ = bench.exited("a", 1, Exit::Code(1));
            },
            &[],
            Some("retire a 1"),
        ),
        (
            "ending",
            &|bench| {
                let _ = bench.started("a", 1);
                let _ = bench.exited("a", 1, Exit::Code(1));
                let _ = bench.tick(20);
            },
            &[],
            Some("retire a 1"),
        ),
        (
            "backoff",
            &|bench| {
                let _ = bench.started("a", 1);
                let _ = bench.exited("a", 1, Exit::Code(1));
                let _ = bench.emptied("a", 1);
                assert_eq!(bench.state("a"), State::Backoff);
            },
            &[],
            None,
        ),
        ("at rest", &|bench| drop(bench.cancel(1, false)), &[], None),
    ];
    for (phase, steps, actions, end) in table {
        let a = UnitPlan { restart: RestartPolicy::Always, health: Some(health(1, false)), ..gated("a", 1) };
        let mut bench = Bench::new();
        let (first, request) = if phase == "queued" || phase == "at rest" {
            (vec!["start z 1"], up(&[gated("z", 1), needs(a, &[("z", Healthy)])]))
        } else {
            (vec!["start a 1"], up(&[a]))
        };
        assert_eq!(bench.up(1, request), first);
        steps(&mut bench);
        let mut got = bench.down(2, down());
        got.retain(|word| !word.starts_with("reply 1"));
        if end.is_none() && phase == "backoff" {
            assert_eq!(got, ["seek"], "{phase}");
            assert_eq!(bench.state("a"), State::Stopped, "{phase}");
            continue;
        }
        assert_eq!(got, actions, "{phase}");
        if let Some(end) = end {
            assert_eq!(bench.emptied("a", 1), [end, "seek"], "{phase}: no restart");
        }
        assert_eq!(bench.state("a"), State::Stopped, "{phase}");
    }
}

#[test]
fn a_start_that_is_outstanding_is_ended_when_it_arrives() {
    for force in [false, true] {
        let mut bench = Bench::new();
        let _ = bench.up(1, up(&[gated("a", 1)]));
        assert_eq!(bench.down(2, DownRequest { force, ..down() }), ["reply 1 up false"]);
        let first = if force { "kill a 1" } else { "ask a 1 SIGTERM" };
        assert_eq!(bench.started("a", 1), [first], "and no gate is watched");
        assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    }
    let mut bench = Bench::new();
    let _ = bench.up(1, up(&[unit("a")]));
    let _ = bench.down(2, down());
    let why = Failure::Start { reason: "no".to_owned() };
    assert_eq!(bench.event(Event::NotStarted { unit: name("a"), life: Life(1), why }), ["seek"]);
    assert_eq!(bench.state("a"), State::Stopped);
}

#[test]
fn units_are_ended_in_reverse_order_each_after_all_that_depend_on_it() {
    let mut bench = Bench::running(&chain());
    assert_eq!(bench.down(2, down()), ["ask c 1 SIGTERM"]);
    assert_eq!((bench.state("a"), bench.state("b")), (State::Stopping, State::Stopping));
    assert_eq!(bench.exited("c", 1, Exit::Code(0)), NOTHING, "the leader's end is not the proof");
    assert_eq!(bench.emptied("c", 1), ["retire c 1", "ask b 1 SIGTERM"]);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    let _ = bench.sought(&[]);
    let _ = bench.verified(&[], &[]);
    let report = bench.down_reply(2);
    assert_eq!(report.units.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["c", "b", "a"]);
}

#[test]
fn the_order_holds_across_units_that_are_not_being_ended() {
    let mut bench = Bench::running(&chain());
    assert_eq!(bench.down(2, only(&["a", "c"])), ["ask c 1 SIGTERM"]);
    assert_eq!(bench.state("b"), State::Ready);
    assert_eq!(bench.emptied("c", 1), ["retire c 1", "ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "verify a,c"], "no search for strays");
    assert_eq!(bench.verified(&[], &[]), ["reply 2 down true"]);
    assert_eq!(bench.state("b"), State::Ready);

    // The same where the unit between is at rest.
    let mut bench = Bench::running(&chain());
    let _ = bench.exited("b", 1, Exit::Code(0));
    let _ = bench.emptied("b", 1);
    assert_eq!(bench.down(2, down()), ["ask c 1 SIGTERM"]);
}

#[test]
fn a_leader_that_dies_while_it_waits_for_its_turn_is_cleared_up_at_once() {
    let mut bench = Bench::running(&chain());
    let _ = bench.down(2, down());
    assert_eq!(bench.exited("a", 1, Exit::Code(1)), NOTHING);
    assert_eq!(bench.tick(20), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1"]);
    assert_eq!(bench.state("a"), State::Stopped);
    assert_eq!(bench.emptied("c", 1), ["retire c 1", "ask b 1 SIGTERM"]);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "seek"]);
}

#[test]
fn force_asks_nobody_and_waits_for_nobody() {
    let mut bench = Bench::running(&chain());
    assert_eq!(bench.down(2, DownRequest { force: true, ..down() }), ["kill a 1", "kill b 1", "kill c 1"]);
    let mut bench = Bench::running(&chain());
    let _ = bench.down(2, down());
    assert_eq!(bench.down(3, DownRequest { force: true, ..down() }), ["kill a 1", "kill b 1", "kill c 1"]);
}

#[test]
fn down_of_a_stopped_stack_verifies_all_the_same() {
    let mut bench = Bench::new();
    assert!(bench.stack.at_rest());
    assert_eq!(bench.down(1, down()), ["seek"]);
    assert!(!bench.stack.at_rest());
    bench.pass(5);
    assert_eq!(bench.sought(&[]), ["verify all"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 1 down true"]);
    let report = bench.down_reply(1);
    assert_eq!(report.left_alone, [stray(999)]);
    assert!((report.seconds - 0.005).abs() < 1e-9);
    assert!(bench.stack.at_rest());
}

#[test]
fn strays_go_down_the_same_ladder() {
    for (request, first) in
        [(down(), "ask strays SIGTERM"), (DownRequest { force: true, ..down() }, "kill strays")]
    {
        let mut bench = Bench::new();
        let _ = bench.down(1, request.clone());
        assert_eq!(bench.sought(&[500, 501]), [first]);
        if !request.force {
            let _ = bench.asked(Target::Strays, 2, &[]);
            assert_eq!(bench.tick(10_000), ["kill strays"]);
        }
        let _ = bench.killed(Target::Strays, &[501], &[]);
        assert_eq!(bench.event(Event::Emptied { target: Target::Strays }), ["verify all"]);
        assert_eq!(bench.verified(&[], &[]), ["reply 1 down true"]);
        let report = bench.down_reply(1);
        assert_eq!((report.ended, report.forced), (2, 1));
        assert_eq!(report.swept, [stray(500), Ended { forced: true, ..stray(501) }]);
    }
}

fn sweep() -> DownRequest {
    DownRequest { strays: true, ..only(&[]) }
}

#[test]
fn a_sweep_ends_strays_and_nothing_else() {
    let mut bench = Bench::running(&[unit("a")]);
    assert_eq!(bench.down(2, sweep()), ["seek beside"]);
    assert_eq!(bench.sought(&[500]), ["ask strays SIGTERM"]);
    assert_eq!(bench.event(Event::Emptied { target: Target::Strays }), ["verify strays"]);
    assert_eq!(bench.verified(&[501], &[]), ["seek beside"], "a new one: it is sought once more");
    assert_eq!(bench.sought(&[501]), ["ask strays SIGTERM"]);
    assert_eq!(bench.event(Event::Emptied { target: Target::Strays }), ["verify strays"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 2 down true"]);
    let report = bench.down_reply(2);
    assert_eq!((report.swept, report.units), (vec![stray(500), stray(501)], Vec::new()));
    assert_eq!(bench.state("a"), State::Ready);
    // Nothing but strays: clean is said of them alone.
    assert_eq!(bench.down(3, sweep()), ["seek beside"]);
    assert_eq!(bench.sought(&[]), ["verify strays"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 3 down true"]);
}

#[test]
fn a_sweep_joins_a_down_and_a_down_widens_a_sweep() {
    let mut bench = Bench::running(&[unit("a")]);
    assert_eq!(bench.down(2, down()), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.down(3, sweep()), NOTHING);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    assert_eq!(bench.sought(&[]), ["verify all"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 2 down true", "reply 3 down true"]);

    let mut bench = Bench::running(&[unit("a")]);
    assert_eq!(bench.down(2, sweep()), ["seek beside"]);
    assert_eq!(bench.sought(&[500]), ["ask strays SIGTERM"]);
    assert_eq!(bench.down(3, down()), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);

    // Of some units: the strays are looked for after their end.
    let mut bench = Bench::running(&[unit("a"), unit("b")]);
    assert_eq!(bench.down(2, only(&["a"])), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.down(3, sweep()), NOTHING);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek beside"]);
    assert_eq!(bench.sought(&[]), ["verify a,strays"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 2 down true", "reply 3 down true"]);
}

#[test]
fn a_stray_that_cannot_be_ended_is_told() {
    let mut bench = Bench::new();
    let _ = bench.down(1, DownRequest { grace: Some(millis(70)), ..down() });
    let _ = bench.sought(&[500, 501]);
    let _ = bench.asked(Target::Strays, 1, &[501]);
    assert_eq!(bench.tick(70), ["kill strays"]);
    for pause in [50, 100, 200, 350, 350, 350, 350, 350] {
        let _ = bench.killed(Target::Strays, &[500], &[501]);
        let _ = bench.tick(pause);
    }
    assert_eq!(bench.verified(&[501], &[]), ["reply 1 down false"], "known already: no second search");
    let report = bench.down_reply(1);
    assert_eq!(report.survivors, [survivor(501)]);
    assert_eq!((report.ended, report.forced, report.swept.len()), (1, 1, 1));
}

#[test]
fn what_only_the_verification_sees_is_sought_twice_more() {
    let mut bench = Bench::new();
    let _ = bench.down(1, down());
    let _ = bench.sought(&[]);
    assert_eq!(bench.verified(&[500], &[]), ["seek"]);
    assert_eq!(bench.sought(&[500]), ["ask strays SIGTERM"]);
    assert_eq!(bench.event(Event::Emptied { target: Target::Strays }), ["verify all"]);
    assert_eq!(bench.verified(&[501], &[]), ["seek"]);
    assert_eq!(bench.sought(&[]), ["verify all"]);
    assert_eq!(bench.verified(&[502], &[]), ["reply 1 down false"]);
    let report = bench.down_reply(1);
    assert_eq!((report.survivors, report.swept), (vec![survivor(502)], vec![stray(500)]));
}

#[test]
fn a_port_that_is_held_is_not_clean() {
    let mut bench = Bench::running(&[unit("a")]);
    let _ = bench.down(2, only(&["a"]));
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.verified(&[], &[3000]), ["reply 2 down false"]);
    assert_eq!(bench.down_reply(2).ports.len(), 1);
}

#[test]
fn a_down_wins_over_an_up_that_is_in_work() {
    let units = [unit("a"), needs(gated("b", 1), &[("a", Healthy)]), needs(unit("c"), &[("b", Healthy)])];
    let mut bench = Bench::new();
    let _ = bench.up(1, up(&units));
    let _ = bench.started("a", 1);
    let _ = bench.started("b", 1);
    let _ = bench.up(2, up(&units));
    assert_eq!(bench.down(3, down()), ["reply 2 busy", "reply 1 up false", "unwatch b 1", "ask b 1 SIGTERM"]);
    let report = bench.up_reply(1);
    assert!(!report.ready && !report.cancelled && !report.timed_out && report.rolled_back.is_none());
    assert_eq!(
        (bench.outcome(1, "a"), bench.outcome(1, "c")),
        (UnitOutcome::Started, UnitOutcome::Unfinished)
    );
    assert_eq!(bench.up(4, up(&units)), ["reply 4 busy"]);
    assert_eq!(bench.state("c"), State::Stopped);
}

#[test]
fn a_down_of_other_units_leaves_an_up_alone() {
    let mut bench = Bench::running(&[unit("x")]);
    let units = [unit("x"), gated("a", 1)];
    let _ = bench.up(2, UpRequest { units: vec![name("a")], ..up(&units) });
    assert_eq!(bench.down(3, only(&["x"])), ["ask x 1 SIGTERM"]);
    let _ = bench.started("a", 1);
    assert_eq!(bench.gate("a", 1, 0, Answer::Good), ["reply 2 up true"]);
    assert_eq!(bench.up(4, up(&units)), NOTHING, "it waits for the stop");
    assert_eq!(bench.emptied("x", 1), ["retire x 1", "verify x"]);
    assert_eq!(bench.verified(&[], &[]), ["reply 3 down true", "start x 2"]);
}

#[test]
fn a_partial_down_ends_the_up_that_it_touches() {
    let units = [unit("a"), needs(gated("b", 1), &[("a", Healthy)]), needs(unit("c"), &[("b", Healthy)])];
    let mut bench = Bench::new();
    let _ = bench.up(1, up(&units));
    let _ = bench.started("a", 1);
    let _ = bench.started("b", 1);
    assert_eq!(bench.down(2, only(&["a"])), ["reply 1 up false", "ask a 1 SIGTERM"]);
    assert_eq!((bench.state("b"), bench.state("c")), (State::Starting, State::Stopped));
}

#[test]
fn a_recreation_that_a_down_interrupts_is_forgone() {
    let units = [unit("a"), needs(unit("b"), &[("a", Healthy)])];
    let mut bench = Bench::running(&units);
    let request = UpRequest { recreate: vec![name("a"), name("b")], ..up(&units) };
    let _ = bench.up(2, request);
    assert_eq!(bench.down(3, only(&["a"])), ["reply 2 up false"]);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "verify a"]);
    assert_eq!((bench.state("a"), bench.state("b")), (State::Stopped, State::Stopped));
}

#[test]
fn further_downs_join_and_widen_the_first() {
    let mut bench = Bench::running(&chain());
    let _ = bench.down(2, only(&["c"]));
    assert_eq!(bench.emptied("c", 1), ["retire c 1", "verify c"]);
    assert_eq!(bench.down(3, only(&["b"])), ["ask b 1 SIGTERM"]);
    assert_eq!(bench.verified(&[77], &[]), NOTHING, "the answer to an older question");
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "verify b,c"]);
    assert_eq!(bench.down(4, down()), ["ask a 1 SIGTERM"]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    assert_eq!(bench.sought(&[]), NOTHING, "one verification at a time");
    assert_eq!(bench.verified(&[77], &[]), ["verify all"], "an old answer is never the verdict");
    let answers = ["reply 2 down true", "reply 3 down true", "reply 4 down true"];
    assert_eq!(bench.verified(&[], &[]), answers);
    assert_eq!(bench.down_reply(2).units.len(), 3);
}

#[test]
fn a_verification_that_nobody_waits_for_is_not_the_downs_verdict() {
    let mut bench = Bench::new();
    let _ = bench.up(1, up(&[unit("a"), gated("b", 1)]));
    let _ = bench.started("a", 1);
    let _ = bench.started("b", 1);
    let _ = bench.cancel(1, true);
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "verify a,b"]);
    assert_eq!(bench.down(2, down()), ["reply 1 up false", "seek"]);
    assert_eq!(bench.sought(&[]), NOTHING);
    assert_eq!(bench.verified(&[], &[]), ["verify all"]);
    assert_eq!(bench.verified(&[9], &[]), ["seek"]);
}

#[test]
fn a_cancelled_down_goes_on() {
    let mut bench = Bench::running(&[unit("a")]);
    let _ = bench.down(2, down());
    assert_eq!(bench.cancel(2, true), NOTHING);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
}

#[test]
fn a_life_that_is_adopted_meanwhile_is_ended_as_well() {
    let mut bench = Bench::new();
    let _ = bench.down(1, down());
    let _ = bench.sought(&[]);
    let adopted = Adopted {
        plan: unit("a"),
        life: Life(3),
        leader: process(100),
        exit: None,
        ready: true,
        started: Moment(1),
    };
    assert_eq!(bench.event(Event::Adopted(Box::new(adopted))), ["ask a 3 SIGTERM"]);
    assert_eq!(bench.verified(&[100], &[]), NOTHING, "not the verdict while something is being ended");
    assert_eq!(bench.emptied("a", 3), ["retire a 3", "seek"]);
    let _ = bench.sought(&[]);
    assert_eq!(bench.verified(&[], &[]), ["reply 1 down true"]);
}

#[test]
fn who_joins_does_not_have_the_hopeless_tried_again() {
    let mut bench = Bench::running(&[unit("a"), unit("b")]);
    assert_eq!(bench.down(2, down()), ["ask b 1 SIGTERM", "ask a 1 SIGTERM"]);
    assert_eq!(bench.asked(target("a", 1), 0, &[101]), ["kill a 1"]);
    for pause in [50, 100, 200, 350] {
        let _ = bench.killed(target("a", 1), &[], &[101]);
        let _ = bench.tick(pause);
    }
    // From here on the grace of `b` would be in the way.
    assert_eq!(bench.down(3, DownRequest { force: true, ..down() }), ["kill b 1"]);
    let _ = bench.killed(target("b", 1), &[100], &[]);
    assert_eq!(bench.emptied("b", 1), ["retire b 1"]);
    for pause in [350, 350, 350, 350] {
        let _ = bench.killed(target("a", 1), &[], &[101]);
        let _ = bench.tick(pause);
    }
    assert_eq!(bench.down(4, only(&["a"])), NOTHING);
    bench.pass(500);
    assert_eq!(bench.sought(&[]), ["verify all"]);
    assert_eq!(bench.verified(&[101], &[]).len(), 3);
    let (first, last) = (bench.down_reply(2), bench.down_reply(4));
    assert!((last.seconds - 0.5).abs() < 1e-9, "each from its own request: {}", last.seconds);
    assert!(first.seconds > 2.0);
    assert_eq!((first.ended, first.forced, first.survivors.len()), (1, 1, 1));
}

#[test]
fn a_stray_that_survives_two_sweeps_is_counted_once() {
    let mut bench = Bench::running(&[unit("a")]);
    let _ = bench.down(2, DownRequest { force: true, ..down() });
    let _ = bench.killed(target("a", 1), &[100, 101, 102], &[]);
    assert_eq!(bench.emptied("a", 1), ["retire a 1", "seek"]);
    for (extra, next) in [(501, "seek"), (502, "reply 2 down false")] {
        assert_eq!(bench.sought(&[500, extra]), ["kill strays"]);
        for pause in [50, 100, 200, 350, 350, 350, 350, 350] {
            let _ = bench.killed(Target::Strays, &[extra], &[500]);
            let _ = bench.tick(pause);
        }
        let more = if next == "seek" { vec![500, 700] } else { vec![500] };
        assert_eq!(bench.verified(&more, &[]), [next]);
    }
    let report = bench.down_reply(2);
    assert_eq!((report.ended, report.forced, report.survivors), (5, 5, vec![survivor(500)]));
}

#[test]
fn who_joins_may_bring_one_that_an_earlier_down_gave_up() {
    let mut bench = Bench::running(&[unit("a"), unit("b")]);
    let _ = bench.down(2, DownRequest { force: true, ..only(&["a"]) });
    for pause in [50, 100, 200, 350, 350, 350, 350, 350] {
        let _ = bench.killed(target("a", 1), &[], &[101]);
        let _ = bench.tick(pause);
    }
    assert_eq!(bench.verified(&[101], &[]), ["reply 2 down false"]);
    assert_eq!(bench.down(3, only(&["b"])), ["ask b 1 SIGTERM"]);
    assert_eq!(bench.emptied("b", 1), ["retire b 1", "verify b"]);
    assert_eq!(bench.down(4, only(&["a"])), ["ask a 1 SIGTERM"]);
}
