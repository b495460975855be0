//! How devstack is killed here, and what the judges look at.

use rustix::process::Signal;

use crate::world::{World, command_line, kill, number, numbers, runs, stat, until};

/// SIGKILL, and the process is dead.
pub(crate) fn kill_and_wait(pid: i32) {
    kill(pid, Signal::KILL);
    until("it is dead", || !runs(pid));
}

/// The supervisor and the keepers of these services at once.
pub(crate) fn kill_all(world: &World, services: &[&str]) {
    let keepers: Vec<i32> = services.iter().map(|service| world.keeper(service)).collect();
    let supervisor = world.supervisor();
    // Frozen first: none sees the others die.
    let all = || keepers.iter().copied().chain([supervisor]);
    all().for_each(|pid| kill(pid, Signal::STOP));
    all().for_each(kill_and_wait);
}

/// Every keeper and supervisor of this stack, by its state directory or as a child of those.
#[expect(dead_code, reason = "used by the kill points")]
pub(crate) fn machinery(world: &World) -> Vec<i32> {
    let state = world.state().display().to_string();
    let of_devstack = |pid: &i32| command_line(*pid).starts_with("devstack __");
    let all: Vec<i32> = numbers().into_iter().filter(of_devstack).collect();
    let supervisors: Vec<i32> =
        all.iter().copied().filter(|pid| command_line(*pid).contains(&state)).collect();
    let child = |pid: &i32| stat(*pid).is_some_and(|stat| supervisors.contains(&stat.parent));
    let keepers = all.iter().copied().filter(child);
    keepers.chain(supervisors.iter().copied()).collect()
}

/// How a service's last life ended, as `ps` tells it.
pub(crate) fn exit_of(world: &World, service: &str) -> serde_json::Value {
    world.service(service)["exit"].clone()
}

/// The leader of a service with its start: the same life has the same.
pub(crate) fn leader(world: &World, service: &str) -> (i32, u64) {
    let pid = number(&world.service(service)["pid"]);
    (pid, stat(pid).expect("it lives").start)
}

/// About how much a service has written into its log, while it goes on: files are renamed meanwhile.
pub(crate) fn log_size(world: &World, service: &str) -> u64 {
    let name = format!("{service}.log");
    let entries = std::fs::read_dir(world.stack_state().join("logs")).into_iter().flatten().flatten();
    let of_it = entries.filter(|entry| {
        let path = entry.path();
        let is_log = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name));
        is_log && path.extension().is_some_and(|extension| extension != "times")
    });
    of_it.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}
