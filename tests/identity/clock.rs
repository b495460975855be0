//! Clocks that lie: a wall clock that is set while a stack runs, and commands in another time namespace, to which the
//! kernel shows every start time shifted. Nothing is decided by the one, and nobody is mistaken by the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{Ran, World, behind, finish, is_root, kill, list, runs, skip, stat, until};

const STACK: &str = concat!(
    "services:\n",
    "  api: { command: stand-in wait, restart: on-failure }\n",
    "  deaf: { command: stand-in deaf, stop_grace_period: 1s }\n",
    "  daemon:\n",
    "    command: stand-in child --session --double-fork --env-clear --chdir --close --life 600\n",
    "    ready: { log: 'child [0-9]+' }\n",
);

/// Processes of [`STACK`] when all of it runs.
const COUNT: usize = 1 + 1 + 2;

const YEARS: i64 = 10 * 365 * 86_400;

/// A wall clock that is what a file says it is off by; the kernel's own cannot be set for one process alone.
const SHIM: &str = r"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, id, now);
    if (result || id != CLOCK_REALTIME) return result;
    char text[32] = {0};
    int file = open(WALL, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atoll(text);
    close(file);
    return 0;
}
";

struct Wall<'a> {
    world: &'a World,
    shim: PathBuf,
    file: PathBuf,
    seconds: i64,
}

impl<'a> Wall<'a> {
    fn of(world: &'a World) -> Option<Self> {
        let dir = world.beside("wall");
        let (source, shim, file) = (dir.join("wall.c"), dir.join("wall.so"), dir.join("seconds"));
        fs::write(&source, SHIM).expect("written");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"])
            .arg(&shim)
            .arg(format!("-DWALL=\"{}\"", file.display()))
            .arg(&source);
        let built = cc.status().is_ok_and(|status| status.success());
        let wall = built.then_some(Self { world, shim, file, seconds: 0 });
        wall.inspect(|wall| fs::write(&wall.file, "0").expect("written"))
    }

    fn set(&mut self, seconds: i64) {
        self.seconds = seconds;
        let new = self.file.with_extension("new");
        fs::write(&new, seconds.to_string()).expect("written");
        fs::rename(&new, &self.file).expect("renamed");
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.world.command(args);
        command.env("LD_PRELOAD", &self.shim);
        finish(command)
    }

    /// How long ago a service was started, by this clock.
    fn age(&self, service: &str) -> Duration {
        let ps = self.run(&["ps", "--json"]).expect(0).json();
        let one = list(&ps, "services").iter().find(|one| one["name"] == service).expect("listed").clone();
        let started: Timestamp = one["started_at"].as_str().expect("a time").parse().expect("a time");
        let now = Timestamp::now().as_second() + self.seconds;
        Duration::from_secs(u64::try_from(now - started.as_second()).expect("not in the future"))
    }
}

fn pids(world: &World) -> Vec<i32> {
    ["api", "deaf", "daemon"].map(|service| world.pid(service)).into()
}

fn a_clock_that_is_set(world: &World) {
    let Some(mut wall) = Wall::of(world) else { return skip("there is no C compiler for a wrong clock") };
    wall.run(&["up"]).expect(0);
    world.await_living(COUNT);
    let before = pids(world);
    let maps = fs::read_to_string(Path::new("/proc").join(world.supervisor().to_string()).join("maps"));
    assert!(maps.expect("maps").contains("wall.so"), "the supervisor has the right clock");
    for seconds in [YEARS, -YEARS, 0, -3600, 3600] {
        wall.set(seconds);
        assert!(wall.age("api") < Duration::from_secs(600), "{seconds}: {:?}", wall.age("api"));
        let up = wall.run(&["up", "--json"]).expect(0).json();
        assert!(list(&up, "services").iter().all(|one| one["outcome"] == "unchanged"), "{seconds}: {up:#}");
        assert_eq!(pids(world), before, "{seconds}");
    }
    // A restart by policy, in another year than the start.
    wall.set(-YEARS);
    kill(before[0], Signal::KILL);
    until("it is started anew", || {
        let api = world.service("api");
        api["state"] == "ready" && api["pid"] != before[0]
    });
    // The supervisor is killed: first only the ledger answers, then another one that takes over.
    wall.set(YEARS);
    let before = pids(world);
    kill(world.supervisor(), Signal::KILL);
    assert!(wall.age("deaf") < Duration::from_secs(600), "{:?}", wall.age("deaf"));
    wall.run(&["up"]).expect(0);
    assert_eq!(pids(world), before, "taken over");
    assert!(wall.age("deaf") < Duration::from_secs(600), "{:?}", wall.age("deaf"));
    wall.set(-YEARS);
    let report = wall.run(&["down", "--json"]).expect(0).json();
    assert_eq!(report["clean"], Value::Bool(true), "{report:#}");
    world.assert_none_but(&[]);
}

