//! What a mark in an environment proves, and what it does not: one that was copied, made up, cut, or is another stack's. A mark is
//! random and shown to its own user alone: who carries it has it from the stack.

use std::process::Command;

use crate::strangers::variable;
use crate::world::{Started, World, is_root, list, runs};

const ONE: &str = "services:\n  api: { command: stand-in wait }\n";

/// A process that somebody started by hand, with this for the stack's secret in its environment.
fn marked(world: &World, secret: &str, plain: bool) -> Started {
    let mut command = Command::new(world.program("marked"));
    command.arg("wait").env("DEVSTACK_STACK_ID", secret).current_dir(world.beside("elsewhere"));
    Started::by(&command, plain)
}

#[test]
fn a_copied_mark_is_a_proof_and_any_other_is_none() {
    let (world, other) = (World::plain(ONE), World::plain(ONE));
    world.up();
    other.up();
    let secret = variable(world.pid("api"), "DEVSTACK_STACK_ID");
    let theirs = variable(other.pid("api"), "DEVSTACK_STACK_ID");
    let plain = is_root();
    let copied = marked(&world, &secret, plain);
    let others: Vec<Started> =
        ["0".repeat(32), secret[1..].to_owned(), format!("{secret}0"), secret.to_uppercase() + "x", theirs]
            .iter()
            .map(|mark| marked(&world, mark, plain))
            .collect();
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    let swept = list(&report, "swept");
    assert_eq!(swept.len(), 1, "{report:#}");
    assert_eq!(
        (&swept[0]["pid"], &swept[0]["evidence"]),
        (&copied.pid().into(), &"carries the stack's mark".into())
    );
    assert!(!runs(copied.pid()));
    world.assert_none_but(&others.iter().collect::<Vec<_>>());
    // The last one is the other stack's.
    let report = other.down(&[], 0);
    let swept = list(&report, "swept");
    assert_eq!(swept.len(), 1, "{report:#}");
    assert_eq!(swept[0]["pid"], others[4].pid(), "{report:#}");
    world.assert_none_but(&others[..4].iter().collect::<Vec<_>>());
}
