//! The engine of `scripts/engine`, started once for all tests of this binary and ended with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use devstack::engine::Client;
use devstack::plan::EngineKind;
use serde_json::Value;

use crate::world::{Ran, command_line, finish, is_root, numbers, runs, skip, stat};

/// The image of a program that does nothing, or what it is told to.
const IMAGE: &str = "devstack-test/idle";

/// An engine that answers and has the image.
pub(crate) struct Engine {
    program: EngineKind,
    /// What leads its command to it, and to nobody's own.
    variables: Vec<(String, String)>,
}

/// The engine, or none where none can be had; the test then says so, loudly, and ends.
pub(crate) fn engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    if !is_root() {
        skip("an engine of its own needs root");
        return None;
    }
    had("container engine", ENGINE.get_or_init(Engine::start))
}

/// What a test needs, or none: it says so, loudly, and ends. With `DEVSTACK_TEST_ENGINE_REQUIRED` set, as where nobody
/// reads what is said, it fails.
pub(crate) fn had<T>(what: &str, thing: &'static Result<T, String>) -> Option<&'static T> {
    let why = match thing {
        Ok(thing) => return Some(thing),
        Err(why) => format!("no {what}: {}", why.trim_end()),
    };
    assert!(std::env::var_os("DEVSTACK_TEST_ENGINE_REQUIRED").is_none(), "{why}");
    skip(&why);
    None
}

/// The same where it is one with a daemon and a socket, which podman has not.
pub(crate) fn daemon() -> Option<&'static Engine> {
    engine().filter(|engine| !engine.is_podman())
}

/// A registry of the engine's own that holds the idle image, and where it is; none where none can be had.
pub(crate) fn registry() -> Option<&'static str> {
    static REGISTRY: OnceLock<Result<String, String>> = OnceLock::new();
    let started = REGISTRY.get_or_init(|| {
        let found = variables(&script(&installing(&["registry"]), &["idle"])?);
        let at = found.into_iter().find(|(name, _)| name == "DEVSTACK_TEST_REGISTRY");
        Ok(at.expect("its address").1)
    });
    had("registry", started).map(String::as_str)
}

impl Engine {
    /// `DEVSTACK_TEST_ENGINE=podman` chooses the other one, which not every test is for.
    fn start() -> Result<Self, String> {
        let podman = std::env::var_os("DEVSTACK_TEST_ENGINE").is_some_and(|engine| engine == "podman");
        let me = std::process::id().to_string();
        let verb = if podman { "podman" } else { "start" };
        let mut told = script(&installing(&[verb]), &["--for", &me])?;
        if !podman {
            told = script(&["images"], &["idle"])?;
        }
        if podman {
            // Its monitor leaves files where its command runs: they go with the engine, and do not lie in the checkout.
            let places = variables(&told);
            let conf = places
                .iter()
                .find(|(name, _)| name == "CONTAINERS_CONF")
                .map(|(_, path)| PathBuf::from(path));
            let dir = conf.and_then(|path| path.parent().map(Path::to_owned)).expect("its own place");
            std::env::set_current_dir(dir).expect("it is there");
        }
        let program = if podman { EngineKind::Podman } else { EngineKind::Docker };
        Ok(Self { program, variables: variables(&told) })
    }

    /// Whether it is podman: no daemon, no socket, no proxy.
    pub(crate) fn is_podman(&self) -> bool {
        self.program == EngineKind::Podman
    }

