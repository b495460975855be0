//! A mount namespace of a test's own: nobody else sees what is mounted, filled or made read-only in it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::world::{self, Ran, World, command_line, is_root, runs, skip, until};

/// A world whose commands run in a namespace of their own. Paths in it are looked at through [`Room::inside`].
pub(crate) struct Room {
    pub(crate) world: World,
    holder: Child,
}

impl Room {
    /// None, said loudly, where no namespace can be had.
    pub(crate) fn new(manifest: &str) -> Option<Self> {
        if !is_root() {
            skip("only root can mount");
            return None;
        }
        let world = World::new(manifest);
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "--propagation", "private", "sleep", "900"]).stdin(Stdio::null());
        let mut holder = holder.spawn().expect("unshare runs");
        let pid = i32::try_from(holder.id()).expect("a number");
        until("the room is there", || command_line(pid).starts_with("sleep") || !runs(pid));
        if holder.try_wait().expect("ours").is_some() {
            skip("no mount namespace can be made here");
            return None;
        }
        Some(Self { world, holder })
    }

    /// Runs a shell command in the room.
    pub(crate) fn shell(&self, text: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-ec", text]).current_dir("/");
        self.within(&shell).expect(0);
    }

    /// Runs devstack in the room.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.within(&self.world.command(args))
    }

    pub(crate) fn json(&self, args: &[&str], code: i32) -> Value {
        self.run(args).expect(code).json()
    }

    pub(crate) fn pid(&self, service: &str) -> i32 {
        let view = self.json(&["ps", "--json"], 0);
        let mut services = world::list(&view, "services").iter();
        world::number(&services.find(|one| one["name"] == service).expect("it is there")["pid"])
    }

    /// A path of the room as this test can read it.
    pub(crate) fn inside(&self, path: &std::path::Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), path.display()))
    }

    /// The directory of the stack's state, as this test can read it.
    pub(crate) fn stack_state(&self) -> PathBuf {
        let dirs = fs::read_dir(self.inside(&self.world.state())).expect("state").flatten();
        let mut dirs = dirs.map(|entry| entry.path());
        dirs.find(|path| path.join("stack.json").exists()).expect("the stack was used")
    }

    fn within(&self, command: &Command) -> Ran {
        let (target, dir) =
            (format!("--target={}", self.holder.id()), command.get_current_dir().expect("it is set"));
        let dir = format!("--wdns={}", dir.display());
        let mut outer = world::behind(&["nsenter", &target, "--mount", &dir, "--"], command);
        // It is entered inside: here it may not be reached.
        outer.current_dir("/");
        world::finish(outer)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.within(&self.world.command(&["down", "--force"]));
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
