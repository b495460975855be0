//! What an engine tells of containers and images, read from its JSON. Docker and podman differ in what they leave out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use super::trouble::{Trouble, TroubleKind};
use crate::domain::Pid;

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The command's.
    pub client: String,
    /// The engine's; the command's own where it is the engine itself (podman).
    pub engine: String,
}

/// A container as the engine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// Its name, without the slash that docker puts before it.
    pub name: String,
    /// The id of the image that it was made of.
    pub image: String,
    /// The image's name, as who made it wrote it.
    pub image_name: String,
    /// Its labels and its image's.
    pub labels: BTreeMap<String, String>,
    /// What it does.
    pub status: Status,
    /// What its health check says; none where it has none.
    pub health: Option<Health>,
    /// How often that is asked.
    pub check_interval: Option<Duration>,
    /// The ports that it publishes now; none while it does not run.
    pub published: Vec<Published>,
    /// What is mounted into it.
    pub mounts: Vec<Mount>,
    /// How often the engine itself started it anew.
    pub restarts: u32,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Made, never started; or it could not be started, for this reason.
    Created {
        /// The engine's words, or empty.
        error: String,
    },
    /// It runs.
    Running {
        /// Its first process as the host sees it; none where the engine runs on another machine.
        pid: Option<Pid>,
        /// Since when, RFC 3339.
        since: String,
    },
    /// All its processes are frozen.
    Paused,
    /// It is between two lives: ended, starting again, or being taken away.
    Between,
    /// It has ended.
    Exited(Ended),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code of its first process; 128 and more is the signal that ended it.
    pub code: i32,
    /// The kernel ended it for want of memory.
    pub out_of_memory: bool,
    /// Why it could not be started or kept, or empty.
    pub error: String,
    /// When, RFC 3339.
    pub at: String,
}

impl Ended {
    /// It did not obey, or somebody had no patience: SIGKILL.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.code == 128 + libc::SIGKILL
    }
}

/// What the health check of a container says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It has not said anything that counts.
    Starting,
    /// Good.
    Healthy,
    /// So many times in a row it was not.
    Unhealthy {
        /// How often.
        streak: u32,
        /// The last answer.
        last: Option<Check>,
    },
}

/// One answer of a health check.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Check {
    /// Its exit code.
    pub exit_code: i32,
    /// What it wrote.
    pub output: String,
}

/// A port of the container that the host answers on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// The address of the host; none where it is every one of them.
    pub address: Option<IpAddr>,
    /// The port of the host.
    pub host: u16,
    /// The port inside.
    pub inside: u16,
}

/// Something that is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mount {
    /// The volume's name; none for a directory of the host.
    pub name: Option<String>,
    /// Where it lies on the host.
    #[serde(default)]
    pub source: String,
    /// Where it is inside.
    pub destination: String,
}

/// An image that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Whether it brings a health check of its own.
    pub has_health: bool,
    /// The ports that it says it listens on.
    pub ports: Vec<u16>,
}

/// A process inside a container, by the numbers that the engine's machine gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its number.
    pub pid: Pid,
    /// Its parent's; 1 and below for none of interest.
    pub parent: i32,
    /// Its command line.
    pub command: String,
}

/// Reads the answer of docker's `top`: number, parent and command under a line of titles.
pub(super) fn inside(text: &str) -> Result<Vec<Inside>, Trouble> {
    rows(text, |[pid, parent], command| {
        Some(Inside { pid: Pid::new(pid)?, parent, command: command.to_owned() })
    })
}

/// Reads the answer of podman's `top`: the machine's number, the container's own for it and for its parent, the command.
pub(super) fn inside_by_own(text: &str) -> Result<Vec<Inside>, Trouble> {
    let rows =
        rows(text, |[pid, own, parent], command| Some((Pid::new(pid)?, own, parent, command.to_owned())))?;
    let machines: BTreeMap<i32, i32> = rows.iter().map(|(pid, own, _, _)| (*own, pid.get())).collect();
    let inside = rows.into_iter().map(|(pid, _, parent, command)| {
        // What has no parent inside is a child of whoever runs containers.
        Inside { pid, parent: machines.get(&parent).copied().unwrap_or_default(), command }
    });
    Ok(inside.collect())
}

/// The rows of a table under its titles: some numbers, and the rest of the line.
fn rows<const N: usize, T>(text: &str, row: impl Fn([i32; N], &str) -> Option<T>) -> Result<Vec<T>, Trouble> {
    let read = |line: &str| {
        let mut rest = line.trim();
        let mut numbers = [0; N];
        for number in &mut numbers {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            *number = word.parse().ok()?;
            rest = after.trim_start();
        }
        row(numbers, rest)
    };
    let unread = |line: &str| Trouble::new(TroubleKind::Unreadable, format!("no process: {line:?}"));
    let lines = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    lines.map(|line| read(line).ok_or_else(|| unread(line))).collect()
}

/// Reads the answer of `version`.
pub(super) fn version(text: &str) -> Result<Version, Trouble> {
    let raw: RawVersion = read(text)?;
    let engine = raw.server.unwrap_or_else(|| RawSide { version: raw.client.version.clone() }).version;
    Ok(Version { client: raw.client.version, engine })
}

/// Reads the answer of `inspect`: one document per line, or (podman) a list.
pub(super) fn containers(text: &str) -> Result<Vec<Container>, Trouble> {
    let raw: Vec<RawContainer> = documents(text)?;
    Ok(raw.into_iter().map(RawContainer::into_container).collect())
}

