//! The keys of a container as YAML, within `devstack config`.

use super::render::{Fields, Writer, Yaml, address, field};
use super::{BuildPlan, ContainerPlan, Plan, PublishPlan, PullPolicy, VolumePlan, VolumeSource};

impl Writer {
    /// What makes the service a container.
    pub(super) fn container(&self, container: &ContainerPlan, fields: &mut Fields) {
        fields.push(field("image", self.text(&container.image)));
        fields.extend(container.build.as_ref().map(|build| field("build", self.build(build))));
        fields.push(field("container_name", self.text(&container.name)));
        let pull = match (container.pull, &container.build) {
            (PullPolicy::Missing, _) => "missing",
            (PullPolicy::Always, None) => "always",
            (PullPolicy::Always, Some(_)) => "build",
            (PullPolicy::Never, _) => "never",
        };
        fields.push(field("pull_policy", self.text(pull)));
        let words = |words: &[String]| Yaml::List(words.iter().map(|word| self.text(word)).collect());
        fields.extend(container.entrypoint.as_ref().map(|entrypoint| field("entrypoint", words(entrypoint))));
        if !container.command.is_empty() {
            fields.push(field("command", words(&container.command)));
        }
        let texts = [
            ("working_dir", &container.working_dir),
            ("user", &container.user),
            ("network", &container.network),
            ("context", &container.context),
            ("stop_signal", &container.stop_signal),
        ];
        fields.extend(texts.iter().filter_map(|(key, text)| Some(field(key, self.text(text.as_ref()?)))));
        let volumes: Vec<Yaml> = container.volumes.iter().map(|volume| self.volume(volume)).collect();
        if !volumes.is_empty() {
            fields.push(field("volumes", Yaml::List(volumes)));
        }
    }

    /// The volumes of the engine that anything mounts, by the names that the engine knows.
    pub(super) fn named_volumes(&self, plan: &Plan) -> Fields {
        let containers = plan.units.iter().filter_map(|unit| unit.container.as_ref());
        let mut volumes = std::collections::BTreeMap::new();
        for volume in containers.flat_map(|container| &container.volumes) {
            if let VolumeSource::Named { written, name, external } = &volume.source {
                let mut about = vec![field("name", self.text(name))];
                about.extend(external.then(|| field("external", Yaml::True)));
                volumes.insert(written.clone(), Yaml::Map(about));
            }
        }
        volumes.into_iter().collect()
    }

    fn build(&self, build: &BuildPlan) -> Yaml {
        let mut fields = vec![field("context", self.text(&build.dir.display().to_string()))];
        let file = build.dockerfile.as_ref();
        fields.extend(file.map(|file| field("dockerfile", self.text(&file.display().to_string()))));
        if !build.args.is_empty() {
            let args = build.args.iter().map(|(name, value)| self.named(name, value)).collect();
            fields.push(field("args", Yaml::Map(args)));
        }
        fields.extend(build.target.as_ref().map(|target| field("target", self.text(target))));
        Yaml::Map(fields)
    }

    fn volume(&self, volume: &VolumePlan) -> Yaml {
        let options = if volume.options.is_empty() { String::new() } else { format!(":{}", volume.options) };
        let inside = &volume.inside;
        self.text(&match &volume.source {
            VolumeSource::Named { written, .. } => format!("{written}:{inside}{options}"),
            VolumeSource::Path(path) => format!("{}:{inside}{options}", path.display()),
            VolumeSource::Anonymous => inside.clone(),
        })
    }
}

/// A port with everything that the manifest may leave out.
pub(super) fn port(publish: &PublishPlan) -> Yaml {
    let host = address(&publish.address.to_string(), publish.host);
    Yaml::Text(format!("{host}:{}", publish.inside))
}
