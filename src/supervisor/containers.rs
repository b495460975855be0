//! What the supervisor itself asks of container engines: the end of a container whose shim is gone, and at the end of a stop
//! whether anything of the stack is left. All else is done by the shims.
//!
//! A stack without containers asks no engine: which ones are asked stands in `engines`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use tokio::time::timeout;

use super::engines::{EngineAt, Record, clear_record, engines, forget_use, spec_name};
use crate::cage;
use crate::domain::{
    ContainerState, ContainerStep, ContainerTrouble, ContainersProof, LeftContainer, Life, PortStatus,
    Signal, UnitName,
};
use crate::engine::{Container, Engine as _, Status, Trouble, TroubleKind, label};
use crate::machine::ENGINE_LAG;
use crate::plan::UnitPlan;
use crate::store::{StackDir, read_whole, write_whole};

/// So often what is left is taken away and looked for again.
const LOOKS: u32 = 5;
/// So long a container may take to end that nobody stands for any more.
const GRACE: Duration = Duration::from_secs(10);
/// Why a container with the labels of this manifest is left alone.
pub(super) const NOBODYS: &str = "made for this manifest, by whom is not known any more: it is left alone";
/// A name is worth so long a wait, and no longer.
const NAMING: Duration = Duration::from_secs(5);
/// What an engine is in the middle of needs a moment.
const PAUSE: Duration = Duration::from_millis(200);
/// A question that was under way when everything was killed may still be done by the engine.
pub(super) const AFTERMATH: Duration = Duration::from_millis(800);
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

/// What is looked for at the end of a stop.
pub(super) struct Search {
    pub(super) dir: StackDir,
    /// Whose containers: [`label::owner`].
    pub(super) owner: String,
    pub(super) engines: Vec<EngineAt>,
    /// How it is known that these are all.
    pub(super) record: Record,
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
                if doubtful || self.may_hold(engine, &trouble) {
                    proof.silent.get_or_insert(engine.kind());
                    proof.unproven.get_or_insert(trouble);
                }
            }
        }
        if self.units.is_none() && proof.is_clean() {
            clear_record(&self.dir);
        }
        proof
    }

    /// Whether an engine that gives no answer may hold something of the stack.
    fn may_hold(&self, engine: &EngineAt, trouble: &ContainerTrouble) -> bool {
        match self.record {
            // One that was never there has made nothing.
            Record::Kept => engine.used || matches!(trouble, ContainerTrouble::Refused { .. }),
            Record::Lost => true,
            // Without any trace of the stack and of the engine there is nothing that could be left.
            Record::None => !matches!(trouble, ContainerTrouble::NotInstalled { .. }),
        }
    }

    /// What was made for this very manifest by an owner that nobody knows any more: of this stack before its state was
    /// lost, or of another machine or user with the same path. It is told, and left alone.
    async fn of_this_place(&self, engine: &EngineAt) -> Result<Vec<LeftContainer>, Trouble> {
        let mut found = engine.client().labelled(&label::of_stack(&self.dir.hash)).await?;
        found.retain(|one| one.labels.get(label::OWNER).is_some_and(|owner| *owner != self.owner));
        found.retain(|one| self.means(one));
        Ok(found.iter().map(|one| left(engine, one, NOBODYS.to_owned())).collect())
    }

    fn means(&self, container: &Container) -> bool {
        self.units.as_ref().is_none_or(|units| units.iter().any(|unit| is_of(container, unit)))
    }

    /// Whether it was seen to hold nothing of the stack at all.
    async fn clear(
        &self,
        engine: &EngineAt,
        doubtful: bool,
        proof: &mut ContainersProof,
    ) -> Result<bool, Trouble> {
        let client = engine.client();
        if engine.unseen {
            proof.left.extend(self.of_this_place(engine).await?);
        }
        let (mut removed, mut refused) = (BTreeSet::new(), BTreeMap::new());
        let (mut empty, mut nothing) = (0, false);
        for look in 1..=LOOKS {
            let mut found = client.labelled(&label::of_owner(&self.owner)).await?;
            nothing = found.is_empty();
            found.retain(|container| self.means(container));
            if found.is_empty() {
                empty += 1;
                if !doubtful || empty == 2 {
                    break;
                }
                tokio::time::sleep(AFTERMATH).await;
                continue;
            }
            if look == LOOKS {
                proof.left.extend(found.iter().map(|container| {
                    let refused = refused.get(&container.id).cloned();
                    left(engine, container, refused.unwrap_or_else(|| "still there".to_owned()))
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

/// Puts to each port that an engine holds for a container by which one it is published.
pub(super) async fn name_publishers(engines: &[EngineAt], ports: &mut [PortStatus]) {
    for engine in engines {
        let client = engine.client();
        for port in ports.iter_mut().filter(|port| stands_for_one(port) && port.container.is_none()) {
            let asked = timeout(NAMING, client.publishing(port.port)).await;
            let found = asked.ok().and_then(Result::ok).unwrap_or_default().into_iter().next();
            port.container = found.map(|found| found.name);
        }
    }
}

/// Whether a port is held by an engine's own process, for a container.
pub(super) fn stands_for_one(port: &PortStatus) -> bool {
    !port.free && port.owner.as_ref().is_some_and(cage::is_engines)
}

fn left(engine: &EngineAt, container: &Container, reason: String) -> LeftContainer {
    LeftContainer {
        engine: engine.command().to_owned(),
        name: container.name.clone(),
        id: container.id.clone(),
        unit: container.labels.get(label::SERVICE).and_then(|unit| UnitName::parse(unit).ok()),
        reason,
    }
}