/// Reads the answer of `image inspect`.
pub(super) fn image(text: &str) -> Result<Image, Trouble> {
    let raw: Vec<RawImage> = documents(text)?;
    let raw = raw.into_iter().next();
    let raw = raw.ok_or_else(|| Trouble::new(TroubleKind::Unreadable, "no image in the answer"))?;
    let ports = raw.config.exposed_ports.unwrap_or_default().into_keys();
    Ok(Image {
        id: bare(&raw.id).to_owned(),
        // Podman tells it beside the configuration.
        has_health: raw.config.healthcheck.is_some() || raw.healthcheck.is_some(),
        ports: ports.filter_map(|port| port_inside(&port)).collect(),
    })
}

/// Reads one JSON document.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|error| unreadable(&error, text))
}

/// Documents one after the other, or lists of them.
fn documents<T: for<'a> Deserialize<'a>>(text: &str) -> Result<Vec<T>, Trouble> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Some<T> {
        Many(Vec<T>),
        One(T),
    }
    let mut all = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter() {
        match document.map_err(|error| unreadable(&error, text))? {
            Some::Many(more) => all.extend(more),
            Some::One(one) => all.push(one),
        }
    }
    Ok(all)
}

fn unreadable(error: &serde_json::Error, text: &str) -> Trouble {
    let begin: String = text.chars().take(80).collect();
    Trouble::new(TroubleKind::Unreadable, format!("{error} in {begin:?}"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawVersion {
    client: RawSide,
    server: Option<RawSide>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSide {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContainer {
    id: String,
    name: String,
    image: String,
    state: RawState,
    #[serde(default)]
    restart_count: u32,
    config: RawConfig,
    #[serde(default)]
    network_settings: RawNetwork,
    #[serde(default)]
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawState {
    status: String,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    exit_code: i32,
    #[serde(default, rename = "OOMKilled")]
    oom_killed: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
    health: Option<RawHealth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawHealth {
    #[serde(default)]
    status: String,
    #[serde(default)]
    failing_streak: u32,
    log: Option<Vec<Check>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    image: String,
    healthcheck: Option<RawCheck>,
}

#[derive(Deserialize)]
struct RawCheck {
    /// Nanoseconds.
    #[serde(default, rename = "Interval")]
    interval: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawNetwork {
    ports: Option<BTreeMap<String, Option<Vec<RawBinding>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawBinding {
    #[serde(default)]
    host_ip: String,
    host_port: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawImage {
    id: String,
    config: RawImageConfig,
    healthcheck: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawImageConfig {
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    healthcheck: Option<serde_json::Value>,
}

impl RawContainer {
    fn into_container(self) -> Container {
        let ports = self.network_settings.ports.unwrap_or_default();
        let bound = ports.iter().filter_map(|(port, bound)| Some((port_inside(port)?, bound.as_ref()?)));
        let mut published: Vec<Published> = bound
            .flat_map(|(inside, bound)| bound.iter().filter_map(move |one| one.published(inside)))
            .collect();
        published.sort_unstable();
        if !matches!(self.state.status.as_str(), "running" | "paused") {
            // Podman tells what it will publish.
            published.clear();
        }
        Container {
            name: self.name.trim_start_matches('/').to_owned(),
            image: bare(&self.image).to_owned(),
            image_name: self.config.image,
            check_interval: self.config.healthcheck.map(|check| Duration::from_nanos(check.interval)),
            labels: self.config.labels.unwrap_or_default(),
            health: self.state.health.as_ref().and_then(RawHealth::health),
            status: self.state.into_status(),
            id: self.id,
            published,
            mounts: self.mounts,
            restarts: self.restart_count,
        }
    }
}

impl RawState {
    fn into_status(self) -> Status {
        match self.status.as_str() {
            // `configured` and `initialized` are podman's steps to it.
            "created" | "configured" | "initialized" => Status::Created { error: self.error },
            "running" => Status::Running { pid: Pid::new(self.pid), since: self.started_at },
            "paused" => Status::Paused,
            "restarting" | "removing" | "stopping" => Status::Between,
            // `dead`: it could not be taken away completely; nothing of it runs.
            _ => Status::Exited(Ended {
                code: self.exit_code,
                out_of_memory: self.oom_killed,
                error: self.error,
                at: self.finished_at,
            }),
        }
    }
}

impl RawHealth {
    /// None where there is no check: docker leaves it out then, podman says nothing in it.
    fn health(&self) -> Option<Health> {
        match self.status.as_str() {
            "starting" => Some(Health::Starting),
            "healthy" => Some(Health::Healthy),
            "unhealthy" => {
                let last = self.log.as_ref().and_then(|log| log.last()).cloned();
                Some(Health::Unhealthy { streak: self.failing_streak, last })
            }
            _ => None,
        }
    }
}

impl RawBinding {
    fn published(&self, inside: u16) -> Option<Published> {
        let address = self.host_ip.parse().ok().filter(|address: &IpAddr| !address.is_unspecified());
        Some(Published { address, host: self.host_port.parse().ok()?, inside })
    }
}

/// `5432` of `5432/tcp`.
fn port_inside(port: &str) -> Option<u16> {
    port.strip_suffix("/tcp").unwrap_or(port).parse().ok()
}

fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
