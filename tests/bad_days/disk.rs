//! The disk is full, or was made read-only: nothing is begun that could not be recorded, no service waits for room, what
//! is lost is counted and said, and a stop needs no room at all.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::refused;
use crate::room::Room;
use crate::world::{World, is_root, kill, list, number, runs, skip, until};

const STACK: &str = concat!(
    "services:\n",
    "  talk: { command: stand-in talk --every 2, ready: { log: line 3 } }\n",
    "  quiet: { command: stand-in wait }\n",
);

/// The same with one service more.
const MORE: &str = concat!(
    "services:\n",
    "  talk: { command: stand-in talk --every 2, ready: { log: line 3 } }\n",
    "  quiet: { command: stand-in wait }\n",
    "  late: { command: stand-in wait }\n",
);

impl Room {
    /// A small disk of its own under the state.
    fn with_disk(options: &str) -> Option<Self> {
        let room = Self::new(STACK)?;
        let state = room.world.state();
        room.shell(&format!("mount -t tmpfs -o {options},mode=700 none {}", state.display()));
        Some(room)
    }

    /// Takes all that is left of the disk, room and names.
    fn fill(&self) {
        let state = self.inside(&self.world.state());
        let mut filler = fs::File::create(state.join("filler")).expect("there was room");
        while filler.write_all(&[0; 4096]).is_ok() {}
        for number in 0..100 {
            let _ = fs::File::create(state.join(format!("filler-{number}")));
        }
    }

    fn empty(&self) {
        for entry in fs::read_dir(self.inside(&self.world.state())).expect("ours").flatten() {
            if entry.file_name().to_string_lossy().starts_with("filler") {
                fs::remove_file(entry.path()).expect("ours");
            }
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.stack_state().join(name)).expect("it is there")
    }
}

/// All that `talk` has said: what stands in its log, and how many bytes the log says were lost between.
fn account(log: &[u8]) -> (u64, u64) {
    let text = String::from_utf8_lossy(log);
    let (mut kept, mut lost, mut newest) = (0, 0, 0);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("[devstack: ") {
            lost += rest.split(' ').next().and_then(|word| word.parse::<u64>().ok()).expect("a number");
            assert!(line.ends_with("bytes of output lost: no space left on device]"), "{line}");
        } else {
            kept += line.len() as u64 + 1;
            newest = line.strip_prefix("line ").and_then(|word| word.parse().ok()).unwrap_or(newest);
        }
    }
    let written: u64 = (1..=newest).map(|number| format!("line {number}\n").len() as u64).sum();
    // A piece of a line before the gap got a line end that the service did not write.
    assert!(kept + lost >= written && kept + lost <= written + 2, "{kept} + {lost} of {written}");
    (newest, lost)
}

#[test]
fn a_full_disk_refuses_what_is_new_and_holds_up_nothing_that_runs() {
    for options in ["size=1m", "nr_inodes=64,size=64m"] {
        let Some(room) = Room::with_disk(options) else { return };
        room.run(&["up"]).expect(0);
        let (talk, quiet) = (room.pid("talk"), room.pid("quiet"));
        let before = room.read("stack.json");
        room.fill();

        room.world.write(MORE);
        refused(room.run(&["up"]), 1, "DS055", &["cannot be written", "reason", "o space left on device"]);
        refused(room.run(&["restart", "quiet"]), 1, "DS055", &["nothing was started"]);
        assert_eq!(room.read("stack.json"), before, "the ledger is not damaged");
        assert_eq!((room.pid("talk"), room.pid("quiet")), (talk, quiet), "what runs runs on");
        for args in [&["ps"][..], &["status"], &["logs", "-n", "3"], &["events"], &["ls"]] {
            room.run(args).expect(0);
        }

        // The service talks on: what it says on the full disk is counted.
        let said = || account(&room.read("logs/talk.log"));
        let full = options.starts_with("size");
        if full {
            // A page begun has room to its end.
            until("the log is full", || room.read("logs/talk.log").len() % 4096 == 0);
        }
        room.empty();
        until("the log goes on", || said().0 > 5 && (!full || said().1 > 0));
        assert_eq!(room.pid("talk"), talk);
        room.run(&["up"]).expect(0);
        assert_eq!((room.pid("talk"), room.pid("quiet")), (talk, quiet));
        assert!(runs(room.pid("late")));

        room.fill();
        let report = room.json(&["down", "--json"], 0);
        assert_eq!((&report["clean"], number(&report["ended"])), (&Value::Bool(true), 3), "{report:#}");
        room.world.assert_none_but(&[]);
    }
}

