//! The manifest as written: structure checked, texts not yet substituted, every value with its place.

use std::sync::Arc;

use crate::domain::UnitName;

use super::Span;

/// A text of the manifest, before substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// As YAML gives it.
    pub value: Arc<str>,
    /// Where it stands.
    pub span: Span,
    /// Where its first byte stands, if each of its bytes stands in the file as it is (no escapes, no folding).
    pub verbatim: Option<u32>,
}

/// A whole manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// `name`.
    pub name: Option<Text>,
    /// `env_file`, earliest first.
    pub env_files: Vec<EnvFileRef>,
    /// `environment`.
    pub environment: Vec<Variable>,
    /// `defaults`.
    pub defaults: Settings,
    /// `services`, in the order of the file.
    pub services: Vec<Service>,
    /// `volumes`.
    pub volumes: Vec<NamedVolume>,
    /// `limits`.
    pub limits: StackLimitKeys,
    /// `sweep`.
    pub sweep: Sweep,
    /// `monitor`.
    pub monitor: Monitor,
    /// `budgets`.
    pub budgets: Budgets,
    /// Names of services that are there but cannot be read: nobody is told that they are missing.
    pub broken: Vec<UnitName>,
}

/// One of the stack's `volumes`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedVolume {
    /// What services call it.
    pub name: Text,
    /// `name`: what the engine calls it.
    pub own: Option<Text>,
    /// `external`: it is not this stack's.
    pub external: bool,
}

/// One service or task.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: UnitName,
    /// Where its name stands.
    pub at: Span,
    /// What stands under it.
    pub settings: Settings,
}

/// What stands under a service or under `defaults`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `command`.
    pub command: Option<Command>,
    /// A command is meant (`command` or a key of containers), even if it cannot be read.
    pub has_command: bool,
    /// `working_dir`.
    pub working_dir: Option<Text>,
    /// `environment`.
    pub environment: Vec<Variable>,
    /// `env_file`, earliest first.
    pub env_files: Vec<EnvFileRef>,
    /// `user`.
    pub user: Option<Text>,
    /// `type`.
    pub kind: Option<Text>,
    /// `ports`.
    pub ports: Vec<PortEntry>,
    /// `depends_on`.
    pub depends_on: Vec<Arrow>,
    /// `ready`.
    pub ready: Option<Box<Check>>,
    /// `health`.
    pub health: Option<Box<Check>>,
    /// `start_timeout`.
    pub start_timeout: Option<Text>,
    /// `restart`.
    pub restart: Option<Text>,
    /// `stop_signal`.
    pub stop_signal: Option<Text>,
    /// `stop_grace_period`.
    pub stop_grace_period: Option<Text>,
    /// `stop_command`.
    pub stop_command: Option<Command>,
    /// `on_supervisor_exit`.
    pub on_supervisor_exit: Option<Text>,
    /// `profiles`.
    pub profiles: Vec<Text>,
    /// `labels`.
    pub labels: Vec<Variable>,
    /// `logs.max_size`.
    pub log_size: Option<Text>,
    /// `logs.max_files`.
    pub log_files: Option<Text>,
    /// `limits`.
    pub limits: LimitKeys,
    /// What makes it a container.
    pub container: Option<Box<ContainerKeys>>,
}

/// `limits` of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitKeys {
    /// `memory`.
    pub memory: Option<Text>,
    /// `cpus`.
    pub cpus: Option<Text>,
    /// `pids`.
    pub pids: Option<Text>,
    /// `runtime`.
    pub runtime: Option<Text>,
    /// `idle`.
    pub idle: Option<Text>,
    /// `open_files`.
    pub open_files: Option<Text>,
    /// `on_breach`.
    pub on_breach: Option<Text>,
    /// `for`.
    pub sustained: Option<Text>,
}

/// `limits` of the stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackLimitKeys {
    /// `memory`.
    pub memory: Option<Text>,
    /// `cpus`.
    pub cpus: Option<Text>,
    /// `pids`.
    pub pids: Option<Text>,
    /// `jobs`.
    pub jobs: Option<Text>,
    /// `job_timeout`.
    pub job_timeout: Option<Text>,
}

