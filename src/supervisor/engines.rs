//! Which engines a stack has used: written down before anything is made, and worked out where that was lost.
//!
//! No file at all means that nobody knows: state that was lost, or a stack that is just met for the first time. Then
//! whoever must prove that nothing is left asks every engine that the manifest names. An empty list is knowledge: the
//! stack was proven to have no container, or was begun without one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{ContainerTrouble, Life, UnitName};
use crate::engine::{Client, Trouble};
use crate::plan::{ContainerPlan, EngineKind, UnitPlan};
use crate::store::{HomeError, StackDir, StackFile, private_dir, read_whole, write_whole};

/// An engine that does not answer must not hold a stop for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// What leads an engine's command to its engine. One that is not set is noted as well: whoever asks later may have set it.
const LEADING: [&str; 10] = [
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "CONTAINER_HOST",
    "CONTAINER_CONNECTION",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
];
/// Those that name a file or a directory, and more of that kind.
const PATHS: [&str; 5] =
    ["DOCKER_CONFIG", "DOCKER_CERT_PATH", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "REGISTRY_AUTH_FILE"];
/// Those that name a socket.
const SOCKETS: [&str; 2] = ["DOCKER_HOST", "CONTAINER_HOST"];

/// An engine that this stack has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EngineAt {
    kind: EngineKind,
    context: Option<String>,
    environment: BTreeMap<String, String>,
    /// Where its command was found: whoever asks later may have another `PATH`.
    #[serde(default)]
    program: Option<PathBuf>,
    /// It has made a container, as far as is known: where it does not answer, nothing is proven.
    pub(super) used: bool,
    /// When the record was begun nothing was known of the stack: an owner whom nobody knows any more may have made something.
    #[serde(default)]
    pub(super) unseen: bool,
    /// The specs of lives that were begun on it and are not retired yet.
    #[serde(default)]
    pub(super) lives: BTreeSet<String>,
}

impl EngineAt {
    /// The engine of a container, as this environment leads to it.
    pub(super) fn of(plan: &ContainerPlan, base: &BTreeMap<String, String>) -> Self {
        let value = |name: &str| base.get(name).cloned().unwrap_or_default();
        let environment = LEADING.iter().map(|name| ((*name).to_owned(), value(name))).collect();
        Self {
            kind: plan.engine,
            context: plan.context.clone(),
            environment,
            program: base.get("PATH").and_then(|path| program(plan.engine, path)),
            used: false,
            unseen: false,
            lives: BTreeSet::new(),
        }
    }

    /// Its command: where it was when it was used, else as this process has it.
    pub(super) fn client(&self) -> Client {
        let mut client = Client::new(self.kind).patience(PATIENCE);
        if let Some(context) = &self.context {
            client = client.context(context);
        }
        if let Some(program) = self.program.as_deref().filter(|program| program.is_file()) {
            client = client.program(program);
        }
        self.environment.iter().fold(client, |client, (name, value)| client.env(name, value))
    }

    /// The same; where its command is gone from where it was, as another caller has it in his `PATH`.
    pub(super) fn found_by(mut self, path: &str) -> Self {
        if !self.program.as_deref().is_some_and(Path::is_file) {
            self.program = program(self.kind, path);
        }
        self
    }

    /// Whether it may hold a container of the stack, as far as is known.
    pub(super) fn may_hold(&self) -> bool {
        self.used || !self.lives.is_empty()
    }

    /// Which one it is.
    pub(super) fn kind(&self) -> EngineKind {
        self.kind
    }

    /// Its command.
    pub(super) fn command(&self) -> &'static str {
        self.kind.command()
    }

    /// What leads to it.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Whether it is the engine of such a container, as far as the plan says.
    pub(super) fn serves(&self, plan: &ContainerPlan) -> bool {
        (self.kind, &self.context) == (plan.engine, &plan.context)
    }

    /// Whether this life was begun on it.
    pub(super) fn holds(&self, dir: &StackDir, unit: &UnitName, life: Life) -> bool {
        self.lives.contains(&spec_name(dir, unit, life))
    }

    /// Whether shims of it were killed, or are: what they have asked for may still be done.
    pub(super) fn is_doubtful(&self, dir: &StackDir) -> bool {
        self.lives.iter().any(|name| dir.containers().join(name).exists())
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.context, &self.environment) == (other.kind, &other.context, &other.environment)
    }

    pub(super) fn trouble(&self, trouble: Trouble) -> ContainerTrouble {
        trouble.told(self.kind, self.context.as_deref())
    }
}

/// An environment that leads an engine's command to the same place in whatever directory it runs: what is relative is
/// taken from this one, the manifest's.
pub(super) fn leading(base: &BTreeMap<String, String>, dir: &Path) -> BTreeMap<String, String> {
    let absolute = |path: &str| dir.join(path).to_string_lossy().into_owned();
    let mut all = base.clone();
    for (name, value) in &mut all {
        match name.as_str() {
            "PATH" => *value = value.split(':').map(absolute).collect::<Vec<_>>().join(":"),
            name if PATHS.contains(&name) && !value.is_empty() => *value = absolute(value),
            name if SOCKETS.contains(&name) => {
                if let Some(path) = value.strip_prefix("unix://").filter(|path| !path.is_empty()) {
                    *value = format!("unix://{}", absolute(path));
                }
            }
            _ => {}
        }
    }
    all
}