#[test]
fn a_full_disk_refuses_the_very_first_up_and_leaves_no_litter() {
    let Some(room) = Room::with_disk("size=256k") else { return };
    room.fill();
    refused(room.run(&["up"]), 1, "DS055", &["stack.json", "o space left on device"]);
    room.world.assert_none_but(&[]);
    let state = room.inside(&room.world.state());
    let files = || {
        let dirs = fs::read_dir(&state).expect("ours").flatten().map(|entry| entry.path());
        let within = dirs.filter(|path| path.is_dir()).flat_map(|dir| fs::read_dir(dir).expect("ours"));
        within.flatten().filter(|entry| entry.metadata().is_ok_and(|it| it.is_file() && it.len() > 0)).count()
    };
    // A lock is empty there.
    assert_eq!(files(), 0, "no half files");
    room.empty();
    room.run(&["up"]).expect(0);
    room.json(&["down", "--json"], 0);
}

#[test]
fn without_a_supervisor_a_stop_needs_no_room_either() {
    let Some(room) = Room::with_disk("size=1m") else { return };
    room.run(&["up"]).expect(0);
    let supervisor = number(&room.json(&["ps", "--json"], 0)["supervisor"]);
    room.fill();
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    let report = room.json(&["down", "--json"], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    room.world.assert_none_but(&[]);
    room.empty();
    room.run(&["up"]).expect(0);
    room.run(&["events", "--json"]).expect(0);
    room.json(&["down", "--json"], 0);
}

/// Every directory of the state, the deepest first.
fn directories(of: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(of).expect("ours").flatten().filter(|entry| entry.path().is_dir()) {
        found.extend(directories(&entry.path()));
    }
    found.push(of.to_owned());
    found
}

fn set_modes(world: &World, mode: u32) {
    for dir in directories(&world.state()) {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("ours");
    }
}

#[test]
fn a_state_that_became_read_only_holds_up_no_stop() {
    for supervisor_lives in [true, false] {
        let world = World::plain(STACK);
        world.up();
        let supervisor = world.supervisor();
        if !supervisor_lives {
            kill(supervisor, Signal::KILL);
            until("it is dead", || !runs(supervisor));
        }
        set_modes(&world, 0o500);
        world.run(&["ps"]).expect(0);
        let report = world.down(&[], 0);
        assert_eq!((&report["clean"], number(&report["ended"])), (&Value::Bool(true), 2), "{report:#}");
        world.assert_none_but(&[]);
        until("the supervisor has ended", || !runs(supervisor));
        assert!(!world.log("talk").is_empty(), "what was written is kept");
        // Nothing can be begun there, and why is said; with the modes of before it goes on.
        refused(world.run(&["up"]), 77, "DS055", &["ermission denied", "DEVSTACK_STATE_DIR"]);
        world.assert_none_but(&[]);
        set_modes(&world, 0o700);
        world.up();
        let report = world.down(&[], 0);
        assert_eq!(report["clean"], true);
    }
}

#[test]
fn a_read_only_file_system_holds_up_no_stop() {
    for supervisor_lives in [true, false] {
        let Some(room) = Room::new(STACK) else { return };
        let state = room.world.state();
        room.run(&["up"]).expect(0);
        let supervisor = number(&room.json(&["ps", "--json"], 0)["supervisor"]);
        if !supervisor_lives {
            kill(supervisor, Signal::KILL);
            until("it is dead", || !runs(supervisor));
        }
        let state = state.display();
        room.shell(&format!("mount --bind {state} {state}; mount -o remount,bind,ro {state}"));
        let view = room.json(&["ps", "--json"], 0);
        assert_eq!(list(&view, "services").len(), 2);
        room.run(&["logs", "talk", "-n", "2"]).expect(0);
        let report = room.json(&["down", "--json"], 0);
        assert_eq!((&report["clean"], number(&report["ended"])), (&Value::Bool(true), 2), "{report:#}");
        room.world.assert_none_but(&[]);
        until("the supervisor has ended", || !runs(supervisor));
        refused(room.run(&["up"]), 1, "DS055", &["ead-only file system"]);
        room.world.assert_none_but(&[]);
        room.shell(&format!("umount {state}"));
        room.run(&["up"]).expect(0);
        room.json(&["down", "--json"], 0);
    }
    if !is_root() {
        skip("only root can mount");
    }
}
