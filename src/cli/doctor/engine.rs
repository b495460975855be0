//! Whether a container engine is there and answers, within a time limit.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::sys::watch_group::Group;

/// An engine that hangs must not hold a doctor up for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// An engine, as far as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Engine {
    /// `docker` or `podman`.
    pub(super) name: &'static str,
    /// Its version, or why it does not answer.
    pub(super) answer: Result<String, String>,
}

/// Each engine that is installed.
pub(super) fn find() -> Vec<Engine> {
    // Docker without a server is of no use. podman needs none, and whatever else a plain user asks it leaves a process
    // behind, which holds a namespace for it.
    let known: [(_, &[&str]); 2] =
        [("docker", &["version", "--format", "{{.Server.Version}}"]), ("podman", &["--version"])];
    let installed = known.into_iter().filter(|(name, _)| is_installed(name));
    installed
        .map(|(name, question)| {
            let answer = ask(name, question);
            let prefix = format!("{name} version ");
            Engine { name, answer: answer.map(|said| said.trim_start_matches(&prefix).to_owned()) }
        })
        .collect()
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
