//! State and sockets are one user's alone.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{NOBODY, World, finish, is_root, skip};

const STACK: &str = "services:\n  api: { command: stand-in talk --every 50, ready: { log: line 1 } }\n";

fn all_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("ours").flatten() {
        let path = entry.path();
        if entry.file_type().expect("a type").is_dir() {
            all_below(&path, found);
        }
        found.push(path);
    }
}

#[test]
fn nobody_else_may_read_or_write_any_of_it() {
    let world = World::new(STACK);
    // A loose umask of the caller changes nothing.
    let mut up = Command::new("sh");
    let inner = world.command(&["up"]);
    up.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    up.current_dir(world.dir()).env("DEVSTACK_STATE_DIR", world.state());
    finish(up).expect(0);
    let mut found = Vec::new();
    all_below(&world.state(), &mut found);
    assert!(found.iter().any(|path| path.ends_with("api.sock")), "{found:?}");
    for path in &found {
        let meta = fs::symlink_metadata(path).expect("it is there");
        let mode = meta.permissions().mode() & 0o777;
        let wanted = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{}: {mode:o}", path.display());
    }
}

#[test]
fn a_planted_directory_of_sockets_is_refused() {
    let world = World::new(STACK);
    let elsewhere = world.beside("elsewhere");
    symlink(&elsewhere, world.state().join("run")).expect("a link");
    let ran = world.run(&["up"]).expect(77);
    assert!(ran.err.contains("symbolic link"), "{}", ran.err);
    assert!(world.living().is_empty());
    assert_eq!(fs::read_dir(elsewhere).expect("ours").count(), 0);
    fs::remove_file(world.state().join("run")).expect("ours");
}

#[test]
fn a_planted_log_is_not_written_through() {
    let world = World::new(STACK);
    world.up();
    world.down(&[], 0);
    let victim = world.beside("elsewhere").join("victim");
    fs::write(&victim, "precious").expect("written");
    let log = world.stack_state().join("logs/api.log");
    fs::remove_file(&log).expect("ours");
    symlink(&victim, &log).expect("a link");
    let ran = world.run(&["up"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.out);
    assert_eq!(fs::read_to_string(&victim).expect("text"), "precious");
    world.assert_none_but(&[]);
}

fn is_socket(path: &PathBuf) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// Sends a request to a socket as another user, and says what came back.
fn as_nobody(socket: &Path) -> Option<String> {
    const PROGRAM: &str = "use Socket; $SIG{PIPE} = 'IGNORE'; socket(S, PF_UNIX, SOCK_STREAM, 0) or die; \
        connect(S, sockaddr_un($ARGV[0])) or do { print \"refused: $!\"; exit }; \
        syswrite(S, \"GET /v1/version HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n\"); alarm 3; \
        sysread(S, $answer, 4096); print \"answer: $answer\"";
    if !Path::new("/usr/bin/perl").exists() {
        return None;
    }
    let mut command = Command::new("setpriv");
    let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    command.args([&user, &group, "--clear-groups", "--", "/usr/bin/perl", "-e", PROGRAM]).arg(socket);
    Some(finish(command).out)
}

#[test]
fn another_user_gets_no_answer() {
    if !is_root() {
        return skip("only root can play two users");
    }
    let world = World::new(STACK);
    world.up();
    let mut found = Vec::new();
    all_below(&world.state(), &mut found);
    let sockets: Vec<&PathBuf> = found.iter().filter(|path| is_socket(path)).collect();
    assert!(sockets.len() >= 2, "{found:?}");
    for socket in &sockets {
        let Some(told) = as_nobody(socket) else { return skip("there is no perl") };
        assert!(told.starts_with("refused: "), "{told}");
    }
    // Even where somebody has opened all the modes, the peer's user counts.
    let state = world.state();
    let opened = found.iter().chain([&state]).filter(|path| is_socket(path) || path.is_dir());
    for path in opened {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("ours");
    }
    fs::set_permissions(world.dir().parent().expect("a parent"), fs::Permissions::from_mode(0o755))
        .expect("ours");
    for socket in &sockets {
        let told = as_nobody(socket).expect("perl is there");
        assert_eq!(told, "answer: ", "{}", socket.display());
    }
    for path in found.iter().chain([&state]).filter(|path| path.is_dir()) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("ours");
    }
}
