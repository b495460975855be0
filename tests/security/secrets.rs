//! Canary secrets in every place where one can stand, and a search for them in everything that devstack says or writes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::world::{Ran, World, command_line, finish, kill, numbers, runs, stat, until};

const STACK: &str = r#"
env_file: stack.env
environment: { DB_PASSWORD: canary-literal-1, DATABASE_URL: "postgres://me:canary-url-2@db/x" }
services:
  api:
    command: "sh -c 'sleep 600; :' x --token=${DOTENV_TOKEN} --key ${NOT_SET_KEY:-canary-default-3} http://u:canary-url-4@localhost/"
    health: { exec: ["true", "${CALLER_TOKEN}"], interval: 100ms }
    stop_command: ": ${CALLER_TOKEN}"
  web:
    command: [sh, -c, "sleep 601; :", "${FILE_SECRET}", "${CALLER_TOKEN}"]
    environment: { SESSION_KEY: "canary-own-${CALLER_TOKEN}" }
  probed:
    command: "sleep 602"
    profiles: [never]
    ready: { http: "http://localhost:1/${CALLER_TOKEN}", headers: { Authorization: Bearer canary-header-5 } }
"#;

fn world() -> World {
    let world = World::new(STACK);
    let write = |name: &str, text: &str| fs::write(world.dir().join(name), text).expect("written");
    write(".env", "DOTENV_TOKEN=canary-dotenv-6\n");
    write("stack.env", "FILE_SECRET=canary-file-7\nUNUSED_SECRET=canary-unused-8\n");
    world
}

fn run(world: &World, args: &[&str]) -> Ran {
    let mut command = world.command(args);
    command.env("CALLER_TOKEN", "canary-caller-9").env("CALLER_SECRET", "canary-caller-10");
    finish(command)
}

fn assert_silent(where_from: &str, text: &str) {
    let found = text.find("canary").map(|at| text[at..].chars().take(20).collect::<String>());
    assert!(found.is_none(), "{where_from}: {found:?} in\n{text}");
}

#[test]
fn no_secret_is_told_by_any_command_nor_written_where_people_look() {
    let world = world();
    let shown = |args: &[&str]| {
        let ran = run(&world, args);
        assert_silent(&args.join(" "), &format!("{}{}", ran.out, ran.err));
        ran
    };
    shown(&["check"]).expect(0);
    shown(&["config"]).expect(0);
    shown(&["config", "--json"]).expect(0);
    let told = run(&world, &["config", "--show-secrets"]).expect(0);
    // They are there: what is silent elsewhere is silent for a reason.
    for number in 1..=9 {
        assert!(number == 8 || told.out.contains(&format!("-{number}")), "canary {number}: {}", told.out);
    }
    shown(&["up"]).expect(0);
    let all: &[&[&str]] = &[
        &["ps"],
        &["ps", "--json"],
        &["ps", "--flat"],
        &["status"],
        &["status", "--json"],
        &["status", "api"],
        &["events"],
        &["events", "--json"],
        &["ls", "--json"],
        &["down", "--dry-run"],
    ];
    for args in all {
        shown(args);
    }
    for pid in numbers() {
        let line = command_line(pid);
        let ours = line.contains("__keeper") || line.contains("__supervise");
        let ours = ours && stat(pid).is_some() && line.contains(world.state().to_str().expect("text"));
        if ours {
            assert_silent("a command line of devstack", &line);
        }
    }
    assert_files_silent(&world.stack_state());
    shown(&["down", "--json"]).expect(0);
    shown(&["events"]).expect(0);
    shown(&["status"]);
    assert_files_silent(&world.stack_state());
}

/// What must be remembered to end a stack may hold them, and is for its user alone.
fn assert_files_silent(state: &Path) {
    let mut found = Vec::new();
    all_files(state, &mut found);
    assert!(found.iter().any(|path| path.ends_with("journal.jsonl")), "{found:?}");
    for path in found {
        let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let remembers =
            path.ends_with("stack.json") || path.parent().is_some_and(|dir| dir.ends_with("lives"));
        if !remembers {
            assert_silent(
                &path.display().to_string(),
                &String::from_utf8_lossy(&fs::read(&path).expect("ours")),
            );
        }
    }
}

