//! Signals to devstack itself: to the supervisor, to a command, and from a terminal that closes.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::world::{DEVSTACK, Running, World, alive, await_that, signal};

const PAIR: &str = "
services:
  first: { command: exec sleep 600 }
  second: { command: exec sleep 600 }
";

const SLOW: &str = "
services:
  slow: { command: touch slow.begun; exec sleep 600, ready: { log: never } }
";

const DEAF: &str = "
services:
  deaf: { command: 'trap \"\" TERM; echo says something; while :; do sleep 0.05; done' }
";

/// A pseudo-terminal, and devstack as the leader of a session on it.
struct Terminal {
    master: std::fs::File,
    running: Running,
}

impl Terminal {
    fn run(world: &World, args: &[&str]) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let slave = std::fs::File::options()
            .read(true)
            .write(true)
            .open(std::path::Path::new(&*name.to_string_lossy()))
            .expect("its other end");
        let ends = || Stdio::from(OwnedFd::from(slave.try_clone().expect("one more")));
        let mut command = Command::new("setsid");
        command.args(["--ctty", DEVSTACK]).args(args).current_dir(&world.dir);
        world.environment(&mut command);
        command.stdin(ends()).stdout(ends()).stderr(ends());
        Self { master: master.into(), running: Running::on_terminal(command) }
    }

    fn await_text(&mut self, text: &str) {
        let (mut all, mut part) = (String::new(), [0; 4096]);
        while !all.contains(text) {
            let size = self.master.read(&mut part).expect("it says something");
            all.push_str(&String::from_utf8_lossy(&part[..size]));
        }
    }

    fn press(&mut self, key: u8) {
        self.master.write_all(&[key]).expect("the terminal is there");
    }

    /// What is written on must be read, or the writer waits.
    fn drain(&self) {
        let mut master = self.master.try_clone().expect("one more");
        std::thread::spawn(move || while master.read(&mut [0; 4096]).is_ok_and(|size| size > 0) {});
    }
}

fn log(world: &World) -> String {
    let stacks = std::fs::read_dir(world.state_dir()).expect("the state").flatten();
    let logs = stacks.map(|stack| stack.path().join("supervisor.log"));
    logs.filter_map(|log| std::fs::read_to_string(log).ok()).collect()
}

#[test]
fn each_signal_ends_an_up_with_its_own_code() {
    for (with, code) in [(Signal::QUIT, 131), (Signal::TERM, 143), (Signal::INT, 130)] {
        let world = World::new(SLOW);
        let up = world.spawn(&["up"]);
        await_that("it to have begun", || world.path("slow.begun").exists());
        up.signal(with);
        up.finish().expect(code, "up");
        world.await_nothing();
    }
}

#[test]
fn a_hangup_ends_the_command_and_not_what_it_asked_for() {
    let world = World::new(SLOW);
    let up = world.spawn(&["up"]);
    await_that("it to have begun", || world.path("slow.begun").exists());
    up.signal(Signal::HUP);
    assert_eq!(up.finish().code, None, "ended by the signal: 129 for a shell");
    assert_eq!(world.state("slow"), "starting");
    let again = world.spawn(&["up", "--attach"]);
    await_that("it to have asked", || world.ok(&["events"]).stdout.matches("up asked for").count() == 2);
    // Its turn has not come, so there is nothing of its own to take back.
    again.signal(Signal::HUP);
    again.finish().expect(129, "up --attach");
    assert_eq!(world.state("slow"), "starting");
}

#[test]
fn a_down_outlives_its_terminal() {
    let world = World::new(DEAF);
    world.ok(&["up"]);
    let pid = world.pid("deaf");
    let down = world.spawn(&["down", "--timeout", "500ms"]);
    await_that("the stop to have begun", || world.state("deaf") == "stopping");
    down.signal(Signal::HUP);
    down.finish().expect(0, "down");
    assert!(!alive(pid));
    world.await_nothing();
}

