//! A service in a container: all that its engine must be told, resolved.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::domain::EngineKind;

use crate::domain::ContainerView;

/// A container, resolved. What it shares with processes (environment, grace, gate, logs) is in its unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// Whose command is used.
    pub engine: EngineKind,
    /// A context of docker, or a connection of podman; none for the one that is set up.
    pub context: Option<String>,
    /// The container's name: the manifest's, or one that no other checkout has.
    pub name: String,
    /// The image; with `build`, the name under which it is built.
    pub image: String,
    /// How the image is built, where it is.
    pub build: Option<BuildPlan>,
    /// When the image is fetched.
    pub pull: PullPolicy,
    /// Ports of the host that lead inside; the hosts' own numbers are the unit's ports.
    pub publish: Vec<PublishPlan>,
    /// What is mounted.
    pub volumes: Vec<VolumePlan>,
    /// Instead of the image's own entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's own command; empty for that.
    pub command: Vec<String>,
    /// The user inside.
    pub user: Option<String>,
    /// The directory inside.
    pub working_dir: Option<String>,
    /// The network.
    pub network: Option<String>,
    /// Instead of the image's own stop signal.
    pub stop_signal: Option<String>,
    /// Bytes of memory at most.
    pub memory: Option<u64>,
    /// Processors at most, in thousandths.
    pub cpus_milli: Option<u64>,
    /// Processes at most.
    pub pids: Option<u32>,
}

impl ContainerPlan {
    /// What views show of it before its shim has told anything.
    #[must_use]
    pub fn view(&self) -> ContainerView {
        ContainerView {
            engine: self.engine.command().to_owned(),
            name: self.name.clone(),
            image: self.image.clone(),
            state: None,
        }
    }
}

/// When an image is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Where it is not here.
    #[default]
    Missing,
    /// At each start.
    Always,
    /// Never.
    Never,
}

/// How an image is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildPlan {
    /// The directory that is sent, absolute.
    pub dir: PathBuf,
    /// The file with the instructions, absolute or seen from `dir`.
    pub dockerfile: Option<PathBuf>,
    /// Build arguments, in order.
    pub args: Vec<(String, String)>,
    /// The stage.
    pub target: Option<String>,
}

/// A port of the host that leads to one inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishPlan {
    /// The address of the host.
    pub address: IpAddr,
    /// The port of the host.
    pub host: u16,
    /// The port inside.
    pub inside: u16,
}

/// Something that is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePlan {
    /// What.
    pub source: VolumeSource,
    /// Where it is inside.
    pub inside: String,
    /// The engine's own options (`ro`), or empty.
    pub options: String,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeSource {
    /// A volume of this stack: its name in the manifest, and the engine's, which no other checkout has.
    Named {
        /// As written.
        written: String,
        /// As the engine knows it.
        name: String,
        /// It is not this stack's: it gets none of its labels, and is never removed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        external: bool,
    },
    /// A directory or file of the host, absolute.
    Path(PathBuf),
    /// A volume without a name, that goes with the container.
    Anonymous,
}
