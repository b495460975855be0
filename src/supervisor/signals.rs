//! Signals to the supervisor beside those that end it: its state into its log, the manifest read anew.

use std::io;
use std::os::fd::AsFd as _;
use std::process::Stdio;

use super::launch::forget_marks;
use super::performer::Performer;
use crate::domain::{Pid, StackView};
use crate::sys::{self, proc};

/// What the program is called with to reload a stack's manifest, before the manifest's path.
pub const RELOAD: &str = "__reload";

/// Tells the state of the stack, a line for each unit.
pub(super) fn tell(view: &StackView) {
    tracing::info!(stack = %view.stack, dir = %view.dir, services = view.services.len(), "SIGUSR1: the state");
    for unit in &view.services {
        let note = unit.note.as_deref().unwrap_or_default();
        tracing::info!(
            service = %unit.name,
            state = unit.state.word(),
            pid = unit.pid,
            life = unit.life.0,
            restarts = unit.restarts,
            processes = unit.processes.len(),
            note
        );
    }
    for warning in &view.warnings {
        tracing::warn!("{warning}");
    }
}

impl Performer {
    /// Reads the manifest anew, in a process of its own that asks this one for an `up` of what runs: whatever is wrong with
    /// the manifest cannot harm the supervisor.
    pub(super) fn reload(&mut self) {
        match self.spawn_reload() {
            Ok(pid) => tracing::info!(pid, "SIGUSR2: the manifest is read anew"),
            Err(error) => tracing::warn!(%error, "SIGUSR2: the manifest cannot be read anew"),
        }
    }

    fn spawn_reload(&mut self) -> io::Result<i32> {
        let mut command = sys::itself();
        command.arg(RELOAD).arg(&self.stack.manifest);
        if !self.base.is_empty() {
            // As the last `up` had it: variables of the manifest are filled in from there.
            command.env_clear().envs(&self.base);
        }
        forget_marks(&mut command);
        let log = io::stderr().as_fd().try_clone_to_owned()?;
        command.stdin(Stdio::null()).stdout(log).stderr(Stdio::inherit());
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        if let Some(pid) = Pid::new(pid) {
            self.helpers.add(pid, proc::identify(pid));
        }
        Ok(pid)
    }
}
