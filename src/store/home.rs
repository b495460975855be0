//! Where a stack's files are: state that survives its checkout, sockets with short paths, all of it the user's alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{check_place, check_private, private_dir, read_whole, write_text};
use super::seal::{Seal, unverified};
use crate::domain::{Life, Mark, StackName, StackView, UnitName};
use crate::plan::{AutoPorts, Plan, fnv1a};

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
        }
    }

    /// The manifest's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.manifest.parent().unwrap_or(&self.manifest)
    }
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
    fn make_runtime(&self) -> Result<(), HomeError> {
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

    #[test]
    fn the_longest_name_fits_a_file_system() {
        let name = UnitName::parse(&"ß".repeat(100)).expect("a name");
        assert!(file_stem(&name).len() < 200);
        assert_ne!(file_stem(&name), file_stem(&UnitName::parse(&"ß".repeat(99)).expect("a name")));
    }

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
