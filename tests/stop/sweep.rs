//! Processes that nobody recorded: swept by the user's patterns with evidence, or left alone with the reason.

use std::process::Command;

use serde_json::Value;

use crate::world::{Started, World, answers, free_port, list, number, runs, until};

const STACK: &str = "services:\n  api: { command: stand-in wait }\nsweep: { patterns: ['wait vitest'] }\n";

fn told(report: &Value, key: &str, pid: i32) -> Option<String> {
    let mut all = list(report, key).iter();
    let one = all.find(|one| number(&one["pid"]) == pid)?;
    Some(one["evidence"].as_str().expect("text").to_owned())
}

#[test]
fn a_match_in_the_directory_is_swept_and_a_look_alike_is_not() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        let sub = world.dir().join("packages");
        std::fs::create_dir(&sub).expect("a directory");
        let here = world.start("stand-in", &["wait", "vitest", "run"], &world.dir());
        let below = world.start("stand-in", &["wait", "vitest"], &sub);
        let other = world.start("stand-in", &["wait", "vitest", "run"], &world.beside("other"));
        let prefix = world.start("stand-in", &["wait", "vitest"], &world.beside("stack2"));
        let unlike = world.start("stand-in", &["wait", "jest"], &world.dir());
        let report = world.down(&[], 0);
        world.assert_none_but(&[&other, &prefix, &unlike]);
        for swept in [&here, &below] {
            let evidence = told(&report, "swept", swept.pid()).expect("it is told");
            let dir = if swept.pid() == here.pid() { world.dir() } else { sub.clone() };
            assert!(
                evidence.contains("wait vitest") && evidence.contains(dir.to_str().expect("text")),
                "{evidence}"
            );
        }
        let why = told(&report, "left_alone", other.pid()).expect("it is told");
        assert!(why.contains("no evidence that it belongs here"), "{why}");
        assert!(told(&report, "left_alone", unlike.pid()).is_none());
    }
}

#[test]
fn a_stopped_stack_is_swept_too() {
    let world = World::new(STACK);
    world.up();
    world.down(&[], 0);
    let stray = world.start("stand-in", &["wait", "vitest"], &world.dir());
    let ran = world.run(&["down"]).expect(0);
    assert!(ran.out.contains(&format!("{}", stray.pid())), "{}", ran.out);
    world.assert_none_but(&[]);
    // Never used at all: the manifest alone says what is to be swept.
    let fresh = World::new(STACK);
    let stray = fresh.start("stand-in", &["wait", "vitest"], &fresh.dir());
    let report = fresh.down(&[], 0);
    assert!(told(&report, "swept", stray.pid()).is_some(), "{report:#}");
    fresh.assert_none_but(&[]);
}

#[test]
fn a_deaf_match_is_killed_and_told_so() {
    let world = World::new(STACK);
    world.up();
    let stray = world.start("stand-in", &["wait", "vitest", "--deaf"], &world.dir());
    until("it is deaf", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", stray.pid())).expect("it lives");
        status.lines().any(|line| line.starts_with("SigIgn:") && !line.contains("0000000000000000"))
    });
    let report = world.down(&["--timeout", "300ms"], 0);
    let swept = &list(&report, "swept")[0];
    assert_eq!((number(&swept["pid"]), swept["forced"].as_bool()), (stray.pid(), Some(true)));
    world.assert_none_but(&[]);
}

#[test]
fn what_a_swept_process_started_goes_with_it() {
    let manifest = "services:\n  api: { command: stand-in wait }\nsweep: { patterns: ['child --count'] }\n";
    let world = World::new(manifest);
    world.up();
    let mut stray =
        world.start("stand-in", &["child", "--count", "3", "--session", "--env-clear"], &world.dir());
    for _ in 0..3 {
        assert!(stray.line().starts_with("child "));
    }
    assert_eq!(world.living().len(), 5);
    let report = world.down(&[], 0);
    assert_eq!(list(&report, "swept").len(), 4, "{report:#}");
    world.assert_none_but(&[]);
}

#[test]
fn a_shell_in_the_directory_survives() {
    let manifest = "services:\n  api: { command: stand-in wait }\nsweep: { patterns: ['sh', 'vitest'] }\n";
    let world = World::new(manifest);
    world.up();
    // It waits on its standard input, as a shell in a terminal does.
    let shell = Command::new("/bin/sh")
        .current_dir(world.dir())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let editor = world.start("vim", &["wait", "vitest.config.ts"], &world.dir());
    world.down(&[], 0);
    assert!(runs(i32::try_from(shell.id()).expect("a number")) && runs(editor.pid()));
    world.assert_none_but(&[&editor]);
    // Its input ends, and with it the shell.
    let mut shell = shell;
    drop(shell.stdin.take());
    assert!(shell.wait().expect("ours").success());
}

#[test]
fn a_second_checkout_of_the_same_manifest_is_not_touched() {
    let (one, two) = (World::new(STACK), World::new(STACK));
    one.up();
    two.up();
    let theirs = two.start("stand-in", &["wait", "vitest"], &two.dir());
    let pid = two.pid("api");
    // And one inside the other, as a worktree is.
    let inner = one.dir().join("trees/b");
    std::fs::create_dir_all(&inner).expect("a directory");
    std::fs::copy(one.dir().join("devstack.yaml"), inner.join("devstack.yaml")).expect("copied");
    let worktree = one.start("stand-in", &["wait", "vitest"], &inner);
    let report = one.down(&[], 0);
    assert!(
        told(&report, "swept", theirs.pid()).is_none() && told(&report, "swept", worktree.pid()).is_none()
    );
    assert!(runs(pid) && runs(theirs.pid()) && runs(worktree.pid()));
    assert_eq!(two.service("api")["state"], "ready");
    one.assert_none_but(&[&worktree]);
    two.down(&[], 0);
    two.assert_none_but(&[]);
}

#[test]
fn scope_user_needs_no_directory() {
    let unique = format!("unique{}", free_port());
    let manifest = format!(
        "services:\n  api: {{ command: stand-in wait }}\nsweep: {{ patterns: ['wait {unique}'], scope: user }}\n"
    );
    let world = World::new(&manifest);
    world.up();
    let far = world.start("stand-in", &["wait", &unique], &world.beside("far"));
    let report = world.down(&[], 0);
    assert!(told(&report, "swept", far.pid()).is_some(), "{report:#}");
    world.assert_none_but(&[]);
}

#[test]
fn a_stray_on_a_declared_port_frees_it() {
    let port = free_port();
    let world = World::new(&format!(
        "services:\n  api: {{ command: stand-in wait, ports: [{port}] }}\nsweep: {{ patterns: ['listen --port'] }}\n"
    ));
    world.up();
    let stray = world.start("stand-in", &["listen", "--port", &port.to_string()], &world.dir());
    until("it listens", || answers(port));
    let report = world.down(&[], 0);
    assert!(told(&report, "swept", stray.pid()).is_some(), "{report:#}");
    assert_eq!(list(&report, "ports")[0]["free"], true);
    world.assert_none_but(&[]);
}

#[test]
fn a_dry_run_touches_nothing() {
    let world = World::new(STACK);
    world.up();
    let mut stray: Started = world.start("stand-in", &["wait", "vitest"], &world.dir());
    world.run(&["down", "--dry-run"]).expect(0);
    assert!(stray.lives() && runs(world.pid("api")));
}
