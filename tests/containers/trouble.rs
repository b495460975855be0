//! What goes wrong around a container: no supervisor, other owners, limits, graces, and what cannot be taken away.

use std::path::PathBuf;

use crate::cases::{idle, told};
use crate::stack::{Stack, kill_all};
use crate::world::{finish, list, until};

/// Everything of devstack is killed at once.
fn kill_everything(stack: &Stack) {
    let parts = stack.parts();
    kill_all(&[&[parts.supervisor][..], &parts.keepers, &parts.leaders].concat());
}

#[test]
fn a_container_that_nobody_stands_for_is_shown_all_the_same() {
    let Some(stack) = Stack::new(&(idle(&[]) + "  api: { command: stand-in wait }\n")) else { return };
    stack.up();
    let id = stack.only();
    kill_everything(&stack);
    let shown = stack.run(&["ps", "--json"]).expect(0).json();
    let db = list(&shown, "services").iter().find(|one| one["name"] == "db").expect("it is there").clone();
    assert_eq!((&db["state"], &db["container"]["id"]), (&"ready".into(), &id.as_str().into()), "{db:#}");
    let first = stack.inspect(&id)["State"]["Pid"].clone();
    let found = list(&db, "processes").iter().find(|one| one["pid"] == first).expect("its process").clone();
    assert_eq!(found["found_by"], "container", "{db:#}");
    assert!(stack.run(&["status", "db"]).out.contains("its container runs, its supervisor is not running"));
    // Where the engine knows of none that runs, none is shown.
    stack.engine.docker(&["kill", &id]);
    until("it is not shown as running", || stack.world.service("db")["state"] == "failed");
    stack.down();
    assert_eq!(stack.world.service("db")["state"], "stopped");
}

#[test]
fn the_grace_that_a_stop_is_given_is_the_engines_too() {
    let script = "trap 'sleep 2; exit 0' TERM; echo up; while :; do sleep 0.1; done";
    let command = format!("command: [sh, -c, \"{script}\"]");
    let lines = [&command, "ready: { log: up }", "stop_grace_period: 500ms"];
    let Some(stack) = Stack::new(&idle(&lines)) else { return };
    stack.up();
    let report = stack.run(&["down", "--timeout=30s", "--json"]).expect(0).json();
    assert_eq!(list(&report, "services")[0]["container"]["forced"], false, "{report:#}");
    stack.world.write(&idle(&lines).replace("500ms", "10m"));
    stack.up();
    told(stack.run(&["down", "--timeout=300ms"]), 0, &["container did not end, killed after", "0 left"]);
}

#[test]
fn nobody_who_stands_for_a_container_is_told_as_deaf() {
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    stack.up();
    let report = stack.run(&["down", "--force", "--json"]).expect(0).json();
    let db = &list(&report, "services")[0];
    assert_eq!((list(db, "deaf").len(), &db["container"]["forced"]), (0, &true.into()), "{report:#}");
}

#[test]
fn one_that_wants_too_much_memory_is_told_as_that_and_leaves_nothing_in_the_checkout() {
    let lines = [
        "command: [sh, -c, 'head -c 200000000 /dev/zero | tail']",
        "limits: { memory: 16M }",
        "ready: { log: never }",
    ];
    let Some(stack) = Stack::new(&idle(&lines)) else { return };
    let ran = told(stack.run(&["up"]), 1, &["error[DS028]: db ended before it was ready"]);
    // Podman 4.3 tells only that it was killed, where cgroups are of the first version.
    let why = "it wanted more memory than its limits give it";
    assert!(stack.engine.is_podman() || ran.err.contains(why), "{}", ran.err);
    let left: Vec<PathBuf> = std::fs::read_dir(stack.world.dir())
        .expect("read")
        .map(|entry| entry.expect("read").path())
        .collect();
    assert_eq!(left, [stack.world.dir().join("devstack.yaml")]);
}

#[test]
fn a_container_of_another_owner_is_a_strangers_whatever_else_its_labels_say() {
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    stack.up();
    let found = stack.inspect(&stack.only());
    stack.down();
    let name = found["Name"].as_str().expect("a name").trim_start_matches('/').to_owned();
    let labels: Vec<String> = found["Config"]["Labels"]
        .as_object()
        .expect("labels")
        .iter()
        .filter(|(label, _)| *label != "devstack.owner")
        .map(|(label, value)| format!("--label={label}={}", value.as_str().expect("text")))
        .chain(["--label=devstack.owner=somebody".to_owned()])
        .collect();
    let mut words = vec!["run", "-d", "--name", &name];
    words.extend(labels.iter().map(String::as_str));
    let theirs = stack.engine.docker(&[&words[..], &["devstack-test/idle"]].concat()).out.trim().to_owned();
    told(stack.run(&["up"]), 1, &["error[DS036]", "another user, machine or state"]);
    stack.run(&["down"]).expect(0);
    assert_eq!(stack.inspect(&theirs)["State"]["Running"], true);
    stack.engine.docker(&["rm", "-f", &theirs]);
}

