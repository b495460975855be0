//! Why an engine did not do what it was asked, sorted from its exit code and its words.

use crate::domain::ContainerTrouble;
use crate::plan::EngineKind;

/// What an engine answered instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {text}")]
pub struct Trouble {
    /// What it is.
    pub kind: TroubleKind,
    /// The engine's own words, or the kernel's.
    pub text: String,
}

/// The kinds of trouble that are told apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TroubleKind {
    /// Neither docker nor podman is installed, or the one asked for is not.
    #[error("no container engine is installed")]
    NotInstalled,
    /// The command is there, and nobody answers it.
    #[error("the container engine does not answer")]
    NotRunning,
    /// It is there, and this user may not ask it.
    #[error("this user may not use the container engine")]
    NotPermitted,
    /// There is no such context.
    #[error("there is no such context")]
    NoSuchContext,
    /// A container has this name.
    #[error("a container with this name exists")]
    NameTaken {
        /// Its id, where it was told.
        by: Option<String>,
    },
    /// A port to publish is held by a process or by another container.
    #[error("a port to publish is taken")]
    PortTaken {
        /// Which, where it was told.
        port: Option<u16>,
    },
    /// The image is not here.
    #[error("the image is not here")]
    NoSuchImage,
    /// The registry has no such image, or does not show it to us.
    #[error("the registry has no such image")]
    NotInRegistry,
    /// The registry cannot be reached.
    #[error("the registry cannot be reached")]
    Offline,
    /// No such container.
    #[error("there is no such container")]
    NoSuchContainer,
    /// It does not run.
    #[error("the container does not run")]
    ContainerStopped,
    /// No such volume.
    #[error("there is no such volume")]
    NoSuchVolume,
    /// A container uses the volume.
    #[error("the volume is in use")]
    VolumeInUse,
    /// No such network.
    #[error("there is no such network")]
    NoSuchNetwork,
    /// The image has no such program, or it cannot be executed.
    #[error("the program cannot be executed in the container")]
    NotExecutable,
    /// It is set up to keep no log, or one that it cannot read.
    #[error("the container engine keeps no log of the container")]
    NoLog,
    /// It did not answer in time.
    #[error("the container engine did not answer in time")]
    TimedOut,
    /// Its answer was not what is expected of it.
    #[error("the answer of the container engine cannot be read")]
    Unreadable,
    /// Anything else.
    #[error("the container engine refused")]
    Other {
        /// The exit code of its command.
        code: Option<i32>,
    },
}

/// What words mean: the first row whose words all occur decides. In lower case; docker 20.10 to 28, podman 4.3.
///
/// What an engine wraps around a cause stands first in its message, so causes stand before what they are wrapped in.
const WORDS: &[(&[&str], TroubleKind)] = &[
    (&["permission denied while trying to connect"], TroubleKind::NotPermitted),
    (&["dial unix", "permission denied"], TroubleKind::NotPermitted),
    (&["cannot connect to the docker daemon"], TroubleKind::NotRunning),
    (&["unable to connect to podman"], TroubleKind::NotRunning),
    (&["cannot connect to podman"], TroubleKind::NotRunning),
    (&["error during connect"], TroubleKind::NotRunning),
    // The question of which version to speak found nobody; an engine that came back then heard the newest.
    (&["client version", "is too new"], TroubleKind::NotRunning),
    (&["unable to resolve docker endpoint"], TroubleKind::NoSuchContext),
    (&["service destination not found"], TroubleKind::NoSuchContext),
    (&["is already in use by"], TroubleKind::NameTaken { by: None }),
    (&["port is already allocated"], TroubleKind::PortTaken { port: None }),
    (&["address already in use"], TroubleKind::PortTaken { port: None }),
    (&["no such container"], TroubleKind::NoSuchContainer),
    (&["no container with name or id"], TroubleKind::NoSuchContainer),
    (&["no such object"], TroubleKind::NoSuchContainer),
    (&["no such volume"], TroubleKind::NoSuchVolume),
    (&["no volume with name"], TroubleKind::NoSuchVolume),
    (&["volume is in use"], TroubleKind::VolumeInUse),
    (&["volume is being used"], TroubleKind::VolumeInUse),
    (&["no such image"], TroubleKind::NoSuchImage),
    (&["image not known"], TroubleKind::NoSuchImage),
    (&["manifest unknown"], TroubleKind::NotInRegistry),
    (&["pull access denied"], TroubleKind::NotInRegistry),
    (&["requested access to the resource is denied"], TroubleKind::NotInRegistry),
    (&["repository does not exist"], TroubleKind::NotInRegistry),
    (&["dial tcp"], TroubleKind::Offline),
    (&["no such host"], TroubleKind::Offline),
    (&["tls handshake timeout"], TroubleKind::Offline),
    (&["client.timeout exceeded"], TroubleKind::Offline),
    (&["network is unreachable"], TroubleKind::Offline),
    (&["is not running"], TroubleKind::ContainerStopped),
    (&["container state improper"], TroubleKind::ContainerStopped),
    (&["unable to start container process"], TroubleKind::NotExecutable),
    (&["executable file", "not found"], TroubleKind::NotExecutable),
    (&["network", "not found"], TroubleKind::NoSuchNetwork),
    (&["logging driver does not support reading"], TroubleKind::NoLog),
    (&["this container is not logging output"], TroubleKind::NoLog),
];

