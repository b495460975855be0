//! What the supervisor itself asks of container engines: the end of a container whose shim is gone, and at the end of a stop
//! whether anything of the stack is left. All else is done by the shims.
//!
//! A stack that never had a container has no file that names an engine, and asks none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    ContainerState, ContainerStep, ContainerTrouble, ContainersProof, LeftContainer, Life, PortStatus,
    Signal, UnitName,
};
use crate::engine::{Client, Container, Engine as _, Status, Trouble, TroubleKind, label};
use crate::machine::ENGINE_LAG;
use crate::plan::{ContainerPlan, EngineKind, UnitPlan};
use crate::store::{HomeError, StackDir, private_dir, read_whole, write_whole};

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

/// So often what is left is taken away and looked for again.
const LOOKS: u32 = 5;
/// So long a container may take to end that nobody stands for any more.
const GRACE: Duration = Duration::from_secs(10);
/// What an engine is in the middle of needs a moment.
const PAUSE: Duration = Duration::from_millis(200);
/// A question that was under way when everything was killed may still be done by the engine.
pub(super) const AFTERMATH: Duration = Duration::from_millis(800);
/// An engine that does not answer must not hold a stop for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// An engine that this stack has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EngineAt {
    kind: EngineKind,
    context: Option<String>,
    environment: BTreeMap<String, String>,
    /// It has made a container, as far as is known: where it does not answer, nothing is proven.
    used: bool,
    /// The specs of lives that were begun on it and are not retired yet.
    #[serde(default)]
    lives: BTreeSet<String>,
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
            used: false,
            lives: BTreeSet::new(),
        }
    }

    pub(super) fn client(&self) -> Client {
        let mut client = Client::new(self.kind).patience(PATIENCE);
        if let Some(context) = &self.context {
            client = client.context(context);
        }
        self.environment.iter().fold(client, |client, (name, value)| client.env(name, value))
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
    fn is_doubtful(&self, dir: &StackDir) -> bool {
        self.lives.iter().any(|name| dir.containers().join(name).exists())
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.context, &self.environment) == (other.kind, &other.context, &other.environment)
    }

    fn trouble(&self, trouble: Trouble) -> ContainerTrouble {
        trouble
            .with_the_engine(self.kind, self.context.as_deref())
            .unwrap_or_else(|other| ContainerTrouble::Refused { text: other.text })
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

/// The engines that this stack has used since it was last proven to have no container.
pub(super) fn engines(dir: &StackDir) -> Vec<EngineAt> {
    let text = read_whole(&dir.container_engines()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes down on which engine a life is begun, before it is.
pub(super) fn note_engine(
    dir: &StackDir,
    engine: EngineAt,
    unit: &UnitName,
    life: Life,
) -> Result<(), HomeError> {
    let mut known = engines(dir);
    let at = known.iter().position(|one| one.is_same(&engine)).unwrap_or_else(|| {
        known.push(engine);
        known.len() - 1
    });
    known[at].lives.insert(spec_name(dir, unit, life));
    private_dir(&dir.containers())?;
    write_whole(&dir.container_engines(), &known)
}

fn spec_name(dir: &StackDir, unit: &UnitName, life: Life) -> String {
    dir.container_spec(unit, life).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Tells the shim that is about to be asked how long its container may take.
pub(super) fn order_grace(dir: &StackDir, unit: &UnitName, life: Life, ladder: Duration) {
    let millis = ladder.saturating_sub(ENGINE_LAG).as_millis();
    // Where it cannot be told, the container's own is what it gets.
    let _ = write_whole(&dir.container_grace(unit, life), &u64::try_from(millis).unwrap_or(u64::MAX));
}

/// What the shim of a life told last.
pub(super) fn state_of(dir: &StackDir, unit: &UnitName, life: Life) -> Option<ContainerState> {
    serde_json::from_slice(&read_whole(&dir.container_state(unit, life)).ok()?).ok()
}

/// Whether a shim has done all it had to: its container has ended, or there never was one, or there is nobody to ask.
pub(super) fn is_done(state: Option<&ContainerState>) -> bool {
    state.is_some_and(|state| state.step == ContainerStep::Ended)
}

/// Forgets the files of a life. That its engine has made a container stays known. `began`: its shim has run.
pub(super) fn forget_life(dir: &StackDir, plan: &UnitPlan, life: Life, began: bool) {
    let unit = &plan.name;
    if plan.container.is_none() {
        return;
    }
    let state = state_of(dir, unit, life);
    let made = !is_done(state.as_ref()) || state.is_some_and(|state| state.id.is_some());
    let mut known = engines(dir);
    for one in known.iter_mut().filter(|one| one.holds(dir, unit, life)) {
        one.lives.remove(&spec_name(dir, unit, life));
        one.used |= began && made;
    }
    // On a full disk the files stay, and say the same.
    if !known.is_empty() && write_whole(&dir.container_engines(), &known).is_err() {
        return;
    }
    let _ = fs::remove_file(dir.container_spec(unit, life));
    let _ = fs::remove_file(dir.container_state(unit, life));
    let _ = fs::remove_file(dir.container_grace(unit, life));
}

/// Has the engine kill what runs of a unit whose shim is gone. Whether nothing of it runs.
pub(super) async fn end_unit(
    engine: &EngineAt,
    owner: &str,
    unit: &UnitName,
) -> Result<(), ContainerTrouble> {
    let client = engine.client();
    let ended = async {
        for container in client.labelled(&label::of_owner(owner)).await? {
            let runs = !matches!(container.status, Status::Created { .. } | Status::Exited(_));
            if is_of(&container, unit) && runs {
                match client.kill(&container.id, Signal::KILL).await {
                    Ok(()) => {}
                    // It has ended by itself, or somebody took it away.
                    Err(trouble)
                        if matches!(
                            trouble.kind,
                            TroubleKind::NoSuchContainer | TroubleKind::ContainerStopped
                        ) => {}
                    Err(trouble) => return Err(trouble),
                }
            }
        }
        Ok(())
    };
    ended.await.map_err(|trouble| engine.trouble(trouble))
}

fn is_of(container: &Container, unit: &UnitName) -> bool {
    container.labels.get(label::SERVICE).is_some_and(|service| service == unit.as_str())
}

/// An engine that holds nothing of the stack, and on which no life is begun, need not answer at the end of a later stop.
fn forget_use(dir: &StackDir, engine: &EngineAt) {
    let mut known = engines(dir);
    let Some(one) = known.iter_mut().find(|one| one.is_same(engine) && one.used && one.lives.is_empty())
    else {
        return;
    };
    one.used = false;
    let _ = write_whole(&dir.container_engines(), &known);
}

/// What is looked for at the end of a stop.
pub(super) struct Search {
    pub(super) dir: StackDir,
    /// Whose containers: [`label::owner`].
    pub(super) owner: String,
    pub(super) engines: Vec<EngineAt>,
    /// None: of the whole stack.
    pub(super) units: Option<Vec<UnitName>>,
}

impl Search {
    /// Takes away what is left of these units in every engine that was used, and asks again until nothing is.
    pub(super) async fn prove(&self) -> ContainersProof {
        let mut proof = ContainersProof::default();
        for engine in &self.engines {
            let doubtful = engine.is_doubtful(&self.dir);
            let cleared = self.clear(engine, doubtful, &mut proof).await;
            if let Ok(true) = cleared {
                forget_use(&self.dir, engine);
            }
            if let Err(trouble) = cleared {
                let trouble = engine.trouble(trouble);
                // An engine that was never there has made nothing.
                if engine.used || doubtful || matches!(trouble, ContainerTrouble::Refused { .. }) {
                    proof.silent.get_or_insert(engine.kind);
                    proof.unproven.get_or_insert(trouble);
                }
            }
        }
        if self.units.is_none() && proof.is_clean() {
            // Nothing of it is in any engine: what would have to be asked for is forgotten.
            let _ = fs::remove_dir_all(self.dir.containers());
        }
        proof
    }

    /// Whether one of these ports is published by a container: none of ours is left then.
    pub(super) async fn is_published(&self, ports: &[PortStatus]) -> bool {
        for engine in &self.engines {
            let client = engine.client();
            for port in ports.iter().filter(|status| !status.free) {
                if client.publishing(port.port).await.is_ok_and(|found| !found.is_empty()) {
                    return true;
                }
            }
        }
        false
    }

    /// Whether it was seen to hold nothing of the stack at all.
    async fn clear(
        &self,
        engine: &EngineAt,
        doubtful: bool,
        proof: &mut ContainersProof,
    ) -> Result<bool, Trouble> {
        let client = engine.client();
        let (mut removed, mut refused) = (BTreeSet::new(), BTreeMap::new());
        let (mut empty, mut nothing) = (0, false);
        for look in 1..=LOOKS {
            let mut found = client.labelled(&label::of_owner(&self.owner)).await?;
            nothing = found.is_empty();
            found.retain(|container| {
                self.units.as_ref().is_none_or(|units| units.iter().any(|unit| is_of(container, unit)))
            });
            if found.is_empty() {
                empty += 1;
                if !doubtful || empty == 2 {
                    break;
                }
                tokio::time::sleep(AFTERMATH).await;
                continue;
            }
            if look == LOOKS {
                proof.left.extend(found.iter().map(|container| LeftContainer {
                    engine: engine.kind.command().to_owned(),
                    name: container.name.clone(),
                    id: container.id.clone(),
                    unit: container.labels.get(label::SERVICE).and_then(|unit| UnitName::parse(unit).ok()),
                    reason: refused.get(&container.id).cloned().unwrap_or_else(|| "still there".to_owned()),
                }));
                removed.retain(|id| !found.iter().any(|container| container.id == *id));
                break;
            }
            // It may be a database: it is asked before it is taken away.
            let asked = found.iter().filter(|container| matches!(container.status, Status::Running { .. }));
            let asked: Vec<_> = asked
                .map(|container| {
                    let (client, id) = (client.clone(), container.id.clone());
                    tokio::task::spawn_local(async move { client.stop(&id, GRACE).await })
                })
                .collect();
            for asked in asked {
                // What was not heard is taken away all the same.
                let _ = asked.await;
            }
            for container in found {
                match client.remove(&container.id).await {
                    Ok(()) => drop(removed.insert(container.id)),
                    Err(trouble) => drop(refused.insert(container.id, trouble.text)),
                }
            }
            if !refused.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
        proof.removed += u32::try_from(removed.len()).unwrap_or(u32::MAX);
        Ok(nothing)
    }
}
