//! Limits that the kernel holds: the cgroups are there before the service runs, do what they should, and go with it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::world::{World, command_line, is_root, kill, number, runs, skip, until};

/// Where a process is in the tree of a controller, if that has a tree of its own or v2 has it.
fn cgroup_of(pid: i32, controller: &str) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let line = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next()?, fields.next()?);
        names.split(',').any(|name| name == controller).then(|| path.to_owned())
    });
    let dir = Path::new("/sys/fs/cgroup").join(controller);
    line.map(|path| dir.join(path.trim_start_matches('/'))).filter(|dir| dir.is_dir())
}

/// Whether this machine has trees of single controllers for root.
fn has_trees() -> bool {
    let has =
        |controller| cgroup_of(i32::try_from(std::process::id()).expect("a number"), controller).is_some();
    if is_root() && has("memory") && has("cpu") && has("pids") {
        return true;
    }
    skip("memory, cpu and pids are no cgroup trees of their own here, or this is not root");
    false
}

fn note(world: &World, service: &str) -> String {
    world.service(service)["note"].as_str().unwrap_or_default().to_owned()
}

fn read(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).unwrap_or_default().trim().to_owned()
}

/// A pipe through which 100 MB go into the memory of one program, and no more.
const LEAK: &str = "head -c 100000000 /dev/zero | tail > /dev/null";

#[test]
fn a_leak_is_ended_by_the_kernel_and_told_as_that() {
    if !has_trees() {
        return;
    }
    let world = World::new(&format!(
        "services:\n  leak: {{ command: '{LEAK}', limits: {{ memory: 32M }} }}\n  good: {{ command: stand-in crowd --count 2 }}\n"
    ));
    let _ = world.run(&["up", "--keep"]);
    until("the leak was killed", || world.service("leak")["state"] == "failed");
    assert_eq!(note(&world, "leak"), "killed by the kernel: out of memory (limit 32.0M)");
    let events = world.run(&["events", "--service", "leak"]).expect(0).out;
    assert!(events.contains("killed by the kernel: out of memory (limit 32.0M)"), "{events}");
    assert_eq!(world.living().len(), 2, "its neighbour lives");
    world.down(&[], 0);
}

#[test]
fn of_a_stack_the_largest_is_ended_and_the_limit_is_called_the_stacks() {
    if !has_trees() {
        return;
    }
    let world = World::new(&format!(
        "limits: {{ memory: 48M }}\nservices:\n  leak: {{ command: '{LEAK}' }}\n  good: {{ command: stand-in crowd --count 2 }}\n"
    ));
    let _ = world.run(&["up", "--keep"]);
    until("the leak was killed", || world.service("leak")["state"] == "failed");
    assert_eq!(note(&world, "leak"), "killed by the kernel: out of memory (the stack's limit 48.0M)");
    assert_eq!(world.living().len(), 2, "its neighbour lives");
    world.down(&[], 0);
}

#[test]
fn a_life_is_born_within_its_limits_which_change_and_go_with_it() {
    if !has_trees() {
        return;
    }
    let manifest = |limits: &str| {
        format!(
            "limits: {{ cpus: 2, pids: 100 }}\nservices:\n  a: {{ command: stand-in crowd --count 3, limits: {limits} }}\n"
        )
    };
    let world = World::new(&manifest("{ memory: 64M, cpus: 0.5, pids: 8 }"));
    world.up();
    let leader = world.pid("a");
    let dir = |controller| cgroup_of(leader, controller).expect("it is in one");
    let (memory, cpu, pids) = (dir("memory"), dir("cpu"), dir("pids"));
    assert_eq!(read(&memory, "memory.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(read(&cpu, "cpu.cfs_quota_us"), "50000");
    assert_eq!(read(&pids, "pids.max"), "520");
    let above = |dir: &Path| dir.parent().expect("the stack's").to_owned();
    assert_eq!(read(&above(&cpu), "cpu.cfs_quota_us"), "200000");
    assert_eq!(read(&above(&pids), "pids.max"), "1600");
    // All of its processes, and nothing of devstack.
    until("all are born in it", || read(&pids, "cgroup.procs").lines().count() == 3);
    assert!(!read(&pids, "cgroup.procs").lines().any(|pid| pid == world.keeper("a").to_string()));

    world.write(&manifest("{ memory: 96M, cpus: 1, pids: 8 }"));
    world.up();
    assert_eq!(world.pid("a"), leader, "no new life for another limit");
    until("the new limits hold", || read(&memory, "memory.limit_in_bytes") == (96 << 20).to_string());
    until("the new limits hold", || read(&cpu, "cpu.cfs_quota_us") == "100000");

    // Who takes the stack over knows them too.
    let supervisor = world.supervisor();
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    world.down(&[], 0);
    for dir in [&memory, &cpu, &pids] {
        assert!(!above(dir).exists(), "{} is left", dir.display());
    }
}

#[test]
fn open_files_are_limited_for_everybody() {
    let names: Vec<String> = (0..40).map(|n| format!("f{n}")).collect();
    let manifest = format!(
        "services:\n  leak:\n    command: 'echo \"limit $(ulimit -Hn)\"; exec tail -f {}'\n    limits: {{ open_files: 24 }}\n",
        names.join(" ")
    );
    for world in [World::new(&manifest), World::plain(&manifest)] {
        for name in &names {
            fs::write(world.dir().join(name), "").expect("written");
        }
        world.up();
        let log = || String::from_utf8_lossy(&world.log("leak")).into_owned();
        until("it may open no more", || log().contains("Too many open files"));
        assert!(log().contains("limit 24"), "{}", log());
        let leader = number(&world.service("leak")["pid"]);
        assert!(command_line(leader).contains("tail"), "only the service is limited");
        assert!(fs::read_dir(format!("/proc/{leader}/fd")).map_or(0, Iterator::count) <= 24 + 2);
        world.down(&[], 0);
    }
}
