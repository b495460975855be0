//! Engines that cannot be had: not installed, not permitted, not running, or gone in the middle.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cases::{idle, lead, told};
use crate::engine::daemon;
use crate::stack::Stack;
use crate::world::{Ran, World, finish, kill, runs, until};

#[test]
fn an_engine_that_is_not_installed_is_told_with_how_to_get_one() {
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    let mut command = stack.command(&["up"]);
    command.env("PATH", "/no/such/directory");
    let missing = format!("{} is not installed", stack.engine.name());
    let words = ["error[DS046]: db needs a container engine", &missing, "apt install docker.io"];
    let ran = told(finish(command), 69, &words);
    assert!(!ran.err.contains("not clean"), "{}", ran.err);
    stack.world.down(&[], 0);
}

#[test]
fn who_may_not_ask_the_engine_is_told_so() {
    let Some(engine) = daemon() else { return };
    let world = World::plain(&idle(&[]));
    let run = |args: &[&str]| -> Ran {
        let mut command = world.command(args);
        lead(engine, &mut command);
        finish(command)
    };
    let words =
        ["error[DS047]: db needs a container engine, and this user may not use it", "permission denied"];
    told(run(&["up"]), 77, &words);
    told(run(&["down"]), 0, &["0 left"]);
}

#[test]
fn an_engine_elsewhere_that_never_answered_is_not_held_against_a_later_stop() {
    if daemon().is_none() {
        return;
    }
    let Some(stack) = Stack::new(&idle(&[])) else { return };
    let mut command = stack.command(&["up"]);
    command.env("DOCKER_HOST", "unix:///no/such/socket");
    told(
        finish(command),
        69,
        &["error[DS046]: db needs a container engine, and none answers", "systemctl start"],
    );
    stack.up();
    told(stack.run(&["down", "--force"]), 0, &["0 left"]);
}

#[test]
fn a_task_runs_again_where_an_engine_has_appeared_and_the_real_one_takes_the_place_of_the_fallback() {
    let manifest = "
services:
  db:
    image: devstack-test/idle
    network: none
    fallback: exec sleep 600
  migrate: { type: task, command: 'echo run >>runs', depends_on: [db] }
  other: { type: task, command: 'echo run >>others' }
";
    let Some(stack) = Stack::new(manifest) else { return };
    if stack.engine.is_podman() {
        // It has no daemon that could be away.
        return;
    }
    let lines = |file: &str| {
        let text = std::fs::read_to_string(stack.world.dir().join(file)).unwrap_or_default();
        text.lines().count()
    };
    let away = |args: &[&str]| {
        let mut command = stack.command(args);
        command.env("DOCKER_HOST", "unix:///no/such/socket");
        finish(command)
    };
    told(away(&["up"]), 0, &["db runs as its fallback"]);
    told(away(&["up"]), 0, &["db runs as its fallback"]);
    assert_eq!((lines("runs"), lines("others")), (1, 1), "nothing has changed");
    told(stack.run(&["up"]), 0, &["2 recreated", "1 unchanged"]);
    assert_eq!((lines("runs"), lines("others")), (2, 1), "the new database has no schema");
    // An engine that is away for a moment changes nothing: the container runs.
    away(&["up"]).expect(0);
    stack.up();
    assert_eq!((lines("runs"), lines("others")), (2, 1));
    stack.down();
}

/// An engine that may be ended in the middle: another one than that of all other tests.
struct Mortal {
    dir: PathBuf,
    host: String,
    config: String,
}

impl Mortal {
    fn start() -> Option<Self> {
        daemon()?;
        let dir = PathBuf::from(format!("/tmp/devstack-engine-mortal-{}", std::process::id()));
        let me = std::process::id().to_string();
        script(&dir, &["start", "--no-install", "--for", &me]);
        let told = script(&dir, &["images", "idle"]);
        let value = |name: &str| {
            let found =
                told.split_ascii_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix("="));
            found.expect("it is told").to_owned()
        };
        Some(Self { host: value("DOCKER_HOST"), config: value("DOCKER_CONFIG"), dir })
    }

    fn run(&self, world: &World, args: &[&str]) -> Ran {
        finish(self.command(world, args))
    }

    fn command(&self, world: &World, args: &[&str]) -> Command {
        let mut command = world.command(args);
        command.env("DOCKER_HOST", &self.host).env("DOCKER_CONFIG", &self.config);
        command
    }

    /// Ends the daemon; its containers end with it.
    fn end(&self) {
        let number = std::fs::read_to_string(self.dir.join("docker.pid")).expect("it runs");
        let daemon: i32 = number.trim().parse().expect("a number");
        kill(daemon, rustix::process::Signal::TERM);
        until("it has ended", || !runs(daemon));
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        script(&self.dir, &["stop"]);
    }
}

fn script(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/engine"));
    command.args(args).env("DEVSTACK_ENGINE_DIR", dir).stdin(Stdio::null());
    finish(command).expect(0).out
}

#[test]
fn an_engine_that_goes_away_in_the_middle_is_told_as_that() {
    let Some(mortal) = Mortal::start() else { return };
    // While it runs.
    let runs_on = World::new(&idle(&[]));
    mortal.run(&runs_on, &["up"]).expect(0);
    // While somebody waits for it.
    let waits = World::new(&idle(&["ready: { log: never }", "start_timeout: 10m"]));
    let waiting = std::thread::scope(|scope| {
        let up = scope.spawn(|| mortal.run(&waits, &["up"]));
        until("its container runs", || {
            let ps = waits.run(&["ps", "--json"]);
            ps.status.success() && ps.json()["services"][0]["container"]["step"] == "running"
        });
        mortal.end();
        up.join().expect("it ends")
    });
    // A daemon that ends in order ends its containers first: either is true, and neither may hang.
    let all = format!("{}{}", waiting.out, waiting.err);
    assert!(matches!(waiting.status.code(), Some(1 | 69)), "{all}");
    assert!(all.contains("db ended before it was ready") || all.contains("none answers"), "{all}");
    until("what ran has failed", || runs_on.service("db")["state"] == "failed");
    // That nothing is left cannot be proven without it.
    told(
        mortal.run(&runs_on, &["down"]),
        6,
        &["error[DS048]", "nothing proves that its containers are gone"],
    );
    let me = std::process::id().to_string();
    script(&mortal.dir, &["start", "--no-install", "--for", &me]);
    for world in [&runs_on, &waits] {
        told(mortal.run(world, &["down"]), 0, &["0 left"]);
    }
}
