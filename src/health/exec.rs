//! The command question: exit code 0 is good. It runs in a process group of its own, which ends with it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;

use super::Context;
use super::endpoint::reason;
use crate::domain::{ContainerStep, Exit};
use crate::plan::CommandPlan;
use crate::store::log::printable;
use crate::sys::exit::exit_of;
use crate::sys::watch::readable;
use crate::sys::watch_group::Group;

/// So much of the end of its output is kept.
const OUTPUT: usize = 4096;
/// So much is taken at once, so that a command that never stops writing cannot hold us.
const MOST: usize = 1 << 20;
const EVIDENCE_CHARS: usize = 200;
/// A killed process is gone long before this, if it can be killed now.
const DYING: Duration = Duration::from_millis(50);

/// A command.
pub(super) struct Exec {
    argv: Vec<String>,
    shell: bool,
}

impl Exec {
    pub(super) fn new(command: &CommandPlan) -> Self {
        match command {
            CommandPlan::Shell(text) => {
                Self { argv: vec!["/bin/sh".into(), "-c".into(), text.clone()], shell: true }
            }
            CommandPlan::Exec(argv) => Self { argv: argv.clone(), shell: false },
        }
    }

    /// `exec pg_isready -U postgres`.
    pub(super) fn text(&self) -> String {
        let words = if self.shell { &self.argv[2..] } else { &self.argv };
        format!("exec {}", words.join(" "))
    }

    /// Runs it once; an error is the answer in words. Dropping the future kills its group.
    pub(super) async fn ask(&self, ctx: &Context) -> Result<(), String> {
        let (exit, output) = self.run(ctx).await?;
        if exit.is_success() {
            return Ok(());
        }
        match last_line(&output) {
            Some(line) => Err(format!("{exit}: {line}")),
            None => Err(exit.to_string()),
        }
    }

    /// Runs it once: how it ended and the end of what it wrote. Dropping the future kills its group.
    pub(super) async fn run(&self, ctx: &Context) -> Result<(Exit, Vec<u8>), String> {
        let (mut running, mut output) = self.start(ctx)?;
        let mut last = Vec::new();
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                ended = running.ended() => {
                    ended.map_err(|error| reason(&error))?;
                    break;
                }
                ready = output.readable(), if open => {
                    open = ready.is_ok() && take(&mut output, &mut last);
                }
            }
        }
        take(&mut output, &mut last);
        let status = running.finish().map_err(|error| reason(&error))?;
        Ok((exit_of(status), last))
    }

    fn start(&self, ctx: &Context) -> Result<(Running, Receiver), String> {
        let inside;
        let argv = match &ctx.contained {
            Some(contained) => {
                let state = contained.state.borrow();
                let id = state.id.as_deref().filter(|_| state.step == ContainerStep::Running);
                inside = (contained.inside)(id.ok_or("its container does not run")?, &self.argv);
                &inside
            }
            None => &self.argv,
        };
        let program = argv.first().ok_or("there is no command")?;
        if !ctx.working_dir.is_dir() {
            return Err(format!("its directory {} is not there", ctx.working_dir.display()));
        }
        let file = find(program, ctx).ok_or_else(|| format!("command not found: {program}"))?;
        let cannot = |error: io::Error| format!("cannot run {program}: {}", reason(&error));
        let (read, write) = io::pipe().map_err(cannot)?;
        let mut command = Command::new(file);
        command
            .arg0(program)
            .args(&argv[1..])
            .env_clear()
            .envs(ctx.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&ctx.working_dir)
            .stdin(Stdio::null())
            .stdout(write.try_clone().map_err(cannot)?)
            .stderr(write);
        let group = Group::spawn(&mut command).map_err(cannot)?;
        let running = Running::new(group).map_err(cannot)?;
        let output = Receiver::from_owned_fd(OwnedFd::from(read)).map_err(cannot)?;
        Ok((running, output))
    }
}

/// A command that runs; dropping it ends its group.
struct Running(Option<AsyncFd<Group>>);

impl Running {
    fn new(group: Group) -> io::Result<Self> {
        Ok(Self(Some(readable(group)?)))
    }

    async fn ended(&self) -> io::Result<()> {
        match &self.0 {
            Some(group) => group.readable().await.map(|mut ready| ready.retain_ready()),
            None => Ok(()),
        }
    }

    /// Kills what the command left behind in its group, and reaps it.
    fn finish(&mut self) -> io::Result<ExitStatus> {
        let group = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        group.into_inner().finish()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(group) = self.0.take().map(AsyncFd::into_inner) else { return };
        group.kill();
        if group.has_ended(DYING) {
            let _ = group.finish();
            return;
        }
        // It hangs in the kernel: whoever dropped us must not hang with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Ok(group) = readable(group) {
                    let _ = group.readable().await;
                }
            });
        }
    }
}

/// Takes what the pipe holds now; false at its end.
fn take(output: &mut Receiver, last: &mut Vec<u8>) -> bool {
    let mut buffer = [0; OUTPUT];
    let mut taken = 0;
    while taken < MOST {
        match output.try_read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => {
                taken += count;
                last.extend_from_slice(&buffer[..count]);
                let surplus = last.len().saturating_sub(OUTPUT);
                last.drain(..surplus);
            }
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}

fn last_line(output: &[u8]) -> Option<String> {
    let lines = output.rsplit(|byte| *byte == b'\n');
    lines.map(|line| printable(line, EVIDENCE_CHARS)).find(|line| !line.trim().is_empty())
}

/// The file that a program name means in the probe's own `PATH` and directory.
fn find(program: &str, ctx: &Context) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(ctx.working_dir.join(program));
    }
    let path = ctx.environment.iter().rfind(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let path = path.unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let mut files = path.split(':').map(|dir| ctx.working_dir.join(dir).join(program));
    files.find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}
