//! What a shim is told, and what it makes of it for the engine.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{Life, StackName};
use crate::engine::{Build, ContainerSpec, Publish, label};
use crate::plan::{ContainerPlan, EngineKind, Probe, UnitPlan, VolumePlan, VolumeSource};
use crate::store::{HomeError, private_dir, read_whole, write_whole};

/// All that a shim must know. It holds the environment of the container with its secrets: the file is its user's alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShimSpec {
    /// The hash of the stack's manifest.
    pub stack: String,
    /// Whose its containers and volumes are: [`label::owner`].
    pub owner: String,
    /// The stack's name, for people.
    pub name: StackName,
    /// The life that this shim is the leader of.
    pub life: Life,
    /// The unit; it is one in a container.
    pub unit: UnitPlan,
    /// Where the shim tells what becomes of the container: [`StackDir::container_state`](crate::store::StackDir).
    pub state: PathBuf,
    /// Where it keeps how much of the log was told, for the shim of the next life:
    /// [`StackDir::container_position`](crate::store::StackDir).
    pub position: PathBuf,
}

impl ShimSpec {
    /// Writes it where `devstack __container` will read it, mode 0600; makes the directory.
    pub fn write(&self, path: &Path) -> Result<(), HomeError> {
        if let Some(dir) = path.parent() {
            private_dir(dir)?;
        }
        write_whole(path, self)
    }

    /// Reads it.
    pub fn read(path: &Path) -> io::Result<Self> {
        let spec: Self = serde_json::from_slice(&read_whole(path)?)?;
        if spec.unit.container.is_none() {
            return Err(io::Error::other(format!("{} is in no container", spec.unit.name)));
        }
        Ok(spec)
    }

    /// The labels of all that is made for this unit.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = [
            (label::STACK, self.stack.clone()),
            (label::OWNER, self.owner.clone()),
            (label::NAME, self.name.to_string()),
            (label::SERVICE, self.unit.name.to_string()),
            (label::LIFE, self.life.to_string()),
            (label::DEFINITION, self.unit.definition.clone()),
        ];
        labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Whether anybody wants to know what the image's own health check says.
    pub(super) fn asks_own_health(&self) -> bool {
        let health = self.unit.health.iter().flat_map(|health| &health.probes);
        self.unit.gate.iter().chain(health).any(|probe| *probe == Probe::Own)
    }

    /// The container, as the engine is asked for it.
    pub(super) fn wanted(&self, plan: &ContainerPlan) -> ContainerSpec {
        let mut wanted = ContainerSpec {
            name: plan.name.clone(),
            image: plan.image.clone(),
            labels: self.labels(),
            publish: plan
                .publish
                .iter()
                .map(|port| Publish { address: Some(port.address), host: port.host, inside: port.inside })
                .collect(),
            environment: self.unit.environment.clone(),
            volumes: Vec::new(),
            mounts: Vec::new(),
            entrypoint: plan.entrypoint.clone(),
            command: plan.command.clone(),
            user: plan.user.clone(),
            working_dir: plan.working_dir.clone(),
            network: plan.network.clone(),
            stop_signal: plan.stop_signal.clone(),
            memory: plan.memory,
            cpus: plan.cpus_milli.map(|milli| format!("{}.{:03}", milli / 1000, milli % 1000)),
            pids: plan.pids,
        };
        for volume in &plan.volumes {
            match self.mount(plan.engine, volume) {
                Mounted::Long(mount) => wanted.mounts.push(mount),
                Mounted::Short(volume) => wanted.volumes.push(volume),
            }
        }
        wanted
    }

    /// The image's build, where it has one.
    pub(super) fn build(&self, plan: &ContainerPlan) -> Option<Build> {
        let build = plan.build.as_ref()?;
        let labels = [
            (label::STACK, self.stack.clone()),
            (label::OWNER, self.owner.clone()),
            (label::NAME, self.name.to_string()),
        ];
        Some(Build {
            image: plan.image.clone(),
            dir: build.dir.clone(),
            file: build.dockerfile.clone(),
            args: build.args.clone(),
            target: build.target.clone(),
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        })
    }

    /// The named volumes that must be made by a question of their own, because the mount cannot bring their labels.
    pub(super) fn volumes_to_make(&self, plan: &ContainerPlan) -> Vec<(String, Vec<(String, String)>)> {
        let named = plan.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::Named { written, name, external: false } => Some((volume, written, name)),
            VolumeSource::Named { .. } | VolumeSource::Path(_) | VolumeSource::Anonymous => None,
        });
        named
            .filter(|(volume, _, _)| matches!(self.mount(plan.engine, volume), Mounted::Short(_)))
            .map(|(_, written, name)| (name.clone(), self.volume_labels(written)))
            .collect()
    }

    /// No life and no definition: a volume outlives them.
    fn volume_labels(&self, written: &str) -> Vec<(String, String)> {
        let labels = [
            (label::STACK, &*self.stack),
            (label::OWNER, &self.owner),
            (label::NAME, self.name.as_str()),
            (label::VOLUME, written),
        ];
        labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    fn mount(&self, engine: EngineKind, volume: &VolumePlan) -> Mounted {
        let (inside, options) = (&volume.inside, &volume.options);
        let short = |source: &str| {
            let parts = [source, inside, options];
            Mounted::Short(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(":"))
        };
        match &volume.source {
            VolumeSource::Anonymous => short(""),
            VolumeSource::Path(path) => {
                let path = path.to_string_lossy();
                match long_options(options) {
                    // In the short form a colon parts source and target. In the long one a missing directory is not made.
                    Some(more) if path.contains(':') => {
                        Mounted::Long(long("bind", &path, inside, more, Vec::new()))
                    }
                    _ => short(&path),
                }
            }
            // With no label of ours it is never taken for ours.
            VolumeSource::Named { name, external: true, .. } => short(name),
            VolumeSource::Named { written, name, external: false } => match (engine, long_options(options)) {
                (EngineKind::Docker, Some(more)) => {
                    Mounted::Long(long("volume", name, inside, more, self.volume_labels(written)))
                }
                _ => short(name),
            },
        }
    }
}

/// One mount, in one of the two ways to say it.
enum Mounted {
    Long(String),
    Short(String),
}

/// The options of the short form in the words of the long one; none where it has no word for one of them.
fn long_options(options: &str) -> Option<Vec<&'static str>> {
    let word = |option: &str| match option {
        "rw" => Some(None),
        "ro" => Some(Some("readonly")),
        "nocopy" => Some(Some("volume-nocopy")),
        _ => None,
    };
    let options = options.split(',').filter(|option| !option.is_empty());
    options.map(word).collect::<Option<Vec<_>>>().map(|words| words.into_iter().flatten().collect())
}

/// The long form: fields as CSV.
fn long(kind: &str, source: &str, inside: &str, more: Vec<&str>, labels: Vec<(String, String)>) -> String {
    let mut fields = vec![format!("type={kind}"), format!("src={source}"), format!("dst={inside}")];
    fields.extend(more.into_iter().map(str::to_owned));
    fields.extend(labels.into_iter().map(|(name, value)| format!("volume-label={name}={value}")));
    let quoted = |field: &String| {
        if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() }
    };
    fields.iter().map(quoted).collect::<Vec<_>>().join(",")
}
