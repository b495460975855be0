//! Nothing that a process, a directory or a manifest is called acts on the terminal of who looks at it.

use std::fs;
use std::process::Command;

use crate::world::{Ran, World, finish};

/// Clear the screen, set the title, C1's CSI, right-to-left override, a carriage return, a zero-width space.
const NASTY: &str = "x\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}y\r\u{200b}z\u{2028}\u{feff}";

fn assert_tame(what: &str, ran: &Ran) {
    let acts = |c: &char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || ['\u{202e}', '\u{200b}', '\u{2028}', '\u{feff}', '\u{2066}', '\u{61c}'].contains(c)
    };
    for text in [&ran.out, &ran.err] {
        assert_eq!(text.chars().find(acts), None, "{what}: {text:?}");
    }
}

/// A service whose arguments and short name are nasty, and which says nasty things.
fn nasty_world() -> World {
    let world = World::new("");
    let manifest = format!(
        "services:\n  api:\n    command: [sh, -c, 'printf \"$1\\n\"; printf \"$1\" > /proc/$$/comm; sleep 600; :', sh, {NASTY:?}]\n    \
         labels: {{ a: {NASTY:?} }}\n    environment: {{ X: {NASTY:?} }}\n"
    );
    // Rust writes `\u{1b}`, YAML reads `\u001b`.
    let mut yaml = String::new();
    let mut rest = manifest.as_str();
    while let Some(at) = rest.find("\\u{") {
        let end = at + rest[at..].find('}').expect("closed");
        yaml += &rest[..at];
        yaml.extend(["\\u", &"0000"[end - at - 3..], &rest[at + 3..end]]);
        rest = &rest[end + 1..];
    }
    fs::write(world.dir().join("devstack.yaml"), yaml + rest).expect("written");
    world
}

#[test]
fn no_command_passes_on_what_acts_on_a_terminal() {
    let world = nasty_world();
    let commands: &[&[&str]] = &[
        &["check"],
        &["config"],
        &["config", "--json"],
        &["up"],
        &["ps"],
        &["ps", "--flat"],
        &["ps", "--json"],
        &["status"],
        &["status", "api"],
        &["status", "--json"],
        &["ls"],
        &["ls", "--json"],
        &["events"],
        &["events", "--json"],
        &["down", "--dry-run"],
        &["restart", "api"],
        &["down"],
        &["events"],
        &["status"],
    ];
    for args in commands {
        let ran = world.run(args);
        assert_tame(&args.join(" "), &ran);
        assert!(
            [Some(0), Some(3)].contains(&ran.status.code()),
            "{args:?}: {:?} {}{}",
            ran.status,
            ran.out,
            ran.err
        );
        if *args == ["ps", "--flat"] || *args == ["config"] {
            assert!(ran.out.contains("[2J"), "it should be seen, made harmless: {}", ran.out);
        }
    }
}

#[test]
fn what_is_asked_for_by_a_nasty_name_is_refused_tamely() {
    let world = nasty_world();
    world.run(&["up"]).expect(0);
    let asked: &[&[&str]] = &[
        &["ps", NASTY],
        &["status", NASTY],
        &["logs", NASTY],
        &["up", NASTY],
        &["down", NASTY],
        &["restart", NASTY],
        &["port", NASTY],
        &["wait", NASTY],
        &[NASTY],
        &["up", "--timeout", NASTY],
        &["logs", "--since", NASTY],
        &["logs", "--grep", "[\u{1b}[2J"],
        &["-f", NASTY, "ps"],
        &["--color", NASTY, "ps"],
    ];
    for args in asked {
        let ran = world.run(args);
        assert_ne!(ran.status.code(), Some(0), "{args:?}");
        assert_tame(&args.join(" "), &ran);
    }
    world.down(&[], 0);
}

#[test]
fn a_failure_tells_the_last_words_of_a_service_tamely() {
    let world = World::new(
        "services: { api: { command: \"printf 'a\\\\033[2J\\\\033]0;t\\\\007\\\\302\\\\233b\\\\rc\\\\342\\\\200\\\\256d\\\\n'; exit 3\" } }\n",
    );
    for args in [&["up"][..], &["up", "--json"], &["status"], &["status", "api"], &["events"]] {
        let ran = world.run(args);
        assert_tame(&args.join(" "), &ran);
    }
    // What it wrote is given as it was written: into a pipe, byte for byte.
    let log = String::from_utf8_lossy(&world.log("api")).into_owned();
    assert_eq!(world.run(&["logs", "api"]).out, log);
    assert!(log.contains("\u{1b}[2J"), "{log:?}");
}

#[test]
fn who_holds_a_port_is_told_tamely() {
    let port = crate::world::free_port();
    let world = World::new(&format!(
        "services:\n  api: {{ command: stand-in listen --port {port}, ports: [{port}], ready: {{ port: {port} }} }}\n"
    ));
    let mut holder = Command::new("sh");
    let program = world.program("holder");
    holder
        .args(["-c", "exec \"$0\" listen --port \"$1\" --name \"$2\""])
        .arg(&program)
        .arg(port.to_string())
        .arg(NASTY);
    let listens = std::net::TcpListener::bind(("127.0.0.1", port)).expect("it is free");
    // This process itself holds it: its name is its program's, its directory the test's.
    let ran = world.run(&["up"]);
    drop(listens);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.out);
    assert_tame("up", &ran);
    assert!(ran.err.contains(&std::process::id().to_string()), "{}", ran.err);
}

#[test]
fn a_nasty_directory_is_told_tamely() {
    let world = World::new("services: { api: { command: \"sleep 600\" } }\n");
    let dir = world.dir().join(NASTY);
    fs::create_dir(&dir).expect("a strange name");
    fs::copy(world.dir().join("devstack.yaml"), dir.join("devstack.yaml")).expect("copied");
    for args in [
        &["check"][..],
        &["up"],
        &["ps"],
        &["ps", "--json"],
        &["status"],
        &["ls"],
        &["events"],
        &["down"],
        &["status"],
    ] {
        let mut command = world.command(args);
        command.current_dir(&dir);
        let ran = finish(command);
        assert_tame(&args.join(" "), &ran);
        assert!([Some(0), Some(3)].contains(&ran.status.code()), "{args:?}: {}{}", ran.out, ran.err);
    }
    fs::write(dir.join("devstack.yaml"), "services: { api: { comand: x } }\n").expect("written");
    let mut command = world.command(&["check"]);
    command.current_dir(&dir);
    assert_tame("a faulty manifest", &finish(command).expect(65));
}
