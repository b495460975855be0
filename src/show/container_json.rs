//! Containers in JSON documents: the fields that are promised of them.

use serde::Serialize;

use super::down::Volumes;
use crate::domain::{
    ContainerStep, ContainerView, ContainersProof, EndedContainer, LeftContainer, OwnHealth, UnitName,
};

#[derive(Serialize)]
pub(super) struct ContainerDoc<'a> {
    engine: &'a str,
    name: &'a str,
    image: &'a str,
    id: Option<&'a str>,
    pid: Option<i32>,
    step: Option<&'static str>,
    progress: Option<&'a str>,
    health: Option<&'static str>,
    exit: Option<i32>,
}

impl<'a> ContainerDoc<'a> {
    pub(super) fn new(view: &'a ContainerView) -> Self {
        let state = view.state.as_ref();
        let (step, progress) = state.map(|state| step(&state.step)).unzip();
        Self {
            engine: &view.engine,
            name: &view.name,
            image: &view.image,
            id: state.and_then(|state| state.id.as_deref()),
            pid: state.and_then(|state| state.pid),
            step,
            progress: progress.flatten(),
            health: state.map(|state| health(&state.health)),
            exit: state.and_then(|state| state.exit),
        }
    }
}

fn step(step: &ContainerStep) -> (&'static str, Option<&str>) {
    match step {
        ContainerStep::Asking => ("asking", None),
        ContainerStep::Pulling(far) => ("pulling", Some(far)),
        ContainerStep::Building(last) => ("building", Some(last)),
        ContainerStep::Starting => ("starting", None),
        ContainerStep::Running => ("running", None),
        ContainerStep::Stopping => ("stopping", None),
        ContainerStep::Ended => ("ended", None),
    }
}

fn health(health: &OwnHealth) -> &'static str {
    match health {
        OwnHealth::None => "none",
        OwnHealth::Starting => "starting",
        OwnHealth::Healthy => "healthy",
        OwnHealth::Unhealthy(_) => "unhealthy",
    }
}

/// Of `services[]` of a stop.
#[derive(Serialize)]
pub(super) struct EndedContainerDoc<'a> {
    name: &'a str,
    forced: bool,
    deaf: bool,
}

impl<'a> EndedContainerDoc<'a> {
    pub(super) fn new(ended: &'a EndedContainer) -> Self {
        Self { name: &ended.name, forced: ended.forced, deaf: ended.deaf }
    }
}

/// `containers` of a stop.
#[derive(Serialize)]
pub(super) struct ContainersDoc<'a> {
    removed: u32,
    left: Vec<LeftDoc<'a>>,
    unproven: Option<String>,
}

#[derive(Serialize)]
struct LeftDoc<'a> {
    engine: &'a str,
    name: &'a str,
    id: &'a str,
    service: Option<&'a str>,
    reason: &'a str,
}

impl<'a> ContainersDoc<'a> {
    pub(super) fn new(proof: &'a ContainersProof) -> Self {
        let left = |left: &'a LeftContainer| LeftDoc {
            engine: &left.engine,
            name: &left.name,
            id: &left.id,
            service: left.unit.as_ref().map(UnitName::as_str),
            reason: &left.reason,
        };
        Self {
            removed: proof.removed,
            left: proof.left.iter().map(left).collect(),
            unproven: proof.unproven.as_ref().map(ToString::to_string),
        }
    }
}

/// `volumes` of a stop.
#[derive(Serialize)]
pub(super) struct VolumesDoc<'a> {
    kept: &'a [String],
    removed: &'a [String],
    left: Vec<LeftVolumeDoc<'a>>,
}

#[derive(Serialize)]
struct LeftVolumeDoc<'a> {
    name: &'a str,
    reason: &'a str,
}

impl<'a> VolumesDoc<'a> {
    pub(super) fn new(volumes: &'a Volumes) -> Self {
        let left = volumes.left.iter().map(|(name, reason)| LeftVolumeDoc { name, reason });
        Self { kept: &volumes.kept, removed: &volumes.removed, left: left.collect() }
    }
}
