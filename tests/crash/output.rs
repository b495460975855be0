//! What a service writes is kept, whoever of devstack is killed: what waits in its pipe outlives the reader.

use std::fs;

use crate::kills::{exit_of, kill_all, kill_and_wait, leader, log_size, spoken};
use crate::world::{World, until};

/// Flood lines in these bytes, each of them the next one.
fn numbered(bytes: &[u8]) -> u64 {
    let mut count = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        assert_eq!(line.len(), 100, "a torn line: {}", String::from_utf8_lossy(line));
        let number: u64 = std::str::from_utf8(&line[..12]).expect("digits").parse().expect("a number");
        assert_eq!(number, count, "a line is lost or there twice");
        count += 1;
    }
    count
}

const BYTES: usize = 30_000_000;

/// Rotated often: places between lines are looked for all the time.
fn flood(world: impl Fn(&str) -> World) -> World {
    world(&format!(
        "services:\n  api:\n    command: stand-in flood --bytes {BYTES} --report done --stay\n    logs: {{ max_size: 300K, max_files: 1000 }}\n",
    ))
}

#[test]
fn a_flood_is_kept_when_its_keeper_is_killed_in_the_middle() {
    for world in [flood(World::new), flood(World::plain)] {
        world.up();
        let keeper = world.keeper("api");
        until("the flood is on", || log_size(&world, "api") > 1_000_000);
        kill_and_wait(keeper);
        until("all is written", || world.dir().join("done").exists());
        until("all is kept", || log_size(&world, "api") == BYTES as u64);
        assert_eq!(numbered(&world.log("api")), BYTES as u64 / 100);
        let view = world.service("api");
        assert_eq!(view["state"], "ready");
        assert!(view["note"].as_str().is_some_and(|note| note.contains("keeper died")), "{view:#}");
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}

#[test]
fn a_flood_waits_for_the_next_up_when_all_is_killed_at_once() {
    for world in [flood(World::new), flood(World::plain)] {
        world.up();
        until("the flood is on", || log_size(&world, "api") > 1_000_000);
        let before = leader(&world, "api");
        kill_all(&world, &["api"]);
        assert!(log_size(&world, "api") < BYTES as u64, "it was killed too late for this test");
        world.up();
        assert_eq!(leader(&world, "api"), before);
        until("all is written", || world.dir().join("done").exists());
        until("all is kept", || log_size(&world, "api") == BYTES as u64);
        numbered(&world.log("api"));
        // And once more: who took over is killed as well.
        kill_and_wait(world.supervisor());
        world.up();
        assert_eq!(leader(&world, "api"), before);
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}

#[test]
fn a_down_without_supervisor_and_keeper_keeps_the_last_words() {
    for plain in [false, true] {
        let manifest =
            "services:\n  talk: { command: stand-in talk --every 1 --copy copy, ready: { log: line 3 } }\n";
        let world = if plain { World::plain(manifest) } else { World::new(manifest) };
        world.up();
        kill_all(&world, &["talk"]);
        let copied = || fs::read_to_string(world.dir().join("copy")).expect("a copy").lines().count();
        let now = copied();
        until("it talks on", || copied() > now + 50);
        assert!(world.log("talk").len() < copied() * 6, "nobody reads: that is what is tested here");
        world.down(&[], 0);
        world.assert_none_but(&[]);
        assert!(spoken(&world, "talk", "copy") > now + 50);
    }
}

#[test]
fn last_words_and_exit_are_known_of_a_service_whose_keeper_was_killed() {
    let world = World::new(concat!(
        "services:\n",
        "  talk: { command: stand-in talk --every 2 --lines 300 --exit 7 --copy copy, ready: { log: line 3 }, restart: no }\n",
        "  other: { command: stand-in wait }\n",
    ));
    world.up();
    kill_and_wait(world.keeper("talk"));
    until("it has ended", || world.service("talk")["state"] == "failed");
    assert_eq!(exit_of(&world, "talk")["code"], 7);
    assert_eq!(spoken(&world, "talk", "copy"), 300);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}