/// The keys of a service that is a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerKeys {
    /// `image`.
    pub image: Option<Text>,
    /// `build`.
    pub build: Option<Build>,
    /// Something of `image` or `build` could not be read: nobody is told that it is missing.
    pub broken: bool,
    /// `container_name`.
    pub name: Option<Text>,
    /// `pull_policy`.
    pub pull_policy: Option<Text>,
    /// `volumes`.
    pub volumes: Vec<VolumeEntry>,
    /// `network`.
    pub network: Option<Text>,
    /// `entrypoint`.
    pub entrypoint: Option<Command>,
    /// `context`.
    pub context: Option<Text>,
    /// `fallback`.
    pub fallback: Option<Fallback>,
}

/// `fallback`: what runs where no engine can be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Fallback {
    /// Where its key stands.
    pub at: Span,
    /// Its keys: those of a process that it can have.
    pub settings: Box<Settings>,
}

/// `build`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Build {
    /// Where its key stands.
    pub at: Span,
    /// `context`: the directory.
    pub context: Option<Text>,
    /// `dockerfile`, seen from the directory.
    pub dockerfile: Option<Text>,
    /// `args`.
    pub args: Vec<Variable>,
    /// `target`.
    pub target: Option<Text>,
}

/// One of `volumes`.
#[derive(Clone, Debug, PartialEq)]
pub enum VolumeEntry {
    /// `source:target:options`.
    Short(Text),
    /// A map.
    Long(LongVolume),
}

/// A volume as a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LongVolume {
    /// Where it stands.
    pub at: Span,
    /// `type`: `bind` or `volume`.
    pub kind: Option<Text>,
    /// `source`.
    pub source: Option<Text>,
    /// `target`.
    pub target: Option<Text>,
    /// `read_only`.
    pub read_only: bool,
    /// Something in it could not be read: what is missing is no further problem.
    pub broken: bool,
}

/// A command as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// For the shell.
    Shell(Text),
    /// Program and arguments; the place of the list.
    Exec(Vec<Text>, Span),
}

/// A name and its value: an environment variable or a label.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// The name.
    pub name: Text,
    /// The value; none means: as the caller has it.
    pub value: Option<Text>,
}

/// A mention of an env file.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvFileRef {
    /// Path, relative to the manifest's directory.
    pub path: Text,
    /// Whether it is an error if it is missing.
    pub required: bool,
}

/// A declared port.
#[derive(Clone, Debug, PartialEq)]
pub struct PortEntry {
    /// Its name, where ports are named.
    pub name: Option<Text>,
    /// A number or `auto`.
    pub value: Text,
}

/// One dependency.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrow {
    /// The service needed.
    pub unit: Text,
    /// What must hold of it, where it is said.
    pub condition: Option<Text>,
}

/// `ready` or `health`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Check {
    /// Where its key stands.
    pub at: Span,
    /// `http`: a URL.
    pub http: Option<Text>,
    /// `status`, each entry.
    pub status: Vec<Text>,
    /// `body`.
    pub body: Option<Body>,
    /// `method`.
    pub method: Option<Text>,
    /// `headers`, in order.
    pub headers: Vec<Variable>,
    /// `tcp`: host and port.
    pub tcp: Option<Text>,
    /// `exec`.
    pub exec: Option<Command>,
    /// `log`: a regular expression.
    pub log: Option<Text>,
    /// `notify: true`; its place.
    pub notify: Option<Span>,
    /// `image: true`, the health check of the image; its place.
    pub image: Option<Span>,
    /// `port`: a number or the name of one.
    pub port: Option<Text>,
    /// `interval`.
    pub interval: Option<Text>,
    /// `timeout`.
    pub timeout: Option<Text>,
    /// `retries`.
    pub retries: Option<Text>,
    /// `start_period`.
    pub start_period: Option<Text>,
    /// `on_failure`.
    pub on_failure: Option<Text>,
    /// Something in it could not be read: it is not empty.
    pub broken: bool,
}

/// What a body must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// This text.
    Contains(Text),
    /// A match of this regular expression.
    Regex(Text),
}

/// `sweep`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sweep {
    /// `patterns`.
    pub patterns: Vec<Text>,
    /// `scope`.
    pub scope: Option<Text>,
}

/// `monitor`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Monitor {
    /// `interval`.
    pub interval: Option<Text>,
    /// `alert.memory`.
    pub memory: Option<Text>,
    /// `alert.pids`.
    pub pids: Option<Text>,
}

/// `budgets`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budgets {
    /// `up`.
    pub up: Option<Text>,
    /// `down`.
    pub down: Option<Text>,
    /// `memory`.
    pub memory: Option<Text>,
    /// `processes`.
    pub processes: Option<Text>,
}
