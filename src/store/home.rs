//! Where a stack's files are: state that survives its checkout, sockets with short paths, all of it the user's alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{check_place, check_private};
use super::stack_dir::StackDir;
use crate::domain::StackName;
use crate::plan::fnv1a;

/// `sockaddr_un` holds 108 bytes; a stack's own part of a socket path needs about 45 of them.
const LONGEST_RUNTIME_ROOT: usize = 60;

/// The lock of the supervisor, in the state directory.
pub const LOCK: &str = "supervisor.lock";

/// Written into every state file; a higher number means a newer devstack wrote it.
pub const STATE_VERSION: u32 = 1;

/// The directories of one user, for all stacks.
#[derive(Clone, Debug)]
pub struct Home {
    state: PathBuf,
    runtime: PathBuf,
}

/// Why the directories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither `XDG_STATE_HOME` nor `HOME` is set.
    #[error("neither DEVSTACK_STATE_DIR, XDG_STATE_HOME nor HOME says where state may be kept")]
    Nowhere,
    /// A directory could not be made or read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A directory belongs to somebody else, or others may enter it, or it is a symbolic link.
    #[error("{path} is not this user's alone: {reason}")]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A state file was written by a newer devstack.
    #[error("{path} was written by a newer devstack (state version {found}, this one knows {STATE_VERSION})")]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// The hash of a manifest's real path that names its stack on disk.
#[must_use]
pub fn stack_hash(manifest: &Path) -> String {
    let bytes = manifest.as_os_str().as_encoded_bytes();
    format!("{:016x}", fnv1a(bytes))
}

impl Home {
    /// The directories that this environment asks for: `DEVSTACK_STATE_DIR` moves all of it.
    pub fn from_env(uid: u32, variable: impl Fn(&str) -> Option<String>) -> Result<Self, HomeError> {
        let set = |name: &str| variable(name).filter(|value| value.starts_with('/')).map(PathBuf::from);
        let moved = set("DEVSTACK_STATE_DIR");
        let state = moved
            .clone()
            .or_else(|| set("XDG_STATE_HOME").map(|dir| dir.join("devstack")))
            .or_else(|| set("HOME").map(|dir| dir.join(".local/state/devstack")))
            .ok_or(HomeError::Nowhere)?;
        let wanted = match &moved {
            Some(dir) => Some(dir.join("run")),
            None => set("XDG_RUNTIME_DIR").filter(|dir| dir.is_dir()).map(|dir| dir.join("devstack")),
        };
        let short = wanted.filter(|dir| dir.as_os_str().len() <= LONGEST_RUNTIME_ROOT);
        // Another state directory must not meet our sockets: the fallback is per user and per state directory.
        let runtime = short.unwrap_or_else(|| {
            PathBuf::from(format!(
                "/tmp/devstack-{uid}/{:08x}",
                fnv1a(state.as_os_str().as_encoded_bytes()) >> 32
            ))
        });
        Ok(Self { state, runtime })
    }

    /// Where state is kept.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where sockets are.
    #[must_use]
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Why a directory of ours cannot be relied upon; none where it is fine or not there yet.
    #[must_use]
    pub fn problem(&self, dir: &Path) -> Option<String> {
        match check_private(dir) {
            Err(HomeError::NotOurs { reason, .. }) => Some(reason.to_owned()),
            Err(HomeError::Io { source, .. }) if source.kind() != io::ErrorKind::NotFound => {
                Some(source.to_string())
            }
            Ok(()) | Err(_) => None,
        }
    }

    /// The directories of the stack with this manifest, made where they are missing.
    pub fn open(&self, manifest: &Path, name: &StackName) -> Result<StackDir, HomeError> {
        check_place(&self.state)?;
        let short: String = name.as_str().chars().take(30).map(|c| if c == ' ' { '-' } else { c }).collect();
        let dir = self.of_hash(&stack_hash(manifest))?.unwrap_or_else(|| self.unmade(manifest, &short));
        // Also one that is there: another command may be in the middle of making it.
        dir.restore()?;
        Ok(dir)
    }