#[test]
fn a_container_of_a_service_that_is_no_longer_in_the_manifest_goes_with_the_others() {
    let both = idle(&[]) + "  more: { image: devstack-test/idle }\n";
    let Some(stack) = Stack::new(&both) else { return };
    stack.up();
    assert_eq!(stack.containers().len(), 2);
    kill_everything(&stack);
    stack.world.write(&idle(&[]));
    told(stack.run(&["down"]), 0, &["2 containers removed", "0 left"]);
    assert!(stack.containers().is_empty());
}

#[test]
fn one_that_cannot_be_taken_away_is_named_and_the_stop_is_not_clean() {
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    let bin = stack.world.beside("bin");
    let program = stack.engine.command(&[]).get_program().to_string_lossy().into_owned();
    let way = bin.join("refuses");
    std::fs::write(&way, "").expect("written");
    let refuse = format!(
        "#!/bin/sh\n[ \"$1\" != rm ] || [ ! -e {} ] || {{ echo 'Error response from daemon: device or resource busy' >&2; exit 1; }}\nPATH=${{PATH#*:}}\nexec {program} \"$@\"\n",
        way.display()
    );
    std::fs::write(bin.join(&program), refuse).expect("written");
    std::fs::set_permissions(bin.join(&program), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("ours");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let run = |args: &[&str]| {
        let mut command = stack.command(args);
        command.env("PATH", &path);
        finish(command)
    };
    run(&["up"]).expect(0);
    let id = stack.only();
    let hint = format!("{program} rm --force ");
    told(run(&["down"]), 6, &["error[DS048]", "device or resource busy", &id[..12], &hint]);
    assert_eq!(stack.only(), id);
    std::fs::remove_file(&way).expect("it is there");
    told(run(&["down"]), 0, &["1 container removed", "0 left"]);
}

#[test]
fn each_step_of_a_container_is_told_once() {
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    stack.up();
    stack.down();
    let events = stack.run(&["events"]).expect(0).out;
    for step in [
        "starts its container",
        "its container runs",
        "its container is asked to end",
        "its container has ended",
    ] {
        assert_eq!(events.matches(step).count(), 1, "{step}:\n{events}");
    }
}

#[test]
fn an_engine_that_holds_nothing_any_more_need_not_answer() {
    let dead = idle(&["command: [sh, -c, 'exit 3']", "ready: { log: never }"]);
    let Some(stack) = Stack::new(&dead) else { return };
    if stack.engine.is_podman() {
        return;
    }
    let socket = stack.world.beside("engine").join("docker.sock");
    std::os::unix::fs::symlink(stack.engine.dir().join("docker.sock"), &socket).expect("a link");
    let run = |args: &[&str]| {
        let mut command = stack.command(args);
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        finish(command)
    };
    // It made a container, which is gone again when `up` has failed.
    told(run(&["up"]), 1, &["exit 3"]);
    std::fs::remove_file(&socket).expect("it is there");
    told(run(&["down"]), 0, &["0 left"]);
    assert!(stack.containers().is_empty());
}

#[test]
fn whoever_sits_at_a_terminal_is_asked_before_volumes_go() {
    let Some(stack) = Stack::new(&idle(&["volumes: ['kept:/data']"])) else { return };
    stack.up();
    let volume = stack.inspect(&stack.only())["Mounts"][0]["Name"].as_str().expect("a name").to_owned();
    let is_there =
        || stack.engine.command(&["volume", "inspect", &volume]).output().expect("asked").status.success();
    let no = stack.at_a_terminal(&["down", "--volumes"], "remove them? [y/N]", "n\n").expect(1);
    assert!(no.out.contains(&volume) && no.out.contains("nothing was done"), "{}", no.out);
    assert!(is_there() && stack.containers().len() == 1, "{}", no.out);
    stack.at_a_terminal(&["down", "--volumes"], "remove them? [y/N]", "y\n").expect(0);
    assert!(!is_there() && stack.containers().is_empty());
    until("nothing of it runs", || stack.world.living().is_empty());
}
