//! A process table without room: nobody in it can fork. `down` works all the same, and `up` says who fills it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::limits::{Room, limited};
use crate::world::{World, list, number, runs, skip, until};

/// Room for devstack and the quiet services; the storm takes the rest.
const ROOM: u32 = 120;

const STACK: &str = concat!(
    "services:\n",
    "  quiet: { command: stand-in child --session --life 600, ready: { log: 'child [0-9]+' } }\n",
    "  storm: { command: stand-in storm --sessions --life 300, ready: { log: storm }, stop_grace_period: 300ms, depends_on: [quiet] }\n",
    "  late: { command: stand-in wait, profiles: [late] }\n",
);

/// A stack whose own service has filled the process table, and the cgroup that bounds it.
fn stormy() -> Option<(World, Room)> {
    let Some(room) = Room::with(ROOM) else {
        skip("no cgroup of the pids controller can be made: a storm of forks must be bounded");
        return None;
    };
    let world = World::new(STACK);
    room.run(&world, &["up"]).expect(0);
    room.until_full();
    Some((world, room))
}

#[test]
fn a_stack_that_filled_the_process_table_is_seen_and_ended() {
    for force in [false, true] {
        let Some((world, room)) = stormy() else { return };
        let view = room.run(&world, &["ps", "--json"]).expect(0).json();
        let storm = list(&view, "services").iter().find(|one| one["name"] == "storm").expect("told").clone();
        assert!(list(&storm, "processes").len() > 50, "{storm:#}");
        room.run(&world, &["status"]).expect(0);
        let up = room.run(&world, &["up", "late"]).expect(1);
        assert!(up.err.contains("error[DS026]: the kernel refused a new process for late"), "{}", up.err);
        assert!(up.err.contains("of stand-in") && up.err.contains("try "), "who fills it: {}", up.err);
        let more: &[&str] = if force { &["--force"] } else { &[] };
        let down = room.run(&world, &[&["down", "--json"], more].concat()).expect(0);
        assert_eq!(down.json()["clean"], true, "{}", down.out);
        world.assert_none_but(&[]);
        until("all have left", || room.count() == 0);
    }
}

#[test]
fn a_down_without_a_supervisor_needs_no_room() {
    let Some((world, room)) = stormy() else { return };
    let supervisor = world.supervisor();
    crate::world::kill(supervisor, rustix::process::Signal::KILL);
    until("it is dead", || !runs(supervisor));
    room.until_full();
    let view = room.run(&world, &["ps", "--json"]).expect(0).json();
    assert_eq!(view["supervisor"], serde_json::Value::Null);
    let up = room.run(&world, &["up", "late"]).expect(1);
    assert!(
        up.err.contains("error[DS026]: the kernel refused a new process for the supervisor"),
        "{}",
        up.err
    );
    assert!(up.err.contains("of stand-in"), "who fills it: {}", up.err);
    let down = room.run(&world, &["down", "--json"]).expect(0);
    assert_eq!(down.json()["clean"], true, "{}", down.out);
    world.assert_none_but(&[]);
    until("all have left", || room.count() == 0);
}

#[test]
fn a_process_table_filled_by_a_stranger_is_told_and_he_is_left_alone() {
    let Some(room) = Room::with(ROOM) else {
        return skip("no cgroup of the pids controller can be made: a storm of forks must be bounded");
    };
    let world = World::new(
        "services:\n  quiet: { command: stand-in wait }\n  late: { command: stand-in wait, profiles: [late] }\n",
    );
    room.run(&world, &["up"]).expect(0);
    let mut storm = Command::new(world.program("bystander"));
    storm.args(["storm", "--life", "300"]).current_dir(world.beside("elsewhere"));
    let mut storm = room.command(&storm).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(storm.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "storm\n");
    room.until_full();
    let up = room.run(&world, &["up", "late"]).expect(1);
    assert!(up.err.contains("error[DS026]"), "{}", up.err);
    assert!(up.err.contains("of bystander"), "who fills it: {}", up.err);
    let down = room.run(&world, &["down", "--json"]).expect(0);
    let report = down.json();
    assert_eq!((&report["clean"], number(&report["ended"])), (&true.into(), 1), "{report:#}");
    assert!(storm.try_wait().expect("ours").is_none(), "it was ended");
    room.until_full();
    assert!(world.living().values().all(|command| command.contains("bystander")), "only the storm is left");
    drop(room);
    storm.wait().expect("ours");
}

