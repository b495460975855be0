//! `stack.json`: what is known of a stack beyond its lives, sealed with its own secret.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{read_whole, write_text};
use super::home::{HomeError, STATE_VERSION};
use super::seal::{Seal, unverified};
use super::stack_dir::StackDir;
use crate::domain::{Life, Mark, StackName, UnitName};
use crate::plan::{AutoPorts, Plan};

/// What is known of a stack beyond its lives: `stack.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StackFile {
    /// Version of the format.
    pub version: u32,
    /// The stack's name.
    pub name: StackName,
    /// The manifest.
    pub manifest: PathBuf,
    /// Random; in the environment of all its processes as `DEVSTACK_STACK_ID`.
    pub secret: Mark,
    /// Ports chosen for `auto`.
    #[serde(default)]
    pub auto_ports: AutoPorts,
    /// The last life of each unit: numbers never go back.
    #[serde(default)]
    pub lives: BTreeMap<UnitName, Life>,
    /// The plan of the last `up`.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// Its secret was found with what lives of it: the rest of what was known is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// The manifest's directory itself, whatever it is called: known again where it was moved, and missed where another
    /// was put in its place.
    #[serde(default)]
    pub checkout: Option<DirectoryId>,
}

/// A directory as the file system knows it: device and inode.
pub type DirectoryId = (u64, u64);

/// Which directory is at a path now.
#[must_use]
pub fn directory_at(path: &Path) -> Option<DirectoryId> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// What every version of the format has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl StackFile {
    /// A new stack.
    #[must_use]
    pub fn new(name: StackName, manifest: PathBuf, secret: Mark) -> Self {
        Self {
            version: STATE_VERSION,
            checkout: manifest.parent().and_then(directory_at),
            name,
            manifest,
            secret,
            auto_ports: AutoPorts::new(),
            lives: BTreeMap::new(),
            plan: None,
            recovered: false,
        }
    }

    /// The manifest's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.manifest.parent().unwrap_or(&self.manifest)
    }
}

impl StackDir {
    /// Reads `stack.json`; none where it is missing or damaged, or another stack's (then nothing in it can be relied upon).
    pub fn read_stack(&self) -> Result<Option<StackFile>, HomeError> {
        let path = self.state.join("stack.json");
        let text = match read_whole(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(HomeError::Io { path, source }),
        };
        self.parse_stack(&text).map_err(|found| HomeError::Newer { path, found })
    }

    /// The text of `stack.json`: none where it is not to be believed, an error where a newer devstack wrote it.
    pub(super) fn parse_stack(&self, text: &[u8]) -> Result<Option<StackFile>, u32> {
        match serde_json::from_slice::<Version>(text) {
            Ok(Version { version }) if version > STATE_VERSION => Err(version),
            _ => Ok(self.read_sealed(text)),
        }
    }

    /// `stack.json` as this stack wrote it. Its plan may sweep, its secret is a proof: that of another stack is none.
    fn read_sealed(&self, text: &[u8]) -> Option<StackFile> {
        let file: StackFile = serde_json::from_slice(&unverified(text)?).ok()?;
        self.seal(&file.secret).open(text)?;
        Some(file)
    }

    pub(super) fn seal(&self, secret: &Mark) -> Seal {
        Seal::of(secret, &["stack", &self.hash])
    }

    /// Writes `stack.json`: a reader sees the old one or the new one, never half of it.
    pub fn write_stack(&self, file: &StackFile) -> Result<(), HomeError> {
        let path = self.state.join("stack.json");
        let text = serde_json::to_vec(file)
            .map_err(|error| HomeError::Io { path: path.clone(), source: error.into() })?;
        write_text(&path, &self.seal(&file.secret).close(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_a_newer_version_is_refused_and_garbage_is_none() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir =
            StackDir { hash: String::new(), state: temp.path().to_owned(), runtime: temp.path().to_owned() };
        assert!(dir.read_stack().expect("reads").is_none());
        let path = temp.path().join("stack.json");
        fs::write(&path, r#"{"version": 99, "future": true}"#).expect("writes");
        assert!(matches!(dir.read_stack(), Err(HomeError::Newer { found: 99, .. })));
        fs::write(&path, "{").expect("writes");
        assert!(dir.read_stack().expect("reads").is_none());
        let name = StackName::parse("shop").expect("a name");
        dir.write_stack(&StackFile::new(name, "/a".into(), Mark::from_random([1; 16]))).expect("writes");
        assert_eq!(dir.read_stack().expect("reads").expect("some").name.as_str(), "shop");
    }
}