    /// Its command.
    pub(crate) fn name(&self) -> &'static str {
        self.program.command()
    }

    fn variable(&self, wanted: &str) -> &str {
        let found = self.variables.iter().find(|(name, _)| name == wanted);
        found.map_or_else(|| panic!("no {wanted}"), |(_, value)| value)
    }

    /// A command for this engine, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.name());
        command.args(args).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What devstack asks this engine through.
    pub(crate) fn client(&self) -> Client {
        let client = Client::new(self.program);
        self.variables.iter().fold(client, |client, (name, value)| client.env(name, value))
    }

    /// Runs a command, which must go well.
    #[track_caller]
    pub(crate) fn docker(&self, args: &[&str]) -> Ran {
        finish(self.command(args)).expect(0)
    }

    /// The environment that leads to this engine, as a manifest's `environment`.
    pub(crate) fn environment(&self) -> String {
        let entries: Vec<String> =
            self.variables.iter().map(|(name, value)| format!("{name}: '{value}'")).collect();
        format!("{{ {} }}", entries.join(", "))
    }

    /// Where the engine keeps its socket and everything else.
    pub(crate) fn dir(&self) -> PathBuf {
        let socket = PathBuf::from(self.variable("DOCKER_HOST").strip_prefix("unix://").expect("a socket"));
        socket.parent().expect("a directory").to_owned()
    }

    /// The daemon.
    pub(crate) fn daemon(&self) -> i32 {
        let number = std::fs::read_to_string(self.dir().join("docker.pid")).expect("it runs");
        number.trim().parse().expect("a number")
    }

    /// Starts a container that serves its own files by HTTP on a published port.
    pub(crate) fn serve(&'static self, name: &str, port: u16) -> Container {
        self.serve_with(name, port, &[])
    }

    /// The same with more options.
    pub(crate) fn serve_with(&'static self, name: &str, port: u16, options: &[&str]) -> Container {
        let publish = format!("127.0.0.1:{port}:80");
        let mut args = vec!["run", "-d", "--name", name, "-p", &publish];
        args.extend(options);
        args.extend([IMAGE, "httpd", "-f", "-p", "80", "-h", "/", "-r", name]);
        let id = self.docker(&args).out.trim().to_owned();
        Container { engine: self, id, name: name.to_owned(), port }
    }

    /// A container that somebody else has started.
    pub(crate) fn adopt(&'static self, name: &str, port: u16) -> Container {
        let id = self.docker(&["inspect", "--format", "{{.Id}}", name]).out.trim().to_owned();
        Container { engine: self, id, name: name.to_owned(), port }
    }
}

/// What `scripts/engine` exports.
fn variables(told: &str) -> Vec<(String, String)> {
    let words = told.split_ascii_whitespace().filter_map(|word| word.split_once('='));
    words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A test installs nothing on somebody's own machine.
fn installing<'a>(verb: &[&'a str]) -> Vec<&'a str> {
    let more: &[&str] = if std::env::var_os("CI").is_none() { &["--no-install"] } else { &[] };
    [verb, more].concat()
}

/// `scripts/engine`: what it says on standard output.
pub(crate) fn script(verb: &[&str], args: &[&str]) -> Result<String, String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/engine");
    let mut command = Command::new(path);
    command.args(verb).args(args).stdin(Stdio::null());
    let ran = finish(command);
    if ran.status.success() { Ok(ran.out) } else { Err(ran.err) }
}

/// A container of a test, removed when the test ends.
pub(crate) struct Container {
    engine: &'static Engine,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// One process of the engine or of a container, by number and start time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) role: &'static str,
    pub(crate) pid: i32,
    start: u64,
}

impl Container {
    pub(crate) fn inspect(&self) -> Value {
        let all = self.engine.docker(&["inspect", &self.id]).json();
        all[0].clone()
    }

    /// Everything that must live on: the daemon, the proxy of the port, the shim, the container's own process.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let proxy = only("docker-proxy", &format!("-host-port {} ", self.port));
        let shim = only("containerd-shim", &format!("-id {} ", self.id));
        let inside = self.inspect()["State"]["Pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let containerd = only("containerd", &format!("{}/exec/containerd/", self.engine.dir().display()));
        [
            ("dockerd", self.engine.daemon()),
            ("containerd", containerd),
            ("containerd-shim", shim),
            ("docker-proxy", proxy),
            ("inside", inside.expect("it runs")),
        ]
        .into_iter()
        .map(|(role, pid)| Process { role, pid, start: stat(pid).expect("it runs").start })
        .collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.engine.command(&["rm", "-f", "-v", &self.id]).output();
    }
}

/// The one process of this program whose command line holds these words.
fn only(program: &str, words: &str) -> i32 {
    let is_it = |pid: &i32| {
        let line = command_line(*pid) + " ";
        let name =
            line.split(' ').next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        let same = name == program || (program == "containerd-shim" && name.starts_with("containerd-shim-"));
        same && line.contains(words) && runs(*pid)
    };
    let found: Vec<i32> = numbers().into_iter().filter(is_it).collect();
    let [pid] = found[..] else { panic!("{program} {words}: {found:?}") };
    pid
}
