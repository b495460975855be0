//! The engine behind a command: words in, an answer or trouble out, each in time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::timeout;

use super::Engine;
use super::facts::{self, Container, Image, Inside, Version};
use super::position::LogPosition;
use super::running::Running;
use super::spec::{Build, ContainerSpec};
use super::stream::{Building, Events, Logs, Pull};
use super::trouble::{Trouble, TroubleKind};
use crate::domain::{Signal, WallTime};
use crate::plan::{ContainerPlan, EngineKind};

/// An engine that hangs is one that does not answer. Under load a start takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// So much of the end of what an `exec` wrote is kept.
const OUTPUT: usize = 4096;

/// A command that leads to an engine. It is not asked before it is used.
#[derive(Clone, Debug)]
pub struct Client {
    program: EngineKind,
    path: Option<PathBuf>,
    context: Option<String>,
    environment: BTreeMap<OsString, OsString>,
    patience: Duration,
}

impl Client {
    /// The engine that this command leads to, as it is set up here.
    #[must_use]
    pub fn new(program: EngineKind) -> Self {
        Self { program, path: None, context: None, environment: BTreeMap::new(), patience: PATIENCE }
    }

    /// The engine of a planned container.
    #[must_use]
    pub fn of(plan: &ContainerPlan) -> Self {
        let client = Self::new(plan.engine);
        match &plan.context {
            Some(context) => client.context(context),
            None => client,
        }
    }

