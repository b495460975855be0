//! Whether a container engine is there and answers, within a time limit.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::sys::users;
use crate::sys::watch_group::Group;

/// An engine that hangs must not hold a doctor up for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// An engine, as far as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Engine {
    /// `docker` or `podman`.
    pub(super) name: &'static str,
    /// What it says of itself, or why it does not answer.
    pub(super) answer: Result<Said, String>,
    /// Whether services that say nothing else run there.
    pub(super) used: bool,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) version: String,
    /// It runs as this user and not as root.
    pub(super) rootless: bool,
    /// The context that is set up, where it has such.
    pub(super) context: Option<String>,
}

/// Version, how it is secured (`name=rootless` among others), and the context.
const OF_DOCKER: &str = "{{.ServerVersion}}|{{.SecurityOptions}}|{{.ClientInfo.Context}}";

/// Each engine that is installed.
pub(super) fn find() -> Vec<Engine> {
    // Docker without a server is of no use. podman needs none, and whatever else a plain user asks it leaves a process
    // behind, which holds a namespace for it.
    let known: [(_, &[&str]); 2] = [("docker", &["info", "--format", OF_DOCKER]), ("podman", &["--version"])];
    let installed: Vec<_> = known.into_iter().filter(|(name, _)| is_installed(name)).collect();
    let wanted = std::env::var("DEVSTACK_ENGINE").ok();
    let used = wanted.as_deref().or_else(|| installed.first().map(|(name, _)| *name));
    let engine = |(name, question): &(&'static str, &[&str])| {
        let answer = ask(name, question).map(|said| read(name, &said, is_root()));
        Engine { name, answer, used: used == Some(*name) }
    };
    installed.iter().map(engine).collect()
}

fn is_root() -> bool {
    users::own_uid() == 0
}

fn read(name: &str, said: &str, root: bool) -> Said {
    if name == "podman" {
        let version = said.trim_start_matches("podman version ").to_owned();
        return Said { version, rootless: !root, context: None };
    }
    let mut parts = said.split('|');
    let version = parts.next().unwrap_or_default().to_owned();
    let rootless = parts.next().is_some_and(|options| options.contains("name=rootless"));
    let context = parts.next().filter(|context| !context.is_empty()).map(str::to_owned);
    Said { version, rootless, context }
}

fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|dir: PathBuf| dir.join(name));
    files.any(|file| file.is_file())
}

fn ask(name: &str, question: &[&str]) -> Result<String, String> {
    let told = |error: io::Error| error.to_string();
    let (mut read, write) = io::pipe().map_err(told)?;
    // Whoever it leaves behind with our pipe in hand must not be waited for.
    rustix::io::ioctl_fionbio(&read, true).map_err(|error| told(error.into()))?;
    let mut command = Command::new(name);
    command.args(question).stdin(Stdio::null());
    command.stdout(write.try_clone().map_err(told)?).stderr(write);
    let group = Group::spawn(&mut command).map_err(told)?;
    drop(command);
    if !group.has_ended(PATIENCE) {
        return Err(format!("no answer within {} seconds", PATIENCE.as_secs()));
    }
    let status = group.finish().map_err(told)?;
    let mut bytes = [0; 2048];
    let count = read.read(&mut bytes).unwrap_or(0);
    let said = String::from_utf8_lossy(&bytes[..count]).into_owned();
    let line =
        said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim().to_owned();
    if status.success() { Ok(line) } else { Err(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_read_as_it_answers() {
        let said = |version: &str, rootless, context: Option<&str>| Said {
            version: version.to_owned(),
            rootless,
            context: context.map(str::to_owned),
        };
        let seccomp = "20.10.24+dfsg1|[name=seccomp,profile=default]|default";
        assert_eq!(read("docker", seccomp, false), said("20.10.24+dfsg1", false, Some("default")));
        let own = "27.1.1|[name=seccomp,profile=builtin name=rootless name=cgroupns]|rootless";
        assert_eq!(read("docker", own, false), said("27.1.1", true, Some("rootless")));
        assert_eq!(read("docker", "27.1.1", true), said("27.1.1", false, None));
        assert_eq!(read("podman", "podman version 4.3.1", false), said("4.3.1", true, None));
        assert_eq!(read("podman", "podman version 4.3.1", true), said("4.3.1", false, None));
    }
}
