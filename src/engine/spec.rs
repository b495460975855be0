//! What a container is made of, and the words that ask for it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// A container to be made. The engine never starts it anew by itself: that is decided elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// The image, which has to be here.
    pub image: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports.
    pub publish: Vec<Publish>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Volumes and directories, as the engine writes them: `pgdata:/var/lib/postgresql/data`.
    pub volumes: Vec<String>,
    /// The same in the long form, for what the short one cannot say: `type=volume,src=pgdata,dst=/data`.
    pub mounts: Vec<String>,
    /// Instead of the image's own entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's own command.
    pub command: Vec<String>,
    /// The user inside.
    pub user: Option<String>,
    /// The working directory inside.
    pub working_dir: Option<String>,
    /// The network.
    pub network: Option<String>,
    /// Instead of the image's own stop signal.
    pub stop_signal: Option<String>,
    /// Bytes of memory at most.
    pub memory: Option<u64>,
    /// Processors at most, as it is written: `1.5`.
    pub cpus: Option<String>,
    /// Processes at most.
    pub pids: Option<u32>,
}

/// A port of the host that leads to one inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The address of the host; none for every one of them.
    pub address: Option<IpAddr>,
    /// The port of the host.
    pub host: u16,
    /// The port inside.
    pub inside: u16,
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:{}:{}", self.host, self.inside),
            Some(address) => write!(f, "{address}:{}:{}", self.host, self.inside),
            None => write!(f, "{}:{}", self.host, self.inside),
        }
    }
}

/// How an image is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// The name that it gets.
    pub image: String,
    /// The directory that is sent.
    pub dir: PathBuf,
    /// The file with the instructions, where it is not the usual one in that directory.
    pub file: Option<PathBuf>,
    /// Arguments, in order.
    pub args: Vec<(String, String)>,
    /// The stage, if not the last.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
}

impl Build {
    /// The words of `build`. Arguments whose names the command does not look at itself travel in its environment.
    pub(super) fn words(&self) -> Vec<OsString> {
        // A step that fails must not leave the container behind that it ran in.
        let mut words: Vec<OsString> =
            vec!["build".into(), "--force-rm".into(), format!("--tag={}", self.image).into()];
        if let Some(file) = &self.file {
            words.push("--file".into());
            words.push(self.dir.join(file).into());
        }
        words.extend(self.target.iter().map(|target| format!("--target={target}").into()));
        words.extend(self.labels.iter().map(|(name, value)| format!("--label={name}={value}").into()));
        for (name, value) in &self.args {
            let arg = if travels(name) { name.clone() } else { format!("{name}={value}") };
            words.push(format!("--build-arg={arg}").into());
        }
        words.push("--".into());
        words.push(self.dir.clone().into());
        words
    }

    /// The arguments that travel in the environment.
    pub(super) fn travelling(&self) -> impl Iterator<Item = (&String, &String)> {
        self.args.iter().filter(|(name, _)| travels(name)).map(|(name, value)| (name, value))
    }
}

/// What the engine's command itself looks at: given to a container by name it would lead the command astray.
const READ_BY_COMMANDS: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "XDG_",
    "DOCKER_",
    "BUILDKIT_",
    "CONTAINER_",
    "CONTAINERS_",
    "STORAGE_",
    "REGISTRY_",
    "SSL_CERT_",
    "SSH_",
    "LD_",
];

impl ContainerSpec {
    /// The words of `create` or `run`. What is secret is not among them: everybody may read a command line.
    pub(super) fn words(&self, verb: &[&str]) -> Vec<String> {
        let mut words: Vec<String> =
            verb.iter().chain(&["--pull=never", "--restart=no"]).map(|word| (*word).to_owned()).collect();
        let mut say = |option: &str, value: &str| words.push(format!("--{option}={value}"));
        say("name", &self.name);
        for (name, value) in &self.labels {
            say("label", &format!("{name}={value}"));
        }
        for port in &self.publish {
            say("publish", &port.to_string());
        }
        for (name, value) in &self.environment {
            if travels(name) { say("env", name) } else { say("env", &format!("{name}={value}")) }
        }
        for volume in &self.volumes {
            say("volume", volume);
        }
        for mount in &self.mounts {
            say("mount", mount);
        }
        let (memory, pids) =
            (self.memory.map(|bytes| bytes.to_string()), self.pids.map(|pids| pids.to_string()));
        let options = [
            ("user", &self.user),
            ("workdir", &self.working_dir),
            ("network", &self.network),
            ("stop-signal", &self.stop_signal),
            ("memory", &memory),
            ("cpus", &self.cpus),
            ("pids-limit", &pids),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                say(option, value);
            }
        }
        let mut inside = Vec::new();
        if let Some((program, rest)) = self.entrypoint.as_ref().and_then(|words| words.split_first()) {
            // The option takes one word: the others are the first of the command.
            say("entrypoint", program);
            inside.extend(rest.iter().cloned());
        }
        inside.extend(self.command.iter().cloned());
        words.extend(["--".to_owned(), self.image.clone()]);
        words.extend(inside);
        words
    }

    /// The variables that travel in the environment of the command, from where the engine takes them by name.
    pub(super) fn travelling(&self) -> impl Iterator<Item = (&String, &String)> {
        self.environment.iter().filter(|(name, _)| travels(name))
    }
}

fn travels(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let read = READ_BY_COMMANDS.iter().any(|one| match one.strip_suffix('_') {
        Some(_) => upper.starts_with(one),
        None => upper == **one,
    });
    !read && !upper.ends_with("_PROXY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_no_words_of_a_command() {
        let environment = [("POSTGRES_PASSWORD", "s3cret"), ("PATH", "/bin"), ("DOCKER_HOST", "tcp://x")];
        let spec = ContainerSpec {
            name: "shop-db".into(),
            image: "postgres:16".into(),
            environment: environment.map(|(name, value)| (name.into(), value.into())).into(),
            publish: vec![Publish { address: Some([127, 0, 0, 1].into()), host: 5433, inside: 5432 }],
            entrypoint: Some(vec!["sh".into(), "-c".into()]),
            command: vec!["--odd".into()],
            ..ContainerSpec::default()
        };
        let words = spec.words(&["create"]);
        assert_eq!(
            words,
            [
                "create",
                "--pull=never",
                "--restart=no",
                "--name=shop-db",
                "--publish=127.0.0.1:5433:5432",
                "--env=DOCKER_HOST=tcp://x",
                "--env=PATH=/bin",
                "--env=POSTGRES_PASSWORD",
                "--entrypoint=sh",
                "--",
                "postgres:16",
                "-c",
                "--odd",
            ]
        );
        let travelling: Vec<&str> = spec.travelling().map(|(name, _)| name.as_str()).collect();
        assert_eq!(travelling, ["POSTGRES_PASSWORD"]);
    }

    #[test]
    fn an_address_is_written_as_engines_read_it() {
        let port = |address: Option<&str>| {
            let address = address.map(|text| text.parse().expect("an address"));
            Publish { address, host: 80, inside: 8080 }.to_string()
        };
        assert_eq!(port(None), "80:8080");
        assert_eq!(port(Some("::1")), "[::1]:80:8080");
    }
}
