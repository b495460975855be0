//! Cgroups of all kinds: one that root hands to a plain user, processes that are put in or move out.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;

use crate::slice::{Slice, below, cgroup_of};
use crate::world::{NOBODY, World, is_root, kill, list, runs, skip, until};

fn kill_and_wait(pid: i32) {
    kill(pid, Signal::KILL);
    until("it is dead", || !runs(pid));
}

#[test]
fn a_plain_user_with_a_cgroup_of_his_own_has_the_strongest_promise() {
    let Some(slice) = Slice::new("delegated") else { return };
    slice.delegate(NOBODY);
    // All traces but the cgroup are gone from the daemon once its keeper is dead, and it has not been seen before.
    let mut world = World::plain(concat!(
        "services:\n",
        "  api:\n",
        "    command: stand-in child --count 2 --session --double-fork --env-clear --chdir --life 600\n",
        "    ready: { log: 'child [0-9]+' }\n",
        "    stop_grace_period: 1s\n",
    ));
    world.enter(slice.path());
    world.up();
    world.await_living(3);
    let leader = world.pid("api");
    assert!(cgroup_of(leader).starts_with(slice.path()), "{}", cgroup_of(leader).display());
    assert!(cgroup_of(leader).ends_with("unit-api.1"), "{}", cgroup_of(leader).display());
    let (keeper, supervisor) = (world.keeper("api"), world.supervisor());
    for pid in [supervisor, keeper, leader] {
        kill_and_wait(pid);
    }
    assert_eq!(world.living().len(), 2, "the canaries of this test: they outlive their keeper");
    let view = world.ps();
    let processes = list(&list(&view, "services")[0], "processes");
    assert_eq!(processes.len(), 2, "{view:#}");
    assert!(processes.iter().all(|one| one["found_by"] == "cgroup"), "{view:#}");
    assert_eq!(world.down(&[], 0)["clean"], true);
    world.assert_none_but(&[]);
    assert_eq!(below(slice.path()).len(), 1, "no cgroup stays behind: {:?}", below(slice.path()));
}

#[test]
fn who_is_put_into_the_cgroup_of_a_service_ends_with_it() {
    let Some(slice) = Slice::new("put") else { return };
    let mut world = World::new("services:\n  api: { command: stand-in wait }\n");
    world.enter(slice.path());
    world.up();
    let leader = world.pid("api");
    let dir = world.beside("other");
    let (canary, mut put) = (world.start("wait", &["wait"], &dir), world.start("wait", &["wait"], &dir));
    fs::write(cgroup_of(leader).join("cgroup.procs"), put.pid().to_string()).expect("root may");
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    assert!(!put.lives(), "it was in the cgroup of the service");
    world.assert_none_but(&[&canary]);
    assert_eq!(below(slice.path()).len(), 1, "no cgroup stays behind: {:?}", below(slice.path()));
}

#[test]
fn who_moves_out_of_the_cgroup_is_written_down() {
    let Some(slice) = Slice::new("out") else { return };
    let mut world = World::new("services: {}\n");
    let out = slice.path().join("cgroup.procs");
    let program = world.program("wait");
    world.write(&format!(
        "services:\n  api:\n    command: |\n      (echo 0 >{}; exec env -i setsid {} wait) &\n      exec stand-in wait\n",
        out.display(),
        program.display(),
    ));
    world.enter(slice.path());
    world.up();
    world.await_living(2);
    let leader = world.pid("api");
    let mut others = world.living().into_keys().filter(|pid| *pid != leader);
    let escaped = others.next().expect("it has moved");
    assert_eq!(cgroup_of(escaped), slice.path());
    let lives = world.stack_state().join("lives");
    until("it is recorded", || {
        let records = fs::read_dir(&lives).expect("records").flatten();
        let mut texts = records.map(|entry| fs::read_to_string(entry.path()).expect("text"));
        texts.any(|text| text.contains(&format!("\"pid\":{escaped},")))
    });
    let (keeper, supervisor) = (world.keeper("api"), world.supervisor());
    for pid in [supervisor, keeper, leader] {
        kill_and_wait(pid);
    }
    assert!(runs(escaped));
    assert_eq!(world.down(&[], 0)["clean"], true);
    world.assert_none_but(&[]);
}

#[test]
fn a_life_that_could_not_begin_leaves_no_cgroup() {
    let Some(slice) = Slice::new("begin") else { return };
    let mut world =
        World::new("services:\n  api: { command: stand-in wait }\n  b: { command: stand-in wait }\n");
    world.enter(slice.path());
    world.run(&["up", "b"]).expect(0);
    // Its record cannot be made: a directory is in the way.
    let record = world.stack_state().join("lives/api.1.jsonl");
    fs::create_dir(&record).expect("ours");
    world.run(&["up", "api"]).expect(1);
    let leaves = below(slice.path());
    assert!(leaves.iter().any(|dir| dir.ends_with("unit-b.1")), "{leaves:?}");
    assert!(!leaves.iter().any(|dir| dir.ends_with("unit-api.1")), "{leaves:?}");
    fs::remove_dir(&record).expect("ours");
    // A supervisor that was killed between the cgroup and its record: nothing knows of it.
    let stack = cgroup_of(world.pid("b")).parent().expect("it has one").to_owned();
    fs::create_dir(stack.join("unit-lost.1")).expect("root may");
    let supervisor = world.supervisor();
    world.down(&[], 0);
    until("the supervisor has ended", || !runs(supervisor));
    assert_eq!(below(slice.path()).len(), 1, "no cgroup stays behind: {:?}", below(slice.path()));
}

/// Root may hand its cgroup to nobody and mount none: everything goes on without.
#[test]
fn without_a_cgroup_the_other_layers_hold() {
    if !is_root() {
        return skip("only root can hide the tree from itself");
    }
    let world = World::new("services:\n  api: { command: stand-in child --session --life 600 }\n");
    let mut hidden = std::process::Command::new("unshare");
    let script = "umount -a -t cgroup2 && exec \"$@\"";
    hidden.args(["--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_devstack"), "up"]);
    hidden.current_dir(world.dir()).env("DEVSTACK_STATE_DIR", world.state()).stdin(Stdio::null());
    if !std::process::Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|it| it.success())
    {
        return skip("mounts cannot be hidden here");
    }
    crate::world::finish(hidden).expect(0);
    world.await_living(2);
    let (keeper, supervisor) = (world.keeper("api"), world.supervisor());
    let leader = world.pid("api");
    assert!(!cgroup_of(leader).display().to_string().contains("devstack-"), "none could be made");
    kill_and_wait(supervisor);
    assert!(runs(keeper));
    assert_eq!(world.down(&[], 0)["clean"], true);
    world.assert_none_but(&[]);
}
