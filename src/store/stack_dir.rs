//! The directories of one stack, and the path of each file in them.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{private_dir, read_whole};
use super::home::{HomeError, LOCK};
use crate::domain::{Life, StackName, StackView, UnitName};
use crate::plan::fnv1a;

/// The directories of one stack.
#[derive(Clone, Debug)]
pub struct StackDir {
    /// Hash of the manifest's path; the same wherever the name changes.
    pub hash: String,
    /// Ledger, journal and logs.
    pub state: PathBuf,
    /// Sockets.
    pub runtime: PathBuf,
}

impl StackDir {
    /// The supervisor's API socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("api.sock")
    }

    /// Where jobs wait for their turn.
    #[must_use]
    pub fn jobs(&self) -> PathBuf {
        self.state.join("jobs")
    }

    /// Where the keeper of a life listens.
    #[must_use]
    pub fn keeper_socket(&self, unit: &UnitName, life: Life) -> PathBuf {
        self.runtime.join(format!("k-{:08x}-{life}", fnv1a(unit.as_str().as_bytes()) >> 32))
    }

    /// Where the keeper of a life takes `sd_notify` messages.
    #[must_use]
    pub fn notify_socket(&self, unit: &UnitName, life: Life) -> PathBuf {
        self.runtime.join(format!("n-{:08x}-{life}", fnv1a(unit.as_str().as_bytes()) >> 32))
    }

    /// What the shim of a container is told, with all secrets: a [`crate::plan::UnitPlan`] and what is not in it.
    #[must_use]
    pub fn container_spec(&self, unit: &UnitName, life: Life) -> PathBuf {
        self.containers().join(format!("{:08x}.{life}.spec", fnv1a(unit.as_str().as_bytes()) >> 32))
    }

    /// What the shim of a container tells of it: a [`crate::domain::ContainerState`], put in place whole at each change.
    #[must_use]
    pub fn container_state(&self, unit: &UnitName, life: Life) -> PathBuf {
        self.containers().join(format!("{:08x}.{life}.state", fnv1a(unit.as_str().as_bytes()) >> 32))
    }

    /// The grace that a stop gives a container instead of its own, in milliseconds; written before its shim is asked.
    #[must_use]
    pub fn container_grace(&self, unit: &UnitName, life: Life) -> PathBuf {
        self.container_state(unit, life).with_extension("grace")
    }

    /// How much of the log of a unit's container was told, whatever its life.
    #[must_use]
    pub fn container_position(&self, unit: &UnitName) -> PathBuf {
        self.containers().join(format!("{:08x}.log", fnv1a(unit.as_str().as_bytes()) >> 32))
    }

    /// Which engines were asked for containers since the stack was last proven to have none.
    #[must_use]
    pub fn container_engines(&self) -> PathBuf {
        self.containers().join("engines.json")
    }

    /// Where all of them are.
    #[must_use]
    pub fn containers(&self) -> PathBuf {
        self.state.join("containers")
    }

    /// The present log file of a unit.
    #[must_use]
    pub fn log(&self, unit: &UnitName) -> PathBuf {
        self.state.join("logs").join(format!("{}.log", file_stem(unit)))
    }

    /// The record of a life.
    #[must_use]
    pub fn record(&self, unit: &UnitName, life: Life) -> PathBuf {
        self.state.join("lives").join(format!("{}.{life}.jsonl", file_stem(unit)))
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal.jsonl")
    }

    /// The lock that a supervisor (or a command that does its work) holds for as long as it lives.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join(LOCK)
    }

    /// The lock held while a client starts a supervisor.
    #[must_use]
    pub fn start_lock(&self) -> PathBuf {
        self.state.join("start.lock")
    }

    /// What the supervisor itself has to say.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        self.state.join("supervisor.log")
    }

    /// The last view of a supervisor that has ended.
    #[must_use]
    pub fn last_view(&self) -> PathBuf {
        self.state.join("last.json")
    }

    /// How long the last starts took.
    #[must_use]
    pub fn starts(&self) -> PathBuf {
        self.state.join("starts.json")
    }

    /// Reads the last view; none where there is none, or another version wrote it.
    #[must_use]
    pub fn read_last_view(&self) -> Option<StackView> {
        serde_json::from_slice(&read_whole(&self.last_view()).ok()?).ok()
    }

    /// Makes what is missing of its directories.
    pub fn restore(&self) -> Result<(), HomeError> {
        let (lives, logs) = (self.state.join("lives"), self.state.join("logs"));
        [&self.state, &lives, &logs].into_iter().try_for_each(|path| private_dir(path))?;
        self.make_runtime()
    }

    /// Makes the directory of sockets, or checks the one that is there.
    pub(super) fn make_runtime(&self) -> Result<(), HomeError> {
        let above = self.runtime.parent();
        // In `/tmp` anybody may have planted a directory of that name before us: each level is checked.
        let shared = above.and_then(Path::parent).filter(|top| top.starts_with("/tmp"));
        [shared, above, Some(&self.runtime)].into_iter().flatten().try_for_each(private_dir)
    }

    /// The stack's name as the directory tells it, where nothing else does.
    #[must_use]
    pub fn name(&self) -> Option<StackName> {
        let name = self.state.file_name()?.to_str()?.rsplit_once('-')?.0;
        StackName::parse(name).ok()
    }

    /// Whether something was ever recorded here, readable or not.
    #[must_use]
    pub fn was_used(&self) -> bool {
        let lives = fs::read_dir(self.state.join("lives")).is_ok_and(|mut lives| lives.next().is_some());
        lives || self.state.join("stack.json").symlink_metadata().is_ok()
    }
}

/// The file name of a unit: its name, or for names beyond what a file system takes, its beginning and a hash.
fn file_stem(unit: &UnitName) -> String {
    let name = unit.as_str();
    if name.len() <= 120 {
        return name.to_owned();
    }
    let mut end = 90;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{:016x}", &name[..end], fnv1a(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_fits_a_file_system() {
        let name = UnitName::parse(&"ß".repeat(100)).expect("a name");
        assert!(file_stem(&name).len() < 200);
        assert_ne!(file_stem(&name), file_stem(&UnitName::parse(&"ß".repeat(99)).expect("a name")));
    }
}
