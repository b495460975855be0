//! `sweep`: what is ended, what is left alone and why, with a stack that runs and with one that nobody holds.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{Started, World, answers, free_port, kill, list, number, runs, skip, until};

const STACK: &str = "services:\n  api: { command: stand-in wait }\n  web: { command: stand-in child --count 2 --session }\n\
                     sweep: { patterns: ['wait vitest', 'wait$'] }\n";

/// The row of a process, if it was told.
fn row(report: &Value, pid: i32) -> Option<Value> {
    list(report, "strays").iter().find(|row| number(&row["pid"]) == pid).cloned()
}

fn fate(report: &Value, pid: i32) -> String {
    let row = row(report, pid).unwrap_or_else(|| panic!("{pid} is not told: {report:#}"));
    row["fate"].as_str().expect("a word").to_owned()
}

fn sweep(world: &World, more: &[&str], code: i32) -> Value {
    let mut args = vec!["sweep", "--json"];
    args.extend(more);
    world.run(&args).expect(code).json()
}

fn tracked(world: &World) -> Vec<i32> {
    let view = world.ps();
    let services = list(&view, "services").iter();
    services.flat_map(|one| list(one, "processes")).map(|one| number(&one["pid"])).collect()
}

#[test]
fn beside_a_running_stack_only_strays_are_ended() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        world.await_living(4);
        let (services, supervisor) = (tracked(&world), world.supervisor());
        // The services match a pattern as well: their command lines end in `wait`.
        let here = world.start("stand-in", &["wait", "vitest", "run"], &world.dir());
        let other = world.start("stand-in", &["wait", "vitest", "run"], &world.beside("other"));
        let editor = world.start("vim", &["wait", "vitest.config.ts"], &world.dir());
        let unlike = world.start("stand-in", &["wait", "jest"], &world.dir());

        let seen = sweep(&world, &["--dry-run"], 5);
        assert_eq!(
            (fate(&seen, here.pid()), fate(&seen, other.pid())),
            ("end".to_owned(), "leave".to_owned())
        );
        assert!(services.iter().all(|pid| row(&seen, *pid).is_none()), "{seen:#}");
        let told = row(&seen, here.pid()).expect("told");
        assert!(told["evidence"].as_str().expect("text").contains("works in"), "{told}");
        assert!(number(&told["memory_bytes"]) > 0 && told["age_ms"].is_u64(), "{told}");
        assert!(runs(here.pid()), "a dry run has signalled");

        let report = sweep(&world, &[], 0);
        assert_eq!(fate(&report, here.pid()), "ended");
        assert_eq!((report["clean"].as_bool(), number(&report["ended"])), (Some(true), 1), "{report:#}");
        assert_eq!(world.supervisor(), supervisor);
        assert_eq!(tracked(&world), services, "the services were touched");
        let again = world.run(&["cleanup"]).expect(0);
        assert!(again.out.contains("no strays") && again.out.contains("left alone"), "{}", again.out);
        world.down(&[], 0);
        world.assert_none_but(&[&other, &editor, &unlike]);
    }
}