impl Trouble {
    pub(super) fn new(kind: TroubleKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// What is wrong with the engine itself, for whoever has to tell it; given back where it is something else.
    pub fn with_the_engine(
        self,
        engine: EngineKind,
        context: Option<&str>,
    ) -> Result<ContainerTrouble, Self> {
        let text = self.text;
        Ok(match self.kind {
            TroubleKind::NotInstalled => {
                ContainerTrouble::NotInstalled { program: engine.command().to_owned() }
            }
            TroubleKind::NotRunning | TroubleKind::TimedOut => ContainerTrouble::NotAnswering { text },
            TroubleKind::NotPermitted => ContainerTrouble::NotPermitted { text },
            TroubleKind::NoSuchContext => {
                ContainerTrouble::NoSuchContext { context: context.unwrap_or_default().to_owned() }
            }
            kind => return Err(Self { kind, text }),
        })
    }

    /// The same; what is something else is told as a refusal, in its own words.
    #[must_use]
    pub fn told(self, engine: EngineKind, context: Option<&str>) -> ContainerTrouble {
        self.with_the_engine(engine, context)
            .unwrap_or_else(|other| ContainerTrouble::Refused { text: other.text })
    }

    /// Sorts what a command wrote when it failed.
    pub(super) fn sort(code: Option<i32>, written: &str) -> Self {
        let text = essence(written);
        let words = text.to_lowercase();
        let row = WORDS.iter().find(|(all, _)| all.iter().all(|one| words.contains(one)));
        let kind = match row.map(|(_, kind)| kind.clone()) {
            Some(TroubleKind::NameTaken { .. }) => TroubleKind::NameTaken { by: id(&words) },
            Some(TroubleKind::PortTaken { .. }) => TroubleKind::PortTaken { port: port(&words) },
            Some(kind) => kind,
            None => TroubleKind::Other { code },
        };
        Self { kind, text }
    }
}

/// What is said, without what stands around it: warnings, the program's name, advice where to read on.
fn essence(written: &str) -> String {
    const BEFORE: [&str; 4] = ["docker: ", "Error response from daemon: ", "Error: ", "OCI runtime error: "];
    let said = |line: &&str| {
        let noise = line.is_empty()
            || line.starts_with("WARNING: ")
            || line.starts_with("time=\"")
            || line.starts_with("See '")
            || line.starts_with("Run '")
            || line.contains("failed to start containers: ");
        !noise
    };
    let lines = written
        .lines()
        .map(str::trim)
        .filter(said)
        .map(|line| BEFORE.iter().fold(line, |line, word| line.strip_prefix(word).unwrap_or(line)));
    lines.collect::<Vec<_>>().join("; ")
}

/// An id of 64 hexadecimal digits.
fn id(words: &str) -> Option<String> {
    let mut runs = words.split(|c: char| !c.is_ascii_hexdigit());
    runs.find(|run| run.len() == 64).map(str::to_owned)
}

/// The port behind an address: `127.0.0.1:5432`, `[::]:5432`.
fn port(words: &str) -> Option<u16> {
    let ends = words.split([' ', ',']).map(|word| word.trim_end_matches(':'));
    ends.filter_map(|word| word.rsplit_once(':')).find_map(|(_, end)| end.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "b127e16cc82df069d105423b7488666b933adbe5db2c82726fe48268a897e956";

    /// As docker 28.2 and 20.10 (the second where it differs) and podman 4.3 wrote it.
    #[test]
    fn the_words_of_real_engines_are_sorted() {
        use TroubleKind as K;
        let cases: &[(&str, K)] = &[
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                K::NotRunning,
            ),
            (
                "WARNING: Error loading config file: open /x/config.json: permission denied\npermission denied while trying to connect to the Docker daemon socket at unix:///x/docker.sock: Get \"http://%2Fx%2Fdocker.sock/v1.50/containers/x/json\": dial unix /x/docker.sock: connect: permission denied",
                K::NotPermitted,
            ),
            ("unable to resolve docker endpoint: context \"nono\" does not exist", K::NoSuchContext),
            (
                "Failed to initialize: unable to resolve docker endpoint: context \"nono\": context not found: open /x/meta.json: no such file or directory",
                K::NoSuchContext,
            ),
            (
                "Error response from daemon: client version 1.50 is too new. Maximum supported API version is 1.41",
                K::NotRunning,
            ),
            (
                "Error response from daemon: driver failed programming external connectivity on endpoint ds-b (5a7bbfc384de28c92f0bfa7353c01b29f5d177b66a62aa6cf46f76abbfffd71c): Bind for 127.0.0.1:17777 failed: port is already allocated\nError: failed to start containers: ds-b",
                K::PortTaken { port: Some(17777) },
            ),
            (
                "Error response from daemon: driver failed programming external connectivity on endpoint ds-c (ceaf4f167251404783ec1950feecbfd889ba7f35a36c053a4d94e491bfb52249): Error starting userland proxy: listen tcp4 127.0.0.1:17778: bind: address already in use",
                K::PortTaken { port: Some(17778) },
            ),
            (
                "Error: cannot listen on the TCP port: listen tcp4 127.0.0.1:18777: bind: address already in use",
                K::PortTaken { port: Some(18777) },
            ),
            ("Error response from daemon: No such image: devstack-test/nono:latest", K::NoSuchImage),
            ("Error: No such image: nono", K::NoSuchImage),
            (
                "Error response from daemon: manifest for 127.0.0.1:15001/devstack-test/nono:latest not found: manifest unknown: manifest unknown",
                K::NotInRegistry,
            ),
            (
                "Error response from daemon: Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                K::Offline,
            ),
            (
                "Error response from daemon: Get \"https://no-such-host.invalid/v2/\": dial tcp: lookup no-such-host.invalid on 10.255.255.53:53: no such host",
                K::Offline,
            ),
            (
                "Trying to pull 127.0.0.1:1/nono:latest...\nError: initializing source docker://127.0.0.1:1/nono:latest: pinging container registry 127.0.0.1:1: Get \"https://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                K::Offline,
            ),
            ("Error response from daemon: No such container: nono", K::NoSuchContainer),
            ("Error: inspecting object: no such object: \"nono\"", K::NoSuchContainer),
            (
                "Error response from daemon: Container 0ce25669e3ae85f679b54e0011759a45300a718d90a428f25150640f66b53c0a is not running",
                K::ContainerStopped,
            ),
            ("Error response from daemon: get nono: no such volume", K::NoSuchVolume),
            ("Error: No such volume: nono", K::NoSuchVolume),
            ("Error response from daemon: remove vola: volume is in use - [b127]", K::VolumeInUse),
            (
                "Error response from daemon: network nono not found\nError: failed to start containers: ds-b",
                K::NoSuchNetwork,
            ),
            (
                "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/no/such\": stat /no/such: no such file or directory: unknown\n\nRun 'docker run --help' for more information",
                K::NotExecutable,
            ),
            (
                "docker: invalid spec: /relative:bad:bad:bad: too many colons\n\nRun 'docker create --help' for more information",
                K::Other { code: Some(125) },
            ),
        ];
        for (written, kind) in cases {
            assert_eq!(Trouble::sort(Some(125), written).kind, *kind, "{written}");
        }
    }

    #[test]
    fn who_has_the_name_is_told() {
        let podman = format!(
            "Error: creating container storage: the container name \"aa\" is already in use by {ID}. You have to remove that container to be able to reuse that name: that name is already in use"
        );
        let docker = format!(
            "Error response from daemon: Conflict. The container name \"/ds-a\" is already in use by container \"{ID}\". You have to remove (or rename) that container to be able to reuse that name."
        );
        for written in [podman, docker] {
            let kind = TroubleKind::NameTaken { by: Some(ID.to_owned()) };
            assert_eq!(Trouble::sort(Some(1), &written).kind, kind);
        }
    }

    #[test]
    fn advice_and_warnings_are_left_out() {
        let written = "WARNING: old\ndocker: Error response from daemon: No such image: x\n\nRun 'docker run --help' for more information\n";
        assert_eq!(Trouble::sort(Some(125), written).to_string(), "the image is not here: No such image: x");
    }
}
