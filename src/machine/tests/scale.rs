//! A thousand units: the cost of an event must not grow with the square of the stack.

use super::*;
use Condition::Healthy;

const COUNT: usize = 1000;

/// Brings them up one by one and down again; how many actions that took.
fn there_and_back(units: &[UnitPlan]) -> usize {
    let mut bench = Bench::new();
    let mut actions = bench.up(1, up(units));
    let mut at = 0;
    while at < actions.len() {
        if let Some(started) = actions[at].strip_prefix("start ") {
            let unit = started[..5].to_owned();
            let more = bench.started(&unit, 1);
            actions.extend(more);
        }
        at += 1;
    }
    assert!(bench.up_reply(1).ready);
    let mut ends = bench.down(2, down());
    at = 0;
    while at < ends.len() {
        if let Some(asked) = ends[at].strip_prefix("ask ") {
            let unit = asked[..5].to_owned();
            let more = bench.emptied(&unit, 1);
            ends.extend(more);
        }
        at += 1;
    }
    let _ = bench.sought(&[]);
    let _ = bench.verified(&[], &[]);
    assert!(bench.down_reply(2).clean);
    actions.len() + ends.len()
}

#[test]
fn a_chain_a_star_and_a_crowd_of_a_thousand() {
    let label = |at: usize| format!("u{at:04}");
    let crowd: Vec<_> = (0..COUNT).map(|at| unit(&label(at))).collect();
    let chain: Vec<_> = (0..COUNT)
        .map(|at| match at {
            0 => unit(&label(0)),
            _ => needs(unit(&label(at)), &[(&label(at - 1), Healthy)]),
        })
        .collect();
    let star: Vec<_> = (0..COUNT)
        .map(|at| match at {
            0 => unit(&label(0)),
            _ => needs(unit(&label(at)), &[(&label(0), Healthy)]),
        })
        .collect();
    for units in [crowd, chain, star] {
        // Start, ask and retire of each, two replies, one search; the last two answers are counted by the replies.
        assert_eq!(there_and_back(&units), 3 * COUNT + 2);
    }
}