#[test]
fn a_deaf_stray_is_killed_with_all_that_it_started_and_told_with_its_port() {
    let port = free_port();
    let manifest =
        "services:\n  api: { command: stand-in wait }\nsweep: { patterns: ['--deaf', 'listen --port'] }\n";
    let world = World::new(manifest);
    world.up();
    let deaf = world.start("stand-in", &["wait", "--deaf"], &world.dir());
    until("it is deaf", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", deaf.pid())).expect("it lives");
        status.lines().any(|line| line.starts_with("SigIgn:") && !line.contains("0000000000000000"))
    });
    let listener = world.start("stand-in", &["listen", "--port", &port.to_string()], &world.dir());
    until("it listens", || answers(port));
    let report = sweep(&world, &["--timeout", "300ms"], 0);
    assert_eq!(fate(&report, deaf.pid()), "killed", "{report:#}");
    assert_eq!(fate(&report, listener.pid()), "ended", "{report:#}");
    assert_eq!(row(&report, listener.pid()).expect("told")["ports"], serde_json::json!([port]));
    assert_eq!((number(&report["ended"]), number(&report["forced"])), (2, 1));
    assert!(!answers(port));
    // Receipts are in the journal, as those of every other stop.
    let events = world.run(&["events", "--json"]).expect(0).out;
    for (pid, signal) in [(deaf.pid(), "SIGTERM"), (deaf.pid(), "SIGKILL"), (listener.pid(), "SIGTERM")] {
        let told = events.lines().any(|line| {
            line.contains("receipt") && line.contains(signal) && line.contains(&format!("\"pid\":{pid}"))
        });
        assert!(told, "no receipt of {signal} to {pid}");
    }
    let forced = world.start("stand-in", &["wait", "--deaf"], &world.dir());
    assert_eq!(fate(&sweep(&world, &["--force"], 0), forced.pid()), "killed");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

/// A process outside every cage with all the marks of a service.
fn marked(world: &World, service: &str, words: &[&str]) -> Started {
    let environ = std::fs::read(format!("/proc/{}/environ", world.pid(service))).expect("it is ours");
    let mut command = Command::new(world.program("stand-in"));
    command.args(words).current_dir("/").env_clear();
    for pair in environ.split(|byte| *byte == 0) {
        if let Some((name, value)) = String::from_utf8_lossy(pair).split_once('=') {
            command.env(name, value);
        }
    }
    Started::by(&command, false)
}

#[test]
fn a_mark_is_proof_once_its_service_has_ended() {
    let world =
        World::new("services:\n  api: { command: stand-in wait }\n  web: { command: stand-in wait }\n");
    world.up();
    let stray = marked(&world, "api", &["wait", "stray"]);
    let seen = sweep(&world, &[], 0);
    assert_eq!(fate(&seen, stray.pid()), "leave");
    let why = row(&seen, stray.pid()).expect("told")["evidence"].to_string();
    assert!(why.contains("the mark of api, which runs"), "{why}");
    assert!(runs(stray.pid()));
    // With its service it is ended: the mark is of that life.
    world.run(&["stop", "api"]).expect(0);
    assert!(runs(stray.pid()), "a stop of one service looks for no strays");
    assert_eq!(fate(&sweep(&world, &[], 0), stray.pid()), "ended");
    assert_eq!(world.service("web")["state"], "ready");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

/// SIGKILL to all that holds a stack.
fn kill_machinery(world: &World, services: &[&str]) {
    let keepers: Vec<i32> = services.iter().map(|service| world.keeper(service)).collect();
    let supervisor = world.supervisor();
    for pid in [supervisor].into_iter().chain(keepers) {
        kill(pid, Signal::KILL);
        until("it is gone", || !runs(pid));
    }
}

#[test]
fn of_a_stack_that_nobody_holds_all_is_left_over() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        world.await_living(4);
        let other = world.start("stand-in", &["wait", "vitest"], &world.beside("other"));
        kill_machinery(&world, &["api", "web"]);
        let living = world.living().len();
        let seen = sweep(&world, &["--dry-run"], 5);
        let to_end = list(&seen, "strays").iter().filter(|row| row["fate"] == "end").count();
        assert_eq!((to_end, world.living().len()), (4, living), "{seen:#}");
        let report = sweep(&world, &[], 0);
        assert_eq!(number(&report["ended"]), 4, "{report:#}");
        world.assert_none_but(&[&other]);
        world.run(&["sweep"]).expect(0);
    }
}

