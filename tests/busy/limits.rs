//! What a test takes away from devstack: room in the process table, descriptors, memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Ran, World, behind, finish, until};

/// Runs a command of a stack under a limit of the kernel: `--nproc=1`.
pub(crate) fn limited(world: &World, limit: &str, args: &[&str]) -> Ran {
    // The limit stands right before the program: a user is changed before it.
    let command = world.command(args);
    let words: Vec<&str> = command.get_args().filter_map(|word| word.to_str()).collect();
    let program = env!("CARGO_BIN_EXE_devstack");
    let Some(at) = words.iter().position(|word| *word == program) else {
        return finish(behind(&["prlimit", limit], &command));
    };
    let mut outer = Command::new(command.get_program());
    outer.args(&words[..at]).args(["prlimit", limit]).args(&words[at..]);
    outer.current_dir(world.dir()).env("DEVSTACK_STATE_DIR", world.state());
    outer.stdin(std::process::Stdio::null());
    finish(outer)
}

/// A cgroup of the `pids` controller that a test made for itself; what is left in it when the test ends is killed.
pub(crate) struct Room(PathBuf);

impl Room {
    /// Makes one with room for so many processes; none where that cannot be had.
    pub(crate) fn with(most: u32) -> Option<Self> {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("test").replace("::", "-");
        let dir = Path::new("/sys/fs/cgroup/pids").join(format!("busy-{}-{name}", std::process::id()));
        fs::create_dir(&dir).ok()?;
        let room = Self(dir);
        fs::write(room.0.join("pids.max"), most.to_string()).ok()?;
        // Checked, not believed: a storm blows in it.
        (room.read("pids.max") == most.to_string()).then_some(room)
    }

    /// A command that runs in it with all it starts.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        behind(&["sh", "-c", &enter, "sh"], command)
    }

    /// Runs a command of a stack in it.
    pub(crate) fn run(&self, world: &World, args: &[&str]) -> Ran {
        finish(self.command(&world.command(args)))
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_default().trim().to_owned()
    }

    /// How many processes are in it.
    pub(crate) fn count(&self) -> u32 {
        self.read("pids.current").parse().expect("a number")
    }

    /// Waits until no process has room in it.
    pub(crate) fn until_full(&self) {
        let most: u32 = self.read("pids.max").parse().expect("a number");
        until("it is full", || self.count() >= most);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Nobody may fork any more: what is read is all there is.
        let _ = fs::write(self.0.join("pids.max"), "0");
        for _ in 0..1000 {
            let pids = self.read("cgroup.procs");
            if pids.is_empty() && fs::remove_dir(&self.0).is_ok() {
                return;
            }
            for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
                crate::world::kill(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
