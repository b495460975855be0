//! One stack for a measurement: its manifest, devstack's commands on it, and its certain end.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::look::{self, Watched};
use crate::{Trouble, tell};

/// First port of the services; the range up from here is outside the kernel's own choice.
const FIRST_PORT: u16 = 21_000;

/// The plain user where this is run by root.
const NOBODY: u32 = 65_534;

/// No command may take longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the services are like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) services: u16,
    /// Milliseconds from a service's start until it listens.
    pub(crate) after: u64,
    pub(crate) http: bool,
    /// Each service waits for the one before.
    pub(crate) chain: bool,
    /// Whether there is a health check (each second) at all.
    pub(crate) health: bool,
}

impl Shape {
    /// The ports, one for each service.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        FIRST_PORT..FIRST_PORT + self.services
    }

    /// Fails where a port is taken: the figures would be of something else.
    pub(crate) fn check_ports(&self) -> Result<(), Trouble> {
        for port in self.ports() {
            TcpListener::bind(("127.0.0.1", port)).map_err(|why| format!("port {port}: {why}"))?;
        }
        Ok(())
    }

    fn manifest(&self, stand_in: &Path) -> String {
        let stand_in = stand_in.display();
        let mut text = String::from("name: bench\nservices:\n");
        for (at, port) in self.ports().enumerate() {
            let http = if self.http { ", --http" } else { "" };
            let after = self.after;
            let _ = write!(
                text,
                "  s{at}:\n    command: [\"{stand_in}\", listen, --port, \"{port}\", --after, \"{after}\"{http}]\n    \
                 ports: [{port}]\n"
            );
            if self.health {
                let probe = if self.http { "http: \"http://127.0.0.1:" } else { "tcp: \"127.0.0.1:" };
                let _ = writeln!(text, "    health: {{ {probe}{port}\", interval: 1s }}");
            }
            if self.chain && at > 0 {
                let _ = writeln!(text, "    depends_on: [s{}]", at - 1);
            }
        }
        text
    }
}

/// Where everything of this run lies.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) devstack: PathBuf,
    pub(crate) stand_in: PathBuf,
}

impl Place {
    /// A new temporary directory, and the programs beside this one.
    pub(crate) fn make() -> Result<Self, Trouble> {
        let own = std::env::current_exe()?;
        let examples = own.parent().ok_or("no directory")?;
        let release = examples.parent().ok_or("no directory")?;
        let dir = std::env::temp_dir().join(format!("devstack-bench-{}", std::process::id()));
        let place = Self { devstack: release.join("devstack"), stand_in: examples.join("stand-in"), dir };
        for program in [&place.devstack, &place.stand_in] {
            if !program.exists() {
                return Err(format!("{} is not built: use scripts/bench", program.display()).into());
            }
        }
        fs::create_dir(&place.dir)?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A stack that is taken down when it goes out of scope.
pub(crate) struct Stack<'a> {
    place: &'a Place,
    manifest: PathBuf,
    /// Run by a plain user, though this is root.
    plain: bool,
}

impl<'a> Stack<'a> {
    /// Writes the manifest of a shape; starts nothing.
    pub(crate) fn of(place: &'a Place, shape: &Shape) -> Result<Self, Trouble> {
        shape.check_ports()?;
        Self::with(place, &shape.manifest(&place.stand_in))
    }

    /// Writes a manifest as given, for root's stack or (`plain`) for `nobody`'s.
    pub(crate) fn of_user(place: &'a Place, manifest: &str, plain: bool) -> Result<Self, Trouble> {
        let mut stack = Self::with(place, manifest)?;
        stack.plain = plain;
        fs::create_dir_all(stack.state())?;
        if plain {
            std::os::unix::fs::chown(stack.state(), Some(NOBODY), Some(NOBODY))?;
        }
        Ok(stack)
    }

    fn state(&self) -> PathBuf {
        self.place.dir.join(if self.plain { "state-of-nobody" } else { "state" })
    }

    /// Writes a manifest as given; starts nothing.
    pub(crate) fn with(place: &'a Place, manifest: &str) -> Result<Self, Trouble> {
        let path = place.dir.join("devstack.yaml");
        fs::write(&path, manifest)?;
        Ok(Self { place, manifest: path, plain: false })
    }

    /// How long a command took from its start to its end; its failure is ours.
    pub(crate) fn time(&self, arguments: &[&str]) -> Result<Duration, Trouble> {
        // A file and not a pipe: a service that wrongly inherits it must not hold up the measurement.
        let complaints = self.place.dir.join("stderr");
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(File::create(&complaints)?);
        let start = Instant::now();
        let mut child = command.spawn()?;
        let ended = Watched::open(&[i32::try_from(child.id())?])?.last_exit(PATIENCE);
        if ended.is_err() {
            child.kill()?;
        }
        let status = child.wait()?;
        match ended {
            Ok(end) if status.success() => Ok(end.duration_since(start)),
            ended => {
                let complaint = fs::read_to_string(&complaints).unwrap_or_default();
                let why = ended.err().map_or_else(|| status.to_string(), |trouble| trouble.to_string());
                Err(format!("devstack {}: {why}\n{complaint}", arguments.join(" ")).into())
            }
        }
    }

    /// What `ps --json` says.
    pub(crate) fn journal(&self) -> Result<PathBuf, Trouble> {
        for stack in fs::read_dir(self.state())? {
            let journal = stack?.path().join("journal.jsonl");
            if journal.exists() {
                return Ok(journal);
            }
        }
        Err("no journal".into())
    }

    pub(crate) fn view(&self) -> Result<View, Trouble> {
        let output = self.command(&["ps", "--json"]).stderr(Stdio::inherit()).output()?;
        Ok(View(serde_json::from_slice(&output.stdout)?))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(if self.plain { Path::new("setpriv") } else { &self.place.devstack });
        if self.plain {
            let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
            command.args([&user, &group, "--clear-groups", "--"]).arg(&self.place.devstack);
        }
        command.arg("-f").arg(&self.manifest).args(arguments).stdin(Stdio::null());
        command.env("DEVSTACK_STATE_DIR", self.state());
        command
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        look::forget_interrupts();
        // Down twice is down: this one matters only after a failure.
        if let Err(trouble) = self.time(&["down", "--force"]) {
            tell(&format!("bench: the stack may still run: {trouble}"));
        }
    }
}

/// A stack as `ps --json` shows it.
pub(crate) struct View(Value);

impl View {
    pub(crate) fn supervisor(&self) -> Result<i32, Trouble> {
        let pid = self.0["supervisor"].as_i64().ok_or("no supervisor lives")?;
        Ok(i32::try_from(pid)?)
    }

    /// Every process of every service.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let services = self.0["services"].as_array().into_iter().flatten();
        let processes = services.filter_map(|service| service["processes"].as_array()).flatten();
        processes.filter_map(|process| i32::try_from(process["pid"].as_i64()?).ok()).collect()
    }
}
