//! Other users of the machine: they read nothing, stop nothing, and prepare no place for us.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{NOBODY, Ran, World, finish, is_root, runs, skip};

const STACK: &str = "services:\n  api: { command: stand-in talk --every 50, ready: { log: line 1 } }\n";

/// devstack as any user, with the state where that user has it, and no directory for sockets but the one in /tmp.
fn as_user(uid: u32, world: &World, home: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups", "--"]);
    command.arg(world.command(args).get_program()).args(args).current_dir(world.dir());
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home);
    finish(command)
}

/// One that nobody has: what is in /tmp under its number is this test's alone.
fn unused_uid() -> u32 {
    3_000_000 + std::process::id()
}

fn open_to_all(world: &World) {
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
    open(world.dir().parent().expect("a parent"));
    open(&world.dir());
}

#[test]
fn a_directory_of_sockets_that_another_user_planted_is_refused() {
    if !is_root() {
        return skip("only root can play two users");
    }
    let world = World::new(STACK);
    open_to_all(&world);
    let uid = unused_uid();
    let home = world.beside("home");
    chown(&home, Some(uid), Some(uid)).expect("root may");
    let planted = PathBuf::from(format!("/tmp/devstack-{uid}"));
    fs::create_dir(&planted).expect("nobody has this number");
    chown(&planted, Some(NOBODY), Some(NOBODY)).expect("root may");
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).expect("root may");
    let ran = as_user(uid, &world, &home, &["up"]);
    let left = fs::read_dir(&planted).expect("root may").count();
    fs::remove_dir_all(&planted).expect("root may");
    assert_eq!(ran.status.code(), Some(77), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("another user") && ran.err.contains("/tmp/devstack-"), "{}", ran.err);
    assert_eq!(left, 0, "something was put into a directory of another user");
    world.assert_none_but(&[]);
}

#[test]
fn the_state_of_another_user_is_neither_used_nor_made() {
    if !is_root() {
        return skip("only root can play two users");
    }
    let world = World::new(STACK);
    let theirs = world.beside("theirs");
    chown(&theirs, Some(NOBODY), Some(NOBODY)).expect("root may");
    // As root with the home of a user: it would leave files there that the user cannot remove, and could be misled.
    for state in [theirs.clone(), theirs.join("new/deep")] {
        let mut command = world.command(&["up"]);
        command.env("DEVSTACK_STATE_DIR", &state);
        let ran = finish(command).expect(77);
        assert!(ran.err.contains("another user"), "{}", ran.err);
    }
    assert_eq!(fs::read_dir(&theirs).expect("root may").count(), 0);
    // And where all may write and remove, anybody could put another directory in its place.
    let loose = world.beside("loose");
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o777)).expect("ours");
    let mut command = world.command(&["up"]);
    command.env("DEVSTACK_STATE_DIR", &loose);
    let ran = finish(command).expect(77);
    assert!(ran.err.contains("others may write"), "{}", ran.err);
    world.assert_none_but(&[]);
}

#[test]
fn another_user_reads_and_stops_nothing() {
    if !is_root() {
        return skip("only root can play two users");
    }
    let world = World::new(&format!("{STACK}sweep: {{ patterns: [\"talk --every\"] }}\n"));
    world.up();
    open_to_all(&world);
    let pid = world.pid("api");
    let state = world.state();
    // With the owner's state: it may not be entered. With a state of one's own: the pattern matches, the user does not.
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "--"]);
    command.arg(world.command(&[]).get_program()).args(["down", "--force"]).current_dir(world.dir());
    command.env("DEVSTACK_STATE_DIR", &state);
    let ran = finish(command);
    assert!([Some(77), Some(74)].contains(&ran.status.code()), "{:?} {}{}", ran.status, ran.out, ran.err);
    let home = world.beside("home");
    chown(&home, Some(NOBODY), Some(NOBODY)).expect("root may");
    let ran = as_user(NOBODY, &world, &home, &["down", "--force"]);
    assert_ne!(ran.status.code(), Some(70), "{}", ran.err);
    assert!(runs(pid), "another user has ended it");
    for (path, _) in everything(&state) {
        let mut cat = Command::new("setpriv");
        cat.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "--", "cat"]);
        cat.arg(&path);
        let read = cat.output().expect("it starts");
        assert!(!read.status.success() && read.stdout.is_empty(), "{} can be read", path.display());
    }
    world.down(&[], 0);
}

fn everything(dir: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("ours").flatten() {
        let meta = fs::symlink_metadata(entry.path()).expect("it is there");
        if meta.is_dir() {
            found.extend(everything(&entry.path()));
        }
        found.push((entry.path(), meta));
    }
    found
}

#[test]
fn a_strange_umask_changes_no_mode() {
    for umask in ["000", "077", "027"] {
        let world = World::new(STACK);
        let state = world.state().join("made/by/devstack");
        let run = |args: &[&str]| {
            let inner = world.command(args);
            let mut outer = Command::new("sh");
            outer
                .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
                .arg(inner.get_program())
                .args(args);
            outer.current_dir(world.dir()).env("DEVSTACK_STATE_DIR", &state);
            finish(outer)
        };
        run(&["up"]).expect(0);
        run(&["logs"]).expect(0);
        let found = everything(&world.state());
        run(&["down"]).expect(0);
        assert!(found.iter().any(|(path, _)| path.ends_with("api.sock")), "{found:?}");
        for (path, meta) in found {
            let wanted = if meta.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(meta.mode() & 0o777, wanted, "umask {umask}: {}", path.display());
        }
    }
}