    /// The directories of the stack with this manifest, if it was ever used.
    ///
    /// Where its directory of sockets cannot be used (somebody planted one, a file is in the way), nothing of it is
    /// touched: then there is none that could be met, and whoever ends the stack works without.
    pub fn find(&self, manifest: &Path) -> Result<Option<StackDir>, HomeError> {
        let Some(mut dir) = self.of_hash(&stack_hash(manifest))? else { return Ok(None) };
        if dir.make_runtime().is_err() {
            dir.runtime = dir.state.join("run");
        }
        Ok(Some(dir))
    }

    /// The directories that the stack with this manifest would have; none of them need be there.
    #[must_use]
    pub fn unmade(&self, manifest: &Path, name: &str) -> StackDir {
        let hash = stack_hash(manifest);
        self.stack_dir(self.state.join(format!("{name}-{hash}")), hash)
    }

    fn of_hash(&self, hash: &str) -> Result<Option<StackDir>, HomeError> {
        let found = self.all()?.into_iter().find(|dir| dir.hash == hash);
        found.map(|dir| check_private(&dir.state).map(|()| dir)).transpose()
    }

    /// The directories of every stack of this user; whether each can be used is not looked at.
    pub fn all(&self) -> Result<Vec<StackDir>, HomeError> {
        let entries = match fs::read_dir(&self.state) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(HomeError::Io { path: self.state.clone(), source }),
        };
        check_place(&self.state)?;
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let hash = name.to_str().and_then(|name| name.rsplit_once('-')).map(|(_, hash)| hash);
            let hash = hash.filter(|hash| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
            if let Some(hash) = hash {
                found.push(self.stack_dir(entry.path(), hash.to_owned()));
            }
        }
        found.sort_by(|a, b| a.state.cmp(&b.state));
        Ok(found)
    }

    fn stack_dir(&self, state: PathBuf, hash: String) -> StackDir {
        let runtime = self.runtime.join(&hash);
        StackDir { hash, state, runtime }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn home(variables: &[(&str, &str)]) -> Home {
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Home::from_env(1000, |name| variables.get(name).cloned()).expect("a home")
    }

    #[test]
    fn state_and_sockets_go_where_the_environment_says() {
        let plain = home(&[("HOME", "/home/dev")]);
        assert_eq!(plain.state, Path::new("/home/dev/.local/state/devstack"));
        assert!(plain.runtime.starts_with("/tmp/devstack-1000"));
        let moved = home(&[("HOME", "/home/dev"), ("DEVSTACK_STATE_DIR", "/x")]);
        assert_eq!(moved.runtime, Path::new("/x/run"));
        let long = format!("/{}", "x".repeat(200));
        assert!(home(&[("DEVSTACK_STATE_DIR", &long)]).runtime.as_os_str().len() < LONGEST_RUNTIME_ROOT);
    }

    #[test]
    fn two_checkouts_never_collide_and_each_is_found_again() {
        let temp = tempfile::tempdir().expect("a directory");
        let home = home(&[("DEVSTACK_STATE_DIR", temp.path().to_str().expect("text"))]);
        let name = StackName::parse("shop").expect("a name");
        let one = home.open(Path::new("/a/devstack.yaml"), &name).expect("opens");
        let two = home.open(Path::new("/b/devstack.yaml"), &name).expect("opens");
        assert_ne!(one.state, two.state);
        let renamed = StackName::parse("other").expect("a name");
        let again = home.open(Path::new("/a/devstack.yaml"), &renamed).expect("opens");
        assert_eq!(one.state, again.state, "a new name must not lose the processes of the old one");
        assert_eq!(home.all().expect("lists").len(), 2);
    }

    #[test]
    fn a_planted_link_is_refused() {
        let temp = tempfile::tempdir().expect("a directory");
        let home = home(&[("DEVSTACK_STATE_DIR", temp.path().to_str().expect("text"))]);
        let elsewhere = tempfile::tempdir().expect("a directory");
        let run = temp.path().join("run");
        std::os::unix::fs::symlink(elsewhere.path(), &run).expect("a link");
        let name = StackName::parse("shop").expect("a name");
        assert!(matches!(home.open(Path::new("/a/devstack.yaml"), &name), Err(HomeError::NotOurs { .. })));
    }
}
