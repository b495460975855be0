//! Who calls devstack, and what else it has started, is never the stack's.

use rustix::process::Signal;

use crate::world::{World, behind, finish, kill, runs, until};

const STACK: &str = "services:\n  api: { command: stand-in wait }\n";

/// A shell that starts something in the background and then becomes `devstack`: its child is devstack's child now.
fn by_a_shell_with_a_child(world: &World, args: &[&str]) -> i32 {
    let inner = world.command(args);
    let bystander = world.program("bystander");
    let script = format!("{} wait >/dev/null 2>&1 & echo $! >child; exec \"$@\"", bystander.display());
    finish(behind(&["sh", "-c", &script, "sh"], &inner)).expect(0);
    let text = std::fs::read_to_string(world.dir().join("child")).expect("it was started");
    text.trim().parse().expect("a number")
}

#[test]
fn what_a_shell_started_before_it_became_devstack_is_not_the_stacks() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        let (supervisor, api) = (world.supervisor(), world.pid("api"));
        kill(supervisor, Signal::KILL);
        until("the supervisor is dead", || !runs(supervisor));
        let bystander = by_a_shell_with_a_child(&world, &["down"]);
        assert!(!runs(api));
        assert!(runs(bystander), "a child of the calling shell was ended");
        kill(bystander, Signal::KILL);
        until("it has ended", || !runs(bystander));
        world.assert_none_but(&[]);
    }
}
