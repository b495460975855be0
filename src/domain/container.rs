//! What becomes of a container, as its shim tells it: read by whoever waits for it or shows it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{PortHolder, UnitName};

/// A container of a life, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// How far it is.
    pub step: ContainerStep,
    /// Its id, once there is one.
    pub id: Option<String>,
    /// Its first process as the host sees it, while it runs on this machine.
    pub pid: Option<i32>,
    /// What its own health check says.
    pub health: OwnHealth,
    /// The exit code of its first process, once it has ended.
    pub exit: Option<i32>,
    /// It did not end within its grace, and the engine killed it.
    pub forced: bool,
    /// The kernel ended it for want of memory.
    pub out_of_memory: bool,
    /// Why it does not run although it should, where the engine is the reason.
    pub trouble: Option<ContainerTrouble>,
}

/// How far a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerStep {
    /// The engine is asked what is there.
    #[default]
    Asking,
    /// Its image is fetched: `38 %`, or what else the engine tells of it.
    Pulling(String),
    /// Its image is built: the last thing that was told of it.
    Building(String),
    /// It is made and started.
    Starting,
    /// It runs.
    Running,
    /// It was asked to end.
    Stopping,
    /// It does not run any more.
    Ended,
}

/// What a container's own health check says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnHealth {
    /// Its image brings none, or the manifest asks for another.
    #[default]
    None,
    /// It has not said anything that counts.
    Starting,
    /// Good.
    Healthy,
    /// Too often not: its last words.
    Unhealthy(String),
}

/// A unit that is a container, as views show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerView {
    /// The engine's command: `docker`, `podman`.
    pub engine: String,
    /// The container's name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// What its shim told last; none where none has told anything, or none runs.
    pub state: Option<ContainerState>,
}

/// How the container of a unit was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedContainer {
    /// Its name.
    pub name: String,
    /// It did not end within its grace, or was not asked or not waited for, and the engine killed it.
    pub forced: bool,
    /// It did not end within its grace.
    #[serde(default)]
    pub deaf: bool,
}

/// What the engines told of a stack's containers after a stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainersProof {
    /// How many were taken away.
    pub removed: u32,
    /// Those that are still there.
    pub left: Vec<LeftContainer>,
    /// Why nothing is proven, where an engine could not be asked.
    pub unproven: Option<ContainerTrouble>,
    /// Which engine that is.
    #[serde(default)]
    pub silent: Option<EngineKind>,
}

impl ContainersProof {
    /// No container of the stack is left, and the engine itself said so.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.left.is_empty() && self.unproven.is_none()
    }
}

/// A container of the stack that could not be taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftContainer {
    /// The engine's command.
    pub engine: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The unit that it belongs to, by its label.
    pub unit: Option<UnitName>,
    /// Why it is still there: the engine's words.
    pub reason: String,
}

/// Whose words an engine understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// `docker`.
    #[default]
    Docker,
    /// `podman`.
    Podman,
}

impl EngineKind {
    /// The name of its command.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerTrouble {
    /// The engine's command is not installed.
    NotInstalled {
        /// Which.
        program: String,
    },
    /// Nobody answers the engine's command, or not in time, or not any more.
    NotAnswering {
        /// Its words.
        text: String,
    },
    /// This user may not ask it.
    NotPermitted {
        /// Its words.
        text: String,
    },
    /// There is no such context.
    NoSuchContext {
        /// As written.
        context: String,
    },
    /// The name belongs to a container of somebody else.
    NameTaken {
        /// The name.
        name: String,
        /// Its id, and whose it seems to be: `3f2a… (image redis:7, compose project shop)`.
        by: String,
    },
    /// A port to publish is held by somebody.
    PortTaken {
        /// The port.
        port: u16,
        /// The container that publishes it, where it is one.
        container: Option<String>,
        /// The process that listens there, where it can be seen.
        holder: Option<PortHolder>,
    },
    /// The image is not here, and may not or cannot be fetched.
    NoImage {
        /// Its name.
        image: String,
        /// Why.
        why: MissingImage,
        /// The engine's words.
        text: String,
    },
    /// The image could not be built.
    NotBuilt {
        /// The last lines of the build.
        tail: Vec<String>,
    },
    /// There is no such network.
    NoSuchNetwork {
        /// As written.
        network: String,
    },
    /// The image has no such program, or it cannot be executed.
    NotExecutable {
        /// The engine's words.
        text: String,
    },
    /// Somebody took the container away while it ran.
    Removed,
    /// Anything else that the engine refused.
    Refused {
        /// Its words.
        text: String,
    },
}

/// Why an image is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingImage {
    /// `pull_policy: never`.
    NotPulled,
    /// The registry has none of this name, or does not show it to this user.
    NotInRegistry,
    /// The registry cannot be reached.
    Offline,
}

impl ContainerTrouble {
    /// Whether another try would only meet the same: somebody has to change something first.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::NotInstalled { .. }
            | Self::NotPermitted { .. }
            | Self::NoSuchContext { .. }
            | Self::NameTaken { .. }
            | Self::PortTaken { .. }
            | Self::NoImage { .. }
            | Self::NotBuilt { .. }
            | Self::NoSuchNetwork { .. }
            | Self::NotExecutable { .. } => true,
            Self::NotAnswering { .. } | Self::Removed | Self::Refused { .. } => false,
        }
    }
}

impl fmt::Display for ContainerTrouble {
    /// In one line; the command line has the long form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled { program } => write!(f, "{program} is not installed"),
            Self::NotAnswering { .. } => f.write_str("the container engine does not answer"),
            Self::NotPermitted { .. } => f.write_str("this user may not use the container engine"),
            Self::NoSuchContext { context } => write!(f, "there is no context {context}"),
            Self::NameTaken { name, by } => write!(f, "the name {name} belongs to container {by}"),
            Self::PortTaken { port, container: Some(by), .. } => {
                write!(f, "port {port} is in use by container {by}")
            }
            Self::PortTaken { port, holder: Some(by), .. } => write!(f, "port {port} is in use by {by}"),
            Self::PortTaken { port, container: None, holder: None } => write!(f, "port {port} is in use"),
            Self::NoImage { image, why, .. } => write!(f, "the image {image} {why}"),
            Self::NotBuilt { .. } => f.write_str("its image could not be built"),
            Self::NoSuchNetwork { network } => write!(f, "there is no network {network}"),
            Self::NotExecutable { .. } => f.write_str("its command cannot be executed in the container"),
            Self::Removed => f.write_str("somebody removed its container"),
            Self::Refused { text } => write!(f, "the container engine refused: {text}"),
        }
    }
}

impl fmt::Display for MissingImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPulled => "is not here, and is not to be pulled",
            Self::NotInRegistry => "is not here, and not in its registry",
            Self::Offline => "is not here, and its registry cannot be reached",
        })
    }
}
