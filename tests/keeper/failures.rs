//! What cannot be started is told at once, with evidence.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use devstack::domain::{Exit, Failure};
use devstack::store::RecordLine;

use crate::world::World;

#[test]
fn a_missing_program_is_told_with_the_path_and_near_names() {
    let mut world = World::of(&["postgers"]);
    fs::create_dir(world.path("bin")).expect("a directory");
    fs::write(world.path("bin/postgres"), "").expect("a file");
    let path = format!("/nonexistent:{}", world.path("bin").display());
    world.spec.environment = vec![("PATH".to_owned(), path.clone())];
    let mut keeper = world.start();
    let near = vec!["postgres".to_owned()];
    let why = Failure::CommandNotFound { program: "postgers".to_owned(), path, near };
    assert_eq!(keeper.not_started(), why);
    assert_eq!(keeper.record().last(), Some(&RecordLine::Emptied));
    assert_eq!(keeper.child.wait().expect("it ends").code(), Some(1));
    assert!(!keeper.world.spec.socket.exists());
}

#[test]
fn a_missing_file_is_told_without_a_path() {
    let mut keeper = World::of(&["./run.sh"]).start();
    let (program, path) = ("./run.sh".to_owned(), String::new());
    assert_eq!(keeper.not_started(), Failure::CommandNotFound { program, path, near: Vec::new() });
}

#[test]
fn what_may_not_be_executed_is_told_with_the_reason() {
    for (mode, text, reason) in [
        (0o644, "#!/bin/sh\n", "permission denied"),
        (0o755, "#!/none/python3\n", "its interpreter /none/python3 does not exist"),
    ] {
        let world = World::of(&["./run.sh"]);
        fs::write(world.path("run.sh"), text).expect("a file");
        fs::set_permissions(world.path("run.sh"), fs::Permissions::from_mode(mode)).expect("a mode");
        let why = Failure::NotExecutable { program: "./run.sh".to_owned(), reason: reason.to_owned() };
        assert_eq!(world.start().not_started(), why);
    }
}

#[test]
fn a_missing_directory_is_told() {
    let mut world = World::of(&["true"]);
    world.spec.working_dir = "/nonexistent/dir".into();
    let (dir, reason) = ("/nonexistent/dir".to_owned(), "no such file or directory".to_owned());
    assert_eq!(world.start().not_started(), Failure::WorkingDir { dir, reason });
}

#[test]
fn an_unknown_user_is_told() {
    let mut world = World::of(&["true"]);
    world.spec.user = Some("no such user".to_owned());
    let why = Failure::User { user: "no such user".to_owned(), reason: "there is no such user".to_owned() };
    assert_eq!(world.start().not_started(), why);
}

#[test]
fn a_service_becomes_its_user_where_that_is_allowed() {
    let mut world = World::shell("id -u; id -G; echo opened > /dev/stderr");
    world.spec.user = Some("54321".to_owned());
    world.spec.working_dir = "/".into();
    let mut keeper = world.start();
    if rustix::process::geteuid().is_root() {
        assert_eq!(keeper.whole_life(), Exit::Code(0));
        let text = keeper.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[2]), ("54321", "opened"), "{text}");
        assert!(!lines[1].split(' ').any(|group| group == "0"), "{text}");
    } else {
        let reason = "only root can become another user".to_owned();
        assert_eq!(keeper.not_started(), Failure::User { user: "54321".to_owned(), reason });
    }
}

#[test]
fn a_nul_byte_is_refused() {
    let mut world = World::of(&["true"]);
    world.spec.argv.push("a\0b".to_owned());
    assert!(matches!(world.start().not_started(), Failure::Start { reason } if reason.contains("NUL")));
}

#[test]
fn a_script_without_a_first_line_is_run_by_the_shell() {
    let world = World::of(&["./run.sh", "one two"]);
    fs::write(world.path("run.sh"), "echo \"$0:$1\"\n").expect("a file");
    fs::set_permissions(world.path("run.sh"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut keeper = world.start();
    assert_eq!(keeper.whole_life(), Exit::Code(0));
    assert_eq!(keeper.text(), "./run.sh:one two\n");
}

#[test]
fn a_keeper_without_a_spec_ends() {
    for (line, told) in [("", ""), ("{}\n", "does not understand")] {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
        command.arg("__keeper").stdin(Stdio::from(OwnedFd::from(theirs)));
        let mut child = command.spawn().expect("it starts");
        drop(command);
        ours.write_all(line.as_bytes()).expect("it reads");
        ours.shutdown(Shutdown::Write).expect("open so far");
        let mut answer = String::new();
        ours.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(told) && answer.is_empty() == told.is_empty(), "{answer:?}");
        assert_eq!(child.wait().expect("it ends").code(), Some(125));
    }
}

#[test]
fn a_life_that_another_supervisor_has_given_up_does_not_begin() {
    let world = World::shell("touch ran");
    let given_up = RecordLine::GivenUp.to_bytes(&world.spec.seal).expect("JSON");
    fs::write(&world.spec.record, &given_up).expect("written");
    let mut keeper = world.start();
    let why = format!("{:?}", keeper.not_started());
    assert!(why.contains("given this life up"), "{why}");
    assert!(!keeper.world.path("ran").exists());
    // The other order: it came too late, and the life is what the record says.
    let mut keeper = World::shell("read word < gate").with_gate().start();
    keeper.leader();
    let mut record = fs::read(&keeper.world.spec.record).expect("a record");
    record.extend(given_up);
    assert!(!devstack::store::is_given_up(&keeper.world.spec.seal, &record));
    keeper.release();
    keeper.exit();
    keeper.empties();
}