    /// The command itself, where it is not looked for in the `PATH` of this process.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// A context of docker, or a connection of podman.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.context = Some(name.into());
        self
    }

    /// A variable for the command, beside its inherited ones: `DOCKER_HOST`. An empty value takes an inherited one away:
    /// podman looks for a file without a name otherwise.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// How long a question may take, where it is none that waits for something.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The command with these words. A Ctrl-C at the terminal does not reach it (see [`Running`]).
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let program = self.path.as_deref().unwrap_or_else(|| Path::new(self.program.command()));
        let mut command = Command::new(program);
        command.args(self.leading()).args(words).env("DOCKER_CLI_HINTS", "false");
        for (name, value) in &self.environment {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    /// The words, the first of them the program, by which a command runs inside a container, with more variables.
    ///
    /// What they are may be read by everybody: a secret belongs in the container's own environment.
    #[must_use]
    pub fn exec_words(
        &self,
        container: &str,
        variables: &[(String, String)],
        command: &[String],
    ) -> Vec<String> {
        let mut words = vec![self.program.command().to_owned()];
        words.extend(self.leading().map(str::to_owned));
        words.push("exec".to_owned());
        words.extend(variables.iter().map(|(name, value)| format!("--env={name}={value}")));
        words.extend(["--".to_owned(), container.to_owned()]);
        words.extend(command.iter().cloned());
        words
    }

    /// The command that runs something inside a container, with these words behind `exec`. Its input is that of this process.
    #[must_use]
    pub fn exec_command(&self, words: &[String]) -> std::process::Command {
        let words: Vec<&str> = std::iter::once("exec").chain(words.iter().map(String::as_str)).collect();
        let mut command = self.command(&words);
        command.stdin(Stdio::inherit());
        command
    }

    pub(super) fn is_podman(&self) -> bool {
        self.program == EngineKind::Podman
    }

    /// What stands before each question: where the engine is.
    fn leading(&self) -> impl Iterator<Item = &str> {
        let option = match self.program {
            EngineKind::Docker => "--context",
            EngineKind::Podman => "--connection",
        };
        self.context.iter().flat_map(move |context| [option, context])
    }

    /// Why a command could not be started.
    pub(super) fn unstarted(&self, error: &io::Error) -> Trouble {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => TroubleKind::NotInstalled,
            io::ErrorKind::PermissionDenied => TroubleKind::NotPermitted,
            _ => TroubleKind::Other { code: None },
        };
        Trouble::new(kind, format!("{}: {error}", self.program.command()))
    }

    /// Makes a container; its id is the last thing that is said.
    async fn make(&self, verb: &[&str], spec: &ContainerSpec) -> Result<String, Trouble> {
        let words = spec.words(verb);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = self.command(&words);
        command.envs(spec.travelling());
        let answer = self.finish(command, Some(self.patience)).await?.good()?;
        Ok(answer.trim().to_owned())
    }

    /// Runs a command to its end: its exit code, what it said and what it complained about.
    async fn finish(&self, command: Command, limit: Option<Duration>) -> Result<Answer, Trouble> {
        let ended = Running::finish(command);
        let ended = match limit {
            Some(limit) => timeout(limit, ended).await.map_err(|_| {
                Trouble::new(TroubleKind::TimedOut, format!("no answer after {} s", limit.as_secs()))
            })?,
            None => ended.await,
        };
        let (code, out, err) = ended.map_err(|error| self.unstarted(&error))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer { code, out: text(&out), err: text(&err) })
    }

    async fn ask(&self, words: &[&str]) -> Result<String, Trouble> {
        self.finish(self.command(words), Some(self.patience)).await?.good()
    }

    /// The containers of these ids, less those that went away meanwhile.
    async fn inspect_all(&self, ids: &str) -> Result<Vec<Container>, Trouble> {
        let mut found = Vec::new();
        for id in ids.split_whitespace() {
            match self.inspect(id).await {
                Ok(container) => found.push(container),
                Err(trouble) if trouble.kind == TroubleKind::NoSuchContainer => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(found)
    }
}

/// How a command ended and what it wrote.
struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Answer {
    fn good(self) -> Result<String, Trouble> {
        if self.code == Some(0) { Ok(self.out) } else { Err(Trouble::sort(self.code, &self.err)) }
    }
}

impl Engine for Client {
    async fn version(&self) -> Result<Version, Trouble> {
        facts::version(&self.ask(&["version", "--format", "{{json .}}"]).await?)
    }

    async fn inspect(&self, container: &str) -> Result<Container, Trouble> {
        let words = ["inspect", "--type", "container", "--format", "{{json .}}", "--", container];
        let answer = self.ask(&words).await?;
        let found = facts::containers(&answer)?.into_iter().next();
        found.ok_or_else(|| Trouble::new(TroubleKind::Unreadable, "no container in the answer"))
    }

    async fn labelled(&self, label: &str) -> Result<Vec<Container>, Trouble> {
        let filter = format!("label={label}");
        let ids = self.ask(&["ps", "--all", "--no-trunc", "--quiet", "--filter", &filter]).await?;
        self.inspect_all(&ids).await
    }

    async fn publishing(&self, port: u16) -> Result<Vec<Container>, Trouble> {
        // Docker has a filter for it, podman has none.
        let ids = self.ask(&["ps", "--no-trunc", "--quiet"]).await?;
        let mut found = self.inspect_all(&ids).await?;
        found.retain(|container| container.published.iter().any(|one| one.host == port));
        Ok(found)
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String, Trouble> {
        self.make(&["create"], spec).await
    }

    async fn run(&self, spec: &ContainerSpec) -> Result<String, Trouble> {
        // Who ends what a killed shim left ends this command too, and it must not pass the signal on: the container may
        // run already, and is the next shim's.
        self.make(&["run", "--detach", "--sig-proxy=false"], spec).await
    }

    async fn start(&self, container: &str) -> Result<(), Trouble> {
        self.ask(&["start", "--", container]).await.map(drop)
    }

    async fn stop(&self, container: &str, grace: Duration) -> Result<(), Trouble> {
        // It knows whole seconds only.
        let seconds = grace.as_millis().div_ceil(1000).to_string();
        let command = self.command(&["stop", "--time", &seconds, "--", container]);
        self.finish(command, Some(grace + self.patience)).await?.good().map(drop)
    }

    async fn kill(&self, container: &str, signal: Signal) -> Result<(), Trouble> {
        self.ask(&["kill", "--signal", &signal.to_string(), "--", container]).await.map(drop)
    }

    async fn remove(&self, container: &str) -> Result<(), Trouble> {
        match self.ask(&["rm", "--force", "--volumes", "--", container]).await {
            Err(trouble) if trouble.kind == TroubleKind::NoSuchContainer => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn wait(&self, container: &str) -> Result<i32, Trouble> {
        let command = self.command(&["wait", "--", container]);
        let answer = self.finish(command, None).await?.good()?;
        let code = answer.trim().parse();
        code.map_err(|_| Trouble::new(TroubleKind::Unreadable, format!("no exit code: {answer:?}")))
    }

    async fn check(&self, container: &str) -> Result<(), Trouble> {
        let command = self.command(&["healthcheck", "run", "--", container]);
        let answer = self.finish(command, Some(self.patience)).await?;
        // 1 is the answer that it is not well.
        if answer.code == Some(1) { Ok(()) } else { answer.good().map(drop) }
    }

    async fn exec(&self, container: &str, command: &[String]) -> Result<(i32, String), Trouble> {
        let mut words = vec!["exec", "--", container];
        words.extend(command.iter().map(String::as_str));
        // How long the command may take is known to who asked: dropping the future ends the asking.
        let answer = self.finish(self.command(&words), None).await?;
        let trouble = Trouble::sort(answer.code, &format!("{}\n{}", answer.err, answer.out));
        // The command's own code may be any: the engine's words tell that it never ran.
        let never_ran = match (answer.code, &trouble.kind) {
            (Some(126 | 127), TroubleKind::NotExecutable) | (None, _) => true,
            (
                // Podman says 255 of a container that does not run.
                Some(1 | 125 | 255),
                TroubleKind::NoSuchContainer
                | TroubleKind::ContainerStopped
                | TroubleKind::NotRunning
                | TroubleKind::NotPermitted
                | TroubleKind::NoSuchContext,
            ) => answer.out.is_empty(),
            _ => false,
        };
        match answer.code {
            Some(code) if !never_ran => Ok((code, end_of(&(answer.out + &answer.err)))),
            _ => Err(trouble),
        }
    }

    async fn image(&self, name: &str) -> Result<Image, Trouble> {
        facts::image(&self.ask(&["image", "inspect", "--format", "{{json .}}", "--", name]).await?)
    }

    async fn top(&self, container: &str) -> Result<Vec<Inside>, Trouble> {
        match self.program {
            EngineKind::Docker => {
                facts::inside(&self.ask(&["top", container, "-eo", "pid,ppid,args"]).await?)
            }
            // It knows no word for the parent's number on the machine, but all numbers of the container.
            EngineKind::Podman => {
                facts::inside_by_own(&self.ask(&["top", container, "hpid", "pid", "ppid", "args"]).await?)
            }
        }
    }

    async fn make_volume(&self, name: &str, labels: &[(String, String)]) -> Result<(), Trouble> {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("--label={name}={value}")).collect();
        let words: Vec<&str> =
            ["volume", "create"].into_iter().chain(labels.iter().map(String::as_str)).collect();
        match self.ask(&[&words[..], &["--", name]].concat()).await {
            // Podman makes none twice.
            Err(trouble) if trouble.text.contains("already exists") => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn has_network(&self, name: &str) -> Result<bool, Trouble> {
        match self.ask(&["network", "inspect", "--format", "{{.Name}}", "--", name]).await {
            Ok(_) => Ok(true),
            Err(trouble) if trouble.kind == TroubleKind::NoSuchNetwork => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    async fn volumes(&self, label: &str) -> Result<Vec<String>, Trouble> {
        let filter = format!("label={label}");
        let names = self.ask(&["volume", "ls", "--quiet", "--filter", &filter]).await?;
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), Trouble> {
        self.ask(&["volume", "rm", "--", name]).await.map(drop)
    }

    fn pull(&self, image: &str) -> Result<Pull, Trouble> {
        Pull::start(self, image)
    }

    fn build(&self, build: &Build) -> Result<Building, Trouble> {
        Building::start(self, build)
    }

    fn logs(&self, container: &str, from: Option<LogPosition>) -> Result<Logs, Trouble> {
        Logs::start(self, container, from)
    }

    fn events(&self, label: &str, since: WallTime) -> Result<Events, Trouble> {
        Events::start(self, &format!("label={label}"), since)
    }

    fn health(&self, container: &str, since: WallTime) -> Result<Events, Trouble> {
        Events::start(self, &format!("container={container}"), since)
    }
}

/// The end of a text, on the boundary of a character.
fn end_of(text: &str) -> String {
    let from = text.len().saturating_sub(OUTPUT);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[from..].to_owned()
}
