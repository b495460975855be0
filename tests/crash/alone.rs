//! `on_supervisor_exit: stop`: a service that shall not run without its supervisor, beside one that shall.

use crate::kills::{kill_all, kill_and_wait, leader};
use crate::world::{World, runs, until};

const STACK: &str = concat!(
    "services:\n",
    "  gone: { command: stand-in child --count 2 --session --env-clear --no-term --life 600, ready: { log: 'child [0-9]+' }, on_supervisor_exit: stop, stop_grace_period: 300ms }\n",
    "  kept: { command: stand-in wait }\n",
);

fn started(plain: bool) -> World {
    let world = if plain { World::plain(STACK) } else { World::new(STACK) };
    world.up();
    world.await_living(4);
    world
}

#[test]
fn its_keeper_ends_it_when_the_supervisor_is_gone() {
    for plain in [false, true] {
        let world = started(plain);
        let (keeper, kept) = (world.keeper("gone"), leader(&world, "kept"));
        kill_and_wait(world.supervisor());
        // All of it, with its children that are deaf to SIGTERM, and the keeper after them.
        until("it has ended", || world.living().len() == 1 && !runs(keeper));
        assert_eq!(leader(&world, "kept"), kept);
        world.up();
        world.await_living(4);
        assert_eq!(leader(&world, "kept"), kept);
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}

#[test]
fn the_next_up_ends_it_and_starts_it_anew_when_its_keeper_is_dead_as_well() {
    for plain in [false, true] {
        let world = started(plain);
        let (gone, kept) = (leader(&world, "gone"), leader(&world, "kept"));
        kill_all(&world, &["gone", "kept"]);
        assert_eq!(world.living().len(), 4);
        world.up();
        assert_ne!(leader(&world, "gone"), gone);
        assert_eq!(leader(&world, "kept"), kept);
        world.await_living(4);
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}