#[test]
fn a_wall_clock_that_is_set_decides_nothing() {
    a_clock_that_is_set(&World::new(STACK));
    if is_root() {
        a_clock_that_is_set(&World::plain(STACK));
    }
}

/// The same command in a time namespace of its own.
fn elsewhere(world: &World, clocks: [&str; 2], args: &[&str]) -> Ran {
    let words = ["unshare", "--time", "--boottime", clocks[0], "--monotonic", clocks[1], "--"];
    finish(behind(&words, &world.command(args)))
}

const FAR: [&str; 2] = ["8640000", "5000"];

fn from_another_time(plain: bool) {
    let start = || {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        world.await_living(COUNT);
        world
    };
    // Nothing of devstack lives: all is in what the command itself can recognise.
    let world = start();
    let before = pids(&world);
    await_recorded(&world);
    let machinery: Vec<i32> = ["api", "deaf", "daemon"].map(|service| world.keeper(service)).into();
    kill(world.supervisor(), Signal::KILL);
    for keeper in machinery {
        kill(keeper, Signal::KILL);
    }
    let ps = elsewhere(&world, FAR, &["ps", "--json"]).expect(0).json();
    let seen: Vec<Value> = list(&ps, "services").iter().map(|one| one["pid"].clone()).collect();
    assert_eq!(seen, before.iter().map(|pid| Value::from(*pid)).collect::<Vec<_>>(), "{ps:#}");
    // Where the shift cannot be taken off exactly, nothing is told and nothing is touched.
    let refused = elsewhere(&world, ["-1", "0"], &["down", "--json"]);
    assert!(refused.err.contains("time namespace"), "{}", refused.err);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.err);
    assert!(before.iter().all(|pid| runs(*pid)));
    // A supervisor that was started elsewhere takes over.
    elsewhere(&world, FAR, &["up"]).expect(0);
    assert_eq!(pids(&world), before, "taken over");
    let start_of = |pid| stat(pid).expect("it lives").start;
    assert_eq!(world.service("api")["state"], "ready");
    assert!(start_of(before[0]) < start_of(world.supervisor()));
    kill(world.supervisor(), Signal::KILL);
    let report = elsewhere(&world, ["86400", "0"], &["down", "--json"]).expect(0).json();
    assert_eq!(report["clean"], Value::Bool(true), "{report:#}");
    world.assert_none_but(&[]);
    // With a supervisor that lives here.
    let world = start();
    let report = elsewhere(&world, FAR, &["down", "--json"]).expect(0).json();
    assert_eq!(report["clean"], Value::Bool(true), "{report:#}");
    world.assert_none_but(&[]);
    // A stack that was started there is ended here.
    let world = start_elsewhere(plain);
    assert_eq!(world.down(&[], 0)["clean"], Value::Bool(true));
    world.assert_none_but(&[]);
}

/// Without a cgroup, all that tells whose the daemon is, once its keeper is killed, is what the keeper has written down.
fn await_recorded(world: &World) {
    until("all members are recorded", || {
        let records = fs::read_dir(world.stack_state().join("lives")).expect("records").flatten();
        let text: String =
            records.map(|entry| fs::read_to_string(entry.path()).unwrap_or_default()).collect();
        let is_known = |pid: &i32| text.contains(&format!("\"pid\":{pid},"));
        !text.contains("\"cgroup\":null") || world.living().keys().all(is_known)
    });
}

fn start_elsewhere(plain: bool) -> World {
    let world = if plain { World::plain(STACK) } else { World::new(STACK) };
    elsewhere(&world, FAR, &["up"]).expect(0);
    world.await_living(COUNT);
    let supervisor = world.supervisor();
    kill(supervisor, Signal::KILL);
    until("it has ended", || !runs(supervisor));
    world
}

#[test]
fn another_time_namespace_mistakes_nobody() {
    let probe = Command::new("unshare").args(["--time", "--boottime", "5", "--", "true"]).output();
    if !is_root() || !probe.is_ok_and(|ran| ran.status.success()) {
        return skip("no time namespace can be made here");
    }
    from_another_time(false);
    from_another_time(true);
}
