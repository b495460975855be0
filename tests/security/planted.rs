//! Things that stand where a file of ours should be: nothing is written through them, read as truth, or waited for.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::world::{NOBODY, World, finish, is_root};

const STACK: &str = "services:\n  api: { command: stand-in talk --every 50, ready: { log: line 1 } }\n";

/// Much longer than any command takes; one that hangs on a pipe never ends.
const HANGS: Duration = Duration::from_secs(50);

/// Every file that devstack opens, below the stack's state.
const FILES: [&str; 11] = [
    "stack.json",
    "journal.jsonl",
    "journal.1.jsonl",
    "supervisor.lock",
    "start.lock",
    "supervisor.log",
    "last.json",
    "logs/api.log",
    "logs/api.log.times",
    "logs/api.log.1",
    "lives/api.2.jsonl",
];

fn put_away(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        fs::remove_dir_all(path).expect("ours");
    } else if fs::symlink_metadata(path).is_ok() {
        fs::remove_file(path).expect("ours");
    }
}

/// `up`, all that looks, and `down`: each ends by itself, and nothing of the stack is left.
fn live_through(world: &World, what: &str) {
    for args in [&["up"][..], &["ps"], &["events"], &["logs"], &["status"], &["down", "--force"]] {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", &HANGS.as_secs().to_string()]);
        let inner = world.command(args);
        command.arg(inner.get_program()).args(inner.get_args()).current_dir(world.dir());
        command.env("DEVSTACK_STATE_DIR", world.state());
        let ran = finish(command);
        assert!(
            ![Some(124), Some(137), Some(101), Some(70), None].contains(&ran.status.code()),
            "{what}: {args:?} {:?} {}",
            ran.status,
            ran.err
        );
    }
    world.assert_none_but(&[]);
}

fn each_file(plant: impl Fn(&Path, &Path)) {
    let world = World::new(STACK);
    world.up();
    world.down(&[], 0);
    let state = world.stack_state();
    let victim = world.beside("elsewhere").join("victim");
    for file in FILES {
        fs::write(&victim, "precious\n").expect("written");
        let path = state.join(file);
        put_away(&path);
        plant(&path, &victim);
        live_through(&world, file);
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), "precious\n", "{file}");
        put_away(&path);
    }
    let left: Vec<PathBuf> =
        fs::read_dir(world.dir()).expect("ours").flatten().map(|entry| entry.path()).collect();
    assert_eq!(left, [world.dir().join("devstack.yaml")], "something was written beside the manifest");
}

#[test]
fn no_link_is_followed() {
    each_file(|path, victim| symlink(victim, path).expect("planted"));
}

#[test]
fn no_link_to_what_is_not_there_makes_a_file() {
    each_file(|path, victim| {
        let missing = victim.with_file_name("missing");
        assert!(!missing.exists(), "made through a link, before {}", path.display());
        symlink(missing, path).expect("planted");
    });
}

#[test]
fn no_pipe_is_waited_for() {
    each_file(|path, _| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
        assert!(made.success());
    });
}

#[test]
fn a_directory_in_the_place_of_a_file_is_left_alone() {
    each_file(|path, _| fs::create_dir(path).expect("planted"));
}

#[test]
fn a_file_of_another_user_is_not_written_by_another_name() {
    if !is_root() {
        return crate::world::skip("only root could write to such a file");
    }
    each_file(|path, victim| {
        chown(victim, Some(NOBODY), Some(NOBODY)).expect("root may");
        fs::hard_link(victim, path).expect("one file system");
    });
}
