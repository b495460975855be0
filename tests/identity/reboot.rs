//! Another boot of the machine: all that was recorded names nobody any more, whatever lives under the same numbers.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::borrowed::{copy, end, started};
use crate::within::namespace;
use crate::world::{World, kill, list, runs, stat};

/// From here on this namespace sees the machine as having booted anew.
struct OtherBoot;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl OtherBoot {
    fn begin(world: &World) -> Self {
        let file = world.beside("boot").join("boot_id");
        std::fs::write(&file, "0d9ad5a8-5b1c-4f1e-8f2b-7d6a9c3e1f20\n").expect("written");
        let done = Command::new("mount").args(["--bind", "--"]).arg(&file).arg(BOOT_ID).status();
        assert!(done.expect("mount runs").success());
        Self
    }
}

impl Drop for OtherBoot {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(BOOT_ID).status();
        assert!(done.is_ok_and(|status| status.success()));
    }
}

fn records(world: &World) -> usize {
    std::fs::read_dir(world.stack_state().join("lives")).map_or(0, Iterator::count)
}

/// A daemon that only the ledger (and its cgroup) knows lives on and plays an innocent with the number *and* the start
/// time that an earlier boot has recorded.
fn nothing_of_another_boot(plain: bool) {
    let world = started(plain);
    let leader = world.pid("daemon");
    let mut others = world.living();
    let machinery: Vec<i32> = ["api", "many", "daemon"].map(|service| world.keeper(service)).into();
    let daemon = others.keys().copied().find(|pid| *pid != leader && marks_of(*pid).is_empty());
    let daemon = daemon.expect("one has cleared its environment");
    others.remove(&daemon);
    kill(world.supervisor(), Signal::KILL);
    end(&others.into_keys().chain(machinery).collect());
    let before = stat(daemon).expect("it lives").start;
    let saved = world.beside("saved");
    copy(&world.state(), &saved);
    let untouched = |after: &str| {
        let now = stat(daemon).filter(|line| line.start == before && line.state != 'T');
        assert!(now.is_some() && runs(daemon), "{after}");
    };

    let other = OtherBoot::begin(&world);
    let ps = world.run(&["ps", "--json"]).expect(0).json();
    for service in list(&ps, "services") {
        assert_eq!(service["state"], "stopped", "{service:#}");
        assert!(list(service, "processes").is_empty(), "{service:#}");
    }
    world.run(&["status"]);
    untouched("ps and status");
    for down in [&[][..], &["--force"], &["daemon"]] {
        copy(&saved, &world.state());
        assert_eq!(records(&world), 3);
        let report = world.down(down, 0);
        assert_eq!(report["clean"], true, "{report:#}");
        assert_eq!(report["ended"], 0, "{report:#}");
        untouched("down");
        assert_eq!(records(&world), 0, "records of another boot are cleared away");
    }
    copy(&saved, &world.state());
    let seen = world.run(&["doctor", "--json"]).expect(5).json();
    let told = list(&seen, "findings")
        .iter()
        .map(Value::to_string)
        .find(|one| one.contains("records of lives that are over"));
    assert!(
        told.as_ref().is_some_and(|one| one.contains('3') && !one.contains("processes live")),
        "{seen:#}"
    );
    untouched("doctor");
    world.run(&["doctor", "--fix"]);
    untouched("doctor --fix");
    assert_eq!(records(&world), 0, "they are nobody's any more");
    copy(&saved, &world.state());
    let up = world.run(&["up", "--json"]).expect(0).json();
    assert!(list(&up, "services").iter().all(|one| one["outcome"] != "unchanged"), "{up:#}");
    untouched("up");
    assert_eq!(records(&world), 3);
    world.down(&[], 0);
    untouched("up and down");
    assert_eq!(world.living().len(), 1);
    drop(other);

    // The same ledger in the boot that wrote it: there the daemon is known.
    copy(&saved, &world.state());
    world.down(&[], 0);
    assert!(!runs(daemon), "the test itself proves nothing");
}

fn marks_of(pid: i32) -> String {
    let environ = std::fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).unwrap_or_default();
    String::from_utf8_lossy(&environ).split('\0').filter(|entry| entry.starts_with("DEVSTACK_")).collect()
}

#[test]
fn what_another_boot_has_recorded_is_nobody() {
    namespace("reboot::what_another_boot_has_recorded_is_nobody", nothing_of_another_boot);
}
