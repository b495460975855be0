//! A container engine: docker or podman, asked through its own command, its answers as typed facts.
//!
//! The command brings what a library would have to repeat: contexts, rootless engines, credentials, remote machines. It is
//! asked for JSON, so that nothing is read out of tables made for people; where it fails, its words are sorted into
//! [`TroubleKind`], and kept as evidence. Nothing here decides anything, and nothing waits without a limit but what was
//! asked to follow something.

mod client;
mod event;
mod facts;
pub mod label;
mod position;
mod progress;
mod running;
mod spec;
mod stream;
mod trouble;

use std::time::Duration;

pub use client::Client;
pub use event::{Event, Happened};
pub use facts::{Check, Container, Ended, Health, Image, Inside, Mount, Published, Status, Version};
pub use position::LogPosition;
pub use progress::{Layer, Progress};
pub use spec::{Build, ContainerSpec, Publish};
pub use stream::{Building, Events, LogLine, Logs, Pull};
pub use trouble::{Trouble, TroubleKind};

use crate::domain::{Signal, WallTime};

/// What is asked of an engine. A container is named by its name or its id.
#[expect(async_fn_in_trait, reason = "whoever asks has one thread: no future has to travel")]
pub trait Engine {
    /// What answers, and its version: the first question to an engine.
    async fn version(&self) -> Result<Version, Trouble>;
    /// All that is known of one container.
    async fn inspect(&self, container: &str) -> Result<Container, Trouble>;
    /// Every container that carries this label, ended ones included.
    async fn labelled(&self, label: &str) -> Result<Vec<Container>, Trouble>;
    /// Every running container that publishes this port of the host.
    async fn publishing(&self, port: u16) -> Result<Vec<Container>, Trouble>;
    /// Makes a container and gives its id. An image that is not there is trouble, and not pulled.
    async fn create(&self, spec: &ContainerSpec) -> Result<String, Trouble>;
    /// Makes a container and starts it, by one command, and gives its id. Where it cannot be started it stays behind.
    async fn run(&self, spec: &ContainerSpec) -> Result<String, Trouble>;
    /// Starts a container that was made. Where its port is taken it stays behind, made and not started.
    async fn start(&self, container: &str) -> Result<(), Trouble>;
    /// Asks its first process to end, by the container's own stop signal; the engine kills it after the grace.
    async fn stop(&self, container: &str, grace: Duration) -> Result<(), Trouble>;
    /// Sends a signal to its first process.
    async fn kill(&self, container: &str, signal: Signal) -> Result<(), Trouble>;
    /// Takes it away, by force where it runs, with the volumes that have no name. One that is gone is no trouble.
    async fn remove(&self, container: &str) -> Result<(), Trouble>;
    /// Waits until it has ended, and tells its exit code.
    async fn wait(&self, container: &str) -> Result<i32, Trouble>;
    /// Runs its own health check once and waits for it: what it says is told by `inspect` then. Podman only, which has
    /// nobody who would run it where there is no systemd.
    async fn check(&self, container: &str) -> Result<(), Trouble>;
    /// Runs a command inside: its exit code and the end of what it wrote.
    async fn exec(&self, container: &str, command: &[String]) -> Result<(i32, String), Trouble>;
    /// An image that is there.
    async fn image(&self, name: &str) -> Result<Image, Trouble>;
    /// The processes inside, as the machine sees them that they run on.
    async fn top(&self, container: &str) -> Result<Vec<Inside>, Trouble>;
    /// Makes a volume; one that is there stays as it is.
    async fn make_volume(&self, name: &str, labels: &[(String, String)]) -> Result<(), Trouble>;
    /// Whether there is such a network.
    async fn has_network(&self, name: &str) -> Result<bool, Trouble>;
    /// The volumes that carry this label.
    async fn volumes(&self, label: &str) -> Result<Vec<String>, Trouble>;
    /// Takes a volume away, with all that is in it.
    async fn remove_volume(&self, name: &str) -> Result<(), Trouble>;
    /// Fetches an image and tells how far it is.
    fn pull(&self, image: &str) -> Result<Pull, Trouble>;
    /// Builds an image and tells what is told of it.
    fn build(&self, build: &Build) -> Result<Building, Trouble>;
    /// What it wrote, from a position on, and what it writes.
    fn logs(&self, container: &str, from: Option<LogPosition>) -> Result<Logs, Trouble>;
    /// What happened to containers that carry this label since then, and what happens.
    ///
    /// Begun at the present time nothing is missed, though the command needs a moment until it listens.
    fn events(&self, label: &str, since: WallTime) -> Result<Events, Trouble>;
    /// What the health check of one container says from then on.
    fn health(&self, container: &str, since: WallTime) -> Result<Events, Trouble>;
}