/// The engines that this stack has used since it was last proven to have no container; none where nobody wrote that down,
/// or it cannot be read any more.
fn recorded(dir: &StackDir) -> Option<Vec<EngineAt>> {
    serde_json::from_slice(&read_whole(&dir.container_engines()).ok()?).ok()
}

/// The same, as far as it is known.
pub(super) fn engines(dir: &StackDir) -> Vec<EngineAt> {
    recorded(dir).unwrap_or_default()
}

/// How far it is known which engines a stack has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// It was written down.
    Kept,
    /// The record was lost: containers may have been made, and nobody wrote down where.
    Lost,
    /// There never was one, or all of the stack was lost with it: no state of it was there, and nothing that lives.
    None,
}

impl Record {
    /// Of this stack.
    pub(super) fn of(dir: &StackDir, stack: &StackFile) -> Self {
        let had = stack.plan.iter().flat_map(|plan| &plan.units).any(|unit| unit.container.is_some());
        match recorded(dir) {
            Some(_) => Self::Kept,
            None if stack.recovered || had => Self::Lost,
            None => Self::None,
        }
    }
}

/// The engines that may hold something of a stack: those that were written down, else those of these units, as this
/// environment leads to them.
pub(super) fn suspected<'a>(
    dir: &StackDir,
    record: Record,
    units: impl Iterator<Item = &'a UnitPlan>,
    base: &BTreeMap<String, String>,
) -> Vec<EngineAt> {
    let mut found = engines(dir);
    if record == Record::Kept && !found.iter().any(|engine| engine.unseen) {
        return found;
    }
    for (unit, container) in units.filter_map(|unit| Some((unit, unit.container.as_deref()?))) {
        let mut engine = EngineAt::of(container, &leading(base, &unit.working_dir));
        (engine.used, engine.unseen) = (record == Record::Lost, record != Record::Lost);
        if !found.iter().any(|one| one.is_same(&engine)) {
            found.push(engine);
        }
    }
    found
}

/// From now on it is written down which engines are used; those that may have been used before are the first.
pub(super) fn begin_record<'a>(
    dir: &StackDir,
    stack: &StackFile,
    units: impl Iterator<Item = &'a UnitPlan>,
    base: &BTreeMap<String, String>,
) -> Result<(), HomeError> {
    let before = match Record::of(dir, stack) {
        Record::Kept => return Ok(()),
        record => suspected(dir, record, units, base),
    };
    write_record(dir, &before)
}

/// Nothing of the stack is in any engine: which ones were used is forgotten.
pub(super) fn clear_record(dir: &StackDir) {
    let _ = fs::remove_dir_all(dir.containers());
    // Where it cannot be written (a full disk), the next stop asks once more.
    let _ = write_record(dir, &[]);
}

fn write_record(dir: &StackDir, engines: &[EngineAt]) -> Result<(), HomeError> {
    private_dir(&dir.containers())?;
    write_whole(&dir.container_engines(), &engines)
}

/// Where an engine's command is in a `PATH`.
fn program(kind: EngineKind, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|dir| dir.join(kind.command())).find(|file| file.is_file())
}

/// Writes down on which engine a life is begun, before it is.
pub(super) fn note_engine(
    dir: &StackDir,
    engine: EngineAt,
    unit: &UnitName,
    life: Life,
) -> Result<(), HomeError> {
    let (mut known, found) = (engines(dir), engine.program.clone());
    let at = known.iter().position(|one| one.is_same(&engine)).unwrap_or_else(|| {
        known.push(engine);
        known.len() - 1
    });
    known[at].program = found;
    known[at].lives.insert(spec_name(dir, unit, life));
    write_record(dir, &known)
}

/// The engine of a planned container: the one that it was made on where that is known, else as this process leads to it.
#[must_use]
pub fn client_of(dir: &StackDir, container: &ContainerPlan, unit: &UnitName, life: Life) -> Client {
    let known = engines(dir);
    let made = |engine: &&EngineAt| engine.holds(dir, unit, life);
    let serves = |engine: &&EngineAt| engine.may_hold() && engine.serves(container);
    let engine = known.iter().find(made).or_else(|| known.iter().find(serves));
    engine.map_or_else(|| Client::of(container), EngineAt::client)
}

pub(super) fn spec_name(dir: &StackDir, unit: &UnitName, life: Life) -> String {
    dir.container_spec(unit, life).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// An engine that holds nothing of the stack, and on which no life is begun, need not answer at the end of a later stop.
pub(super) fn forget_use(dir: &StackDir, engine: &EngineAt) {
    let mut known = engines(dir);
    let Some(one) = known.iter_mut().find(|one| one.is_same(engine) && one.used && one.lives.is_empty())
    else {
        return;
    };
    one.used = false;
    let _ = write_whole(&dir.container_engines(), &known);
}