#[test]
fn looks_and_stops_fork_nothing_and_start_no_thread() {
    // A limit of one process holds for every fork and every thread of a plain user; root may pass it.
    for supervised in [true, false] {
        let world = World::plain(STACK_OF_TWO);
        world.up();
        let supervisor = world.supervisor();
        if !supervised {
            crate::world::kill(supervisor, rustix::process::Signal::KILL);
            until("it is dead", || !runs(supervisor));
        }
        for look in [&["ps"][..], &["status"], &["logs", "web"], &["events"], &["ls"], &["wait", "web"]] {
            // Nobody watches what runs.
            let code = if supervised || look[0] != "status" { 0 } else { 5 };
            limited(&world, "--nproc=1", look).expect(code);
        }
        let up = limited(&world, "--nproc=1", &["restart", "web"]);
        if supervised {
            // The supervisor has its own limit.
            up.expect(0);
        } else {
            let up = up.expect(1);
            assert!(up.err.contains("error[DS026]"), "{}", up.err);
        }
        let more: &[&str] = if supervised { &[] } else { &["--force"] };
        let down = limited(&world, "--nproc=1", &[&["down", "--json"], more].concat()).expect(0);
        assert_eq!(down.json()["clean"], true, "{}", down.out);
        world.assert_none_but(&[]);
    }
}

const STACK_OF_TWO: &str = concat!(
    "services:\n",
    "  api: { command: stand-in child --session --life 600, ready: { log: 'child [0-9]+' } }\n",
    "  web: { command: stand-in wait, depends_on: [api] }\n",
);

#[test]
fn an_up_that_may_not_fork_leaves_nothing() {
    let world = World::plain(STACK_OF_TWO);
    let up = limited(&world, "--nproc=1", &["up"]).expect(1);
    assert!(
        up.err.contains("error[DS026]: the kernel refused a new process for the supervisor"),
        "{}",
        up.err
    );
    assert!(up.err.contains("most are") && up.err.contains("ulimit -u"), "{}", up.err);
    world.assert_none_but(&[]);
    world.up();
    world.down(&[], 0);
}

#[test]
fn few_descriptors_are_told_and_leave_nothing() {
    // Enough for the supervisor itself, not for forty services.
    let mut manifest = "services:\n".to_owned();
    for at in 0..40 {
        let _ = writeln!(manifest, "  s{at}: {{ command: stand-in wait }}");
    }
    for plain in [false, true] {
        let world = if plain { World::plain(&manifest) } else { World::new(&manifest) };
        let up = limited(&world, "--nofile=40:40", &["up"]).expect(1);
        assert!(up.err.contains("oo many open files"), "{}", up.err);
        assert!(up.err.contains("error[DS"), "{}", up.err);
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}

#[test]
fn commands_with_hardly_a_descriptor_say_so() {
    let world = World::new(STACK_OF_TWO);
    world.up();
    for limit in ["--nofile=4:4", "--nofile=6:6", "--nofile=8:8", "--nofile=10:10", "--nofile=12:12"] {
        let looked = limited(&world, limit, &["ps"]);
        assert!(matches!(looked.status.code(), Some(0 | 1)), "{limit}: {:?} {}", looked.status, looked.err);
        if looked.status.code() == Some(1) {
            assert!(looked.err.contains("error[DS") && !looked.err.contains("panicked"), "{}", looked.err);
        }
    }
    // Those who run are not harmed by a command that could not.
    world.await_living(3);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn without_memory_nothing_is_left_half_done() {
    for limit in ["--as=20000000", "--as=60000000", "--as=120000000", "--as=400000000"] {
        let world = World::new(STACK_OF_TWO);
        let up = limited(&world, limit, &["up"]);
        let ready = up.status.code() == Some(0);
        // With so little that even the loader fails there is nobody to say it.
        assert!(ready || !up.err.is_empty() || up.status.code().is_none(), "{limit}: {:?}", up.status);
        if ready {
            world.await_living(3);
        }
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}