#[test]
fn what_keepers_hold_is_not_swept_while_no_supervisor_lives() {
    let world = World::new(STACK);
    world.up();
    world.await_living(4);
    let services = tracked(&world);
    kill(world.supervisor(), Signal::KILL);
    let stray = world.start("stand-in", &["wait", "vitest"], &world.dir());
    // One of them has lost its keeper as well: the next supervisor takes it over.
    kill(world.keeper("api"), Signal::KILL);
    let report = sweep(&world, &[], 0);
    assert_eq!((fate(&report, stray.pid()), number(&report["ended"])), ("ended".to_owned(), 1), "{report:#}");
    world.up();
    assert_eq!(tracked(&world), services, "they were taken over");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn it_works_with_a_manifest_that_was_broken_or_deleted() {
    let world = World::new(STACK);
    world.up();
    let manifest = world.dir().join("devstack.yaml");
    std::fs::write(&manifest, "services: [").expect("written");
    let one = world.start("stand-in", &["wait", "vitest"], &world.dir());
    let ran = world.run(&["sweep"]).expect(0);
    assert!(ran.err.contains("the last `up` says what is swept"), "{}", ran.err);
    assert!(ran.out.contains(&one.pid().to_string()) && !runs(one.pid()), "{}", ran.out);
    std::fs::remove_file(&manifest).expect("it was there");
    let two = world.start("stand-in", &["wait", "vitest"], &world.dir());
    assert_eq!(fate(&sweep(&world, &[], 0), two.pid()), "ended");
    assert!(world.ps()["supervisor"].is_i64());
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn several_at_once_and_beside_a_down_all_come_to_an_end() {
    let world = World::new(STACK);
    world.up();
    let stray = world.start("stand-in", &["wait", "vitest", "--deaf"], &world.dir());
    let all: [&[&str]; 4] = [&["sweep"], &["sweep", "--timeout", "200ms"], &["sweep"], &["down"]];
    let ran: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = all.iter().map(|args| scope.spawn(|| world.run(args))).collect();
        running.into_iter().map(|one| one.join().expect("it ends")).collect()
    });
    for one in ran {
        one.expect(0);
    }
    assert!(!runs(stray.pid()));
    world.assert_none_but(&[]);
}

/// A stray that cannot be ended: a setuid program of a stack that nobody holds.
#[test]
fn a_survivor_is_told_with_exit_code_6() {
    let Some(world) = World::with_setuid_child() else { return };
    let living = world.living();
    let (pid, _) = living.iter().find(|(_, line)| line.contains("root-helper")).expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    if !status.lines().any(|line| line.starts_with("Uid:\t0")) {
        return skip("this file system does not honour the setuid bit");
    }
    kill_machinery(&world, &["api"]);
    let report = sweep(&world, &[], 6);
    assert_eq!((report["clean"].as_bool(), fate(&report, *pid)), (Some(false), "survived".to_owned()));
    assert_eq!(number(&list(&report, "survivors")[0]["pid"]), *pid);
    let text = world.run(&["sweep"]).expect(6);
    assert!(text.err.contains("DS048") && text.err.contains(&pid.to_string()), "{}", text.err);
    kill(*pid, Signal::KILL);
    until("it is gone", || !runs(*pid));
    sweep(&world, &[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_job_is_no_stray_while_its_run_lives() {
    let world = World::new(STACK);
    world.up();
    let mut command = world.command(&["run", "--"]);
    command.arg(world.program("a-job")).args(["child", "--count", "2", "--session"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let of_job = || world.living().into_iter().filter(|(_, line)| line.contains("a-job")).map(|(pid, _)| pid);
    until("the job runs", || of_job().count() >= 3);
    let seen = sweep(&world, &["--dry-run"], 0);
    assert!(of_job().all(|pid| row(&seen, pid).is_none()), "{seen:#}");
    run.kill().expect("ours");
    run.wait().expect("ours");
    let left: Vec<i32> = of_job().collect();
    let report = sweep(&world, &[], 0);
    assert!(left.iter().all(|pid| !runs(*pid)), "{report:#}");
    assert_eq!(world.service("api")["state"], "ready");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}
