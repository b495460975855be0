//! How devstack is killed here, and what the judges look at.

use std::fs;

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

/// Every keeper and supervisor of this stack: they hold files of its state.
pub(crate) fn machinery(world: &World) -> Vec<i32> {
    let state = world.state();
    let holds = |pid: &i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.starts_with(&state))
    };
    let of_devstack = |pid: &i32| command_line(*pid).starts_with("devstack __");
    numbers().into_iter().filter(|pid| of_devstack(pid) && runs(*pid) && holds(pid)).collect()
}

/// No service runs twice: of each, known by a word of its command line, at most one process is not the child of another.
pub(crate) fn no_doubles(world: &World, services: &[&str]) {
    let living = world.living();
    for word in services {
        let of_it = |pid: &i32| living.get(pid).is_some_and(|line| format!("{line} ").contains(word));
        // One that has just been forked has the command line of its parent until it executes its own program.
        let first = |pid: &&i32| !stat(**pid).is_none_or(|stat| of_it(&stat.parent));
        let leaders = living.keys().filter(|pid| of_it(pid)).filter(first).count();
        assert!(leaders <= 1, "{word} runs twice: {living:?}");
    }
}

/// Lines that a talker said in each of its lives, one after the other: in the log is each line of each life, in order, and
/// none that it knows of is missing.
pub(crate) fn spoken(world: &World, service: &str, copy: &str) -> usize {
    let copied = fs::read_to_string(world.dir().join(copy)).unwrap_or_default();
    let log = if copied.is_empty() { Vec::new() } else { world.log(service) };
    let log = String::from_utf8(log).expect("text");
    let (copied, said) = (lives(&copied), lives(&log));
    assert!(said.len() >= copied.len(), "a life is missing: {said:?}, but it said {copied:?}");
    // Killed between its first line and the copy of it, it has left no trace in the copy.
    let mut copied = copied.into_iter().peekable();
    for count in &said {
        match copied.next_if(|copied| (*copied..=copied + 1).contains(count)) {
            Some(_) => {}
            None => {
                assert_eq!(*count, 1, "{service} said {count} lines, in its copy are {:?}", copied.peek());
            }
        }
    }
    assert_eq!(copied.next(), None, "lines are missing in the log of {service}: {said:?}");
    said.iter().sum()
}

/// How many lines each life said; each begins with `line 1`.
fn lives(text: &str) -> Vec<usize> {
    let mut lives = Vec::new();
    let mut expected = 0;
    for line in text.lines() {
        let number: usize =
            line.strip_prefix("line ").and_then(|digits| digits.parse().ok()).expect("a line of it");
        if number == 1 {
            lives.push(0);
            expected = 0;
        }
        expected += 1;
        assert_eq!(number, expected, "a line is lost or there twice");
        *lives.last_mut().expect("it begins with the first line") = number;
    }
    lives
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
    let entries = fs::read_dir(world.stack_state().join("logs")).into_iter().flatten().flatten();
    let of_it = entries.filter(|entry| {
        let path = entry.path();
        let is_log = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name));
        is_log && path.extension().is_some_and(|extension| extension != "times")
    });
    of_it.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}