fn all_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("ours").flatten() {
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            all_files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

#[test]
fn no_secret_is_in_an_error() {
    let world = world();
    let faults = [
        "services: { a: { command: x, stop_grace_period: \"${CALLER_TOKEN}\" } }\n",
        "services: { a: { command: x, ports: [\"${CALLER_TOKEN}\"] } }\n",
        "services: { a: { command: x, stop_signal: \"${DOTENV_TOKEN}\", health: \"${CALLER_TOKEN}\" } }\n",
        "services: { a: { command: x, depends_on: [\"${CALLER_TOKEN}\"], user: \"${CALLER_TOKEN}\" } }\n",
        "env_file: broken.env\nservices: { a: { command: x } }\n",
        "name: \"${CALLER_TOKEN}/\"\nservices: { a: { command: x } }\n",
    ];
    fs::write(world.dir().join("broken.env"), "A=1\nthis canary-line-11 is wrong\n").expect("written");
    for fault in faults {
        world.write(fault);
        for args in [&["check"][..], &["up"], &["config"]] {
            let ran = run(&world, args);
            assert_silent(fault, &format!("{}{}", ran.out, ran.err));
        }
    }
    // What fails when it is started tells its command.
    world.write("services: { a: { command: [\"/nowhere/${CALLER_TOKEN}\", \"${CALLER_TOKEN}\"] } }\n");
    let ran = run(&world, &["up"]);
    assert_ne!(ran.status.code(), Some(0));
    assert_silent("up", &format!("{}{}", ran.out, ran.err));
}

/// A life that goes wrong in each way that is told with evidence, under a supervisor and keepers that are asked to say all
/// they can: what stands in a service's environment is in none of it.
#[test]
fn no_value_of_an_environment_is_told_when_things_go_wrong() {
    let world = World::new(
        r#"
environment: { PLAIN: canary-plain-1 }
defaults: { environment: { SHARED: canary-shared-2 }, stop_grace_period: 100ms }
services:
  api: { command: stand-in wait, environment: { OWN: canary-own-3 } }
  deaf: { command: stand-in deaf --child, environment: { OWN: canary-deaf-4 }, ready: { log: deaf } }
  dies: { command: "exit 3", ready: { tcp: "localhost:1" }, environment: { OWN: canary-dies-5 }, profiles: [later], restart: on-failure:2 }
  nowhere: { command: [/nowhere/program], environment: { OWN: canary-nowhere-6 }, profiles: [later] }
  badly: { command: "true", working_dir: gone, environment: { OWN: canary-badly-7 }, profiles: [later] }
  late: { command: "exec sleep 603", start_timeout: 100ms, ready: { tcp: "localhost:1" }, environment: { OWN: canary-late-8 }, profiles: [later] }
"#,
    );
    let shown = |args: &[&str]| {
        let mut command = world.command(args);
        command.env("CALLER_VALUE", "canary-caller-9").env("RUST_BACKTRACE", "full").env("RUST_LOG", "trace");
        let ran = finish(command);
        assert_silent(&args.join(" "), &format!("{}{}", ran.out, ran.err));
        ran
    };
    shown(&["up"]).expect(0);
    // They are where they belong.
    let environ = fs::read(format!("/proc/{}/environ", world.pid("api"))).expect("ours");
    let environ = String::from_utf8_lossy(&environ).into_owned();
    for canary in ["plain-1", "shared-2", "own-3", "caller-9"] {
        assert!(environ.contains(&format!("canary-{canary}")), "{canary}: {environ}");
    }
    for service in ["dies", "nowhere", "badly", "late"] {
        assert_ne!(shown(&["up", "--keep", service]).status.code(), Some(0), "{service}");
    }
    let job = ["run", "-e", "GIVEN=canary-given-10", "--", "sh", "-c", "kill -SEGV $$"];
    assert_ne!(shown(&job).status.code(), Some(0));
    let supervisor = world.supervisor();
    kill(supervisor, Signal::USR1);
    let told = world.stack_state().join("supervisor.log");
    until("the supervisor has said its state", || {
        fs::read_to_string(&told).is_ok_and(|text| text.contains("api"))
    });
    kill(world.keeper("deaf"), Signal::KILL);
    shown(&["ps"]);
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    for args in [
        &["status"][..],
        &["events", "--why", "dies"],
        &["events", "--replay"],
        &["monitor", "--once"],
        &["doctor"],
    ] {
        shown(args);
    }
    shown(&["down", "--json"]).expect(0);
    for args in [&["events"][..], &["events", "--json"], &["ps", "--json"], &["sweep", "--json"]] {
        shown(args);
    }
    assert_files_silent(&world.stack_state());
}