#[test]
fn looking_ends_by_the_signal() {
    let world = World::new(PAIR);
    world.ok(&["up"]);
    let pid = world.pid("first");
    for verb in [&["logs", "-f"][..], &["events", "-f"], &["wait", "--for", "stopped"]] {
        for with in [Signal::INT, Signal::TERM, Signal::HUP] {
            let look = world.spawn(verb);
            look.signal(with);
            let out = look.finish();
            assert!(matches!(out.code, None | Some(130)), "{verb:?} {with:?}: {out:?}");
        }
    }
    assert!(alive(pid), "who only looks ends nothing");
}

#[test]
fn a_terminal_that_closes_ends_an_attached_stack_only() {
    let world = World::new(DEAF);
    let mut terminal = Terminal::run(&world, &["up", "--attach"]);
    terminal.await_text("says something");
    let Terminal { master, running } = terminal;
    drop(master);
    running.finish();
    world.await_nothing();

    let mut terminal = Terminal::run(&world, &["up"]);
    terminal.await_text("ready");
    let Terminal { master, running } = terminal;
    drop(master);
    running.finish();
    assert_eq!(world.state("deaf"), "ready");
}

#[test]
fn ctrl_c_on_a_terminal_ends_an_attached_stack_and_a_second_one_forces_it() {
    let world = World::new(DEAF);
    let mut terminal = Terminal::run(&world, &["up", "--attach"]);
    terminal.await_text("says something");
    let pid = world.pid("deaf");
    terminal.drain();
    terminal.press(3);
    await_that("the stop to have begun", || world.state("deaf") == "stopping");
    assert!(alive(pid), "it has ten seconds");
    terminal.press(3);
    let out = terminal.running.finish();
    assert!(out.took.as_secs() < 9, "its grace was not waited for: {:?}", out.took);
    assert_eq!(out.code, Some(0), "it ended cleanly");
    assert!(!alive(pid));
    world.await_nothing();
}

#[test]
fn sigusr1_tells_the_state_into_the_log() {
    let world = World::new(PAIR);
    world.ok(&["up"]);
    let (supervisor, pid) = (world.supervisors()[0], world.pid("second"));
    signal(supervisor, Signal::USR1);
    await_that("the state to be told", || {
        log(&world).contains(&format!("service=second state=\"ready\" pid={pid}"))
    });
    assert_eq!(world.supervisors(), [supervisor]);
    assert_eq!(world.pid("second"), pid);
}

#[test]
fn sigusr2_reads_the_manifest_anew() {
    let world = World::new(PAIR);
    world.ok(&["up"]);
    let (supervisor, first, second) = (world.supervisors()[0], world.pid("first"), world.pid("second"));
    // Broken: told, and nothing changes.
    world.manifest("services: [");
    signal(supervisor, Signal::USR2);
    await_that("the mistake to be told", || log(&world).contains("error[DS"));
    assert!(alive(first) && alive(second));
    // One is changed, one is new: what runs now is as the manifest says.
    world.manifest(&format!(
        "{}  third: {{ command: exec sleep 600 }}\n",
        PAIR.replacen("sleep 600", "sleep 601", 1)
    ));
    signal(supervisor, Signal::USR2);
    await_that("the changed one to be another", || {
        world.state("first") == "ready" && world.service("first")["pid"] != first
    });
    assert_eq!(world.pid("second"), second, "it was not changed");
    assert_eq!(world.state("third"), "stopped", "it did not run");
    world.ok(&["events"]).says(&["by devstack reload ("]);
    assert_eq!(world.supervisors(), [supervisor]);
}

#[test]
fn sigquit_to_the_supervisor_ends_the_stack_by_force() {
    let world = World::new(DEAF);
    world.ok(&["up"]);
    let begun = std::time::Instant::now();
    signal(world.supervisors()[0], Signal::QUIT);
    world.await_nothing();
    assert!(begun.elapsed().as_secs() < 9, "its grace of 10 s was not waited for");
    world.ok(&["events"]).says(&["by SIGQUIT to the supervisor"]);
}
