//! A stack of its own for each test: checkout and state in a temporary directory, the real program, and a judge of its
//! own that reads `/proc` and believes nothing the program says.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const DEVSTACK: &str = env!("CARGO_BIN_EXE_devstack");

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// One stack; it is ended, and proven gone, when this is dropped.
pub(crate) struct World {
    // Held for its end.
    base: TempDir,
    pub(crate) dir: PathBuf,
    id: String,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl World {
    /// A stack with this manifest.
    pub(crate) fn new(manifest: &str) -> Self {
        Self::at("checkout", manifest)
    }

    /// The same with its checkout at this place below the temporary directory.
    pub(crate) fn at(place: &str, manifest: &str) -> Self {
        let base = tempfile::Builder::new().prefix("ds-").tempdir().expect("a temporary directory");
        let dir = base.path().join(place);
        fs::create_dir_all(&dir).expect("the checkout can be made");
        fs::write(dir.join("devstack.yaml"), manifest).expect("the manifest can be written");
        let id = base.path().file_name().expect("it has a name").to_string_lossy().into_owned();
        Self { base, dir, id }
    }

    pub(crate) fn manifest(&self, text: &str) {
        fs::write(self.dir.join("devstack.yaml"), text).expect("the manifest can be written");
    }

    /// The program with these arguments, in the checkout.
    pub(crate) fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(DEVSTACK);
        command.args(args.iter().map(AsRef::as_ref)).current_dir(&self.dir).stdin(Stdio::null());
        self.environment(&mut command);
        command
    }

    /// What makes a command belong to this world.
    pub(crate) fn environment(&self, command: &mut Command) {
        for name in ["DEVSTACK_FILE", "NO_COLOR", "CLICOLOR_FORCE", "PORT"] {
            command.env_remove(name);
        }
        command.env("DEVSTACK_STATE_DIR", self.base.path().join("state")).env("E2E_WORLD", &self.id);
    }

    /// Runs it to its end.
    pub(crate) fn run<S: AsRef<str>>(&self, args: &[S]) -> Out {
        finish(self.command(args))
    }

    /// Runs it to its end, which must have this exit code.
    pub(crate) fn expect<S: AsRef<str>>(&self, code: i32, args: &[S]) -> Out {
        let words: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        self.run(args).expect(code, &words.join(" "))
    }

    /// Runs it to its end, which must be a success.
    pub(crate) fn ok<S: AsRef<str>>(&self, args: &[S]) -> Out {
        self.expect(0, args)
    }

    /// Starts it with both outputs piped.
    pub(crate) fn spawn<S: AsRef<str>>(&self, args: &[S]) -> Running {
        Running::start(self.command(args))
    }

    /// The answer as JSON, with its schema.
    pub(crate) fn json<S: AsRef<str>>(&self, code: i32, args: &[S]) -> Value {
        let out = self.expect(code, args);
        let value: Value = serde_json::from_str(&out.stdout).unwrap_or_else(|_| panic!("no JSON: {out:?}"));
        assert_eq!(value["schema"], "devstack/v1", "{value}");
        value
    }

    pub(crate) fn ps(&self) -> Value {
        self.json(0, &["ps", "--json"])
    }

    pub(crate) fn service(&self, name: &str) -> Value {
        find(&self.ps()["services"], name)
    }

    /// The process of a service, which runs.
    pub(crate) fn pid(&self, name: &str) -> i32 {
        let service = self.service(name);
        let pid = service["pid"].as_i64().unwrap_or_else(|| panic!("{name} has no process: {service}"));
        let pid = i32::try_from(pid).expect("a pid");
        assert!(alive(pid), "{name}, pid {pid}, is said to run");
        pid
    }

    pub(crate) fn state(&self, name: &str) -> String {
        text(&self.service(name)["state"])
    }

    /// Where the state of its stacks lies.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.base.path().join("state")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    /// The nanosecond that a service has written, or is just writing: its file is there before its text.
    pub(crate) fn stamp(&self, name: &str) -> u128 {
        await_that(name, || self.lines(name) == 1);
        let text = self.read(name);
        text.trim().parse().unwrap_or_else(|_| panic!("{name} holds {text:?}"))
    }

    /// Number of lines that services have written to a file.
    pub(crate) fn lines(&self, name: &str) -> usize {
        fs::read_to_string(self.path(name)).map_or(0, |text| text.lines().count())
    }

    /// Every process of this world: by its environment, its open files or its directory.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let mark = format!("E2E_WORLD={}", self.id);
        let of_ours = |pid: &i32| {
            let at = PathBuf::from(format!("/proc/{pid}"));
            let environ = fs::read(at.join("environ")).unwrap_or_default();
            let marked = environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
            let inside = |link: PathBuf| fs::read_link(link).is_ok_and(|to| to.starts_with(self.base.path()));
            let open = fs::read_dir(at.join("fd")).into_iter().flatten().flatten();
            marked || inside(at.join("cwd")) || open.into_iter().any(|file| inside(file.path()))
        };
        let own = i32::try_from(std::process::id()).expect("a pid");
        all_pids()
            .filter(|pid| *pid != own)
            .filter(of_ours)
            .filter(|pid| alive(*pid))
            .map(|pid| (pid, command_of(pid)))
            .collect()
    }

    /// The supervisors of this world.
    pub(crate) fn supervisors(&self) -> Vec<i32> {
        let processes = self.processes().into_iter();
        processes.filter(|(_, command)| command.contains("__supervise")).map(|(pid, _)| pid).collect()
    }

    /// Nothing of this world runs; a supervisor may need a moment to end after its last answer.
    pub(crate) fn await_nothing(&self) {
        until("every process of the stack to be gone", || {
            let left = self.processes();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ended = self.run(&["down", "--force"]);
        let begun = Instant::now();
        while !self.processes().is_empty() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        let left = self.processes();
        for (pid, _) in &left {
            signal(*pid, Signal::KILL);
        }
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left behind after {ended:?}: {left:?}");
            let broken = matches!(ended.code, Some(0 | 65 | 66));
            assert!(broken, "the last down: {ended:?}");
        }
    }
}

impl Out {
    pub(crate) fn expect(self, code: i32, what: &str) -> Self {
        assert_eq!(self.code, Some(code), "{what}\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Each of these words stands on standard error.
    pub(crate) fn complains(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in\n{}", self.stderr);
        }
    }

    /// Each of these words stands on standard output.
    pub(crate) fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stdout.contains(word), "no {word:?} in\n{}", self.stdout);
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A command under way; ended when it is dropped.
pub(crate) struct Running {
    child: Option<Child>,
    begun: Instant,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
        Self { child: Some(child), begun: Instant::now() }
    }

    /// With the outputs that it was given.
    pub(crate) fn on_terminal(mut command: Command) -> Self {
        let child = command.spawn().expect("it can be started");
        Self { child: Some(child), begun: Instant::now() }
    }

    pub(crate) fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("it has not been waited for");
        i32::try_from(child.id()).expect("a pid")
    }

    pub(crate) fn signal(&self, with: Signal) {
        signal(self.pid(), with);
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Out {
        let child = self.child.take().expect("it has not been waited for");
        let pid = i32::try_from(child.id()).expect("a pid");
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || done.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(PATIENCE) else {
            signal(pid, Signal::KILL);
            panic!("a command hangs: {}", command_of(pid));
        };
        let output = output.expect("its output can be read");
        Out {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: self.begun.elapsed(),
        }
    }

    /// Reads standard output until it holds this text.
    pub(crate) fn read_until(&mut self, text: &str) -> String {
        let mut out = self.child.as_mut().and_then(|child| child.stdout.take()).expect("its output");
        let (found, told) = mpsc::channel();
        let wanted = text.to_owned();
        std::thread::spawn(move || {
            let mut all = Vec::new();
            let mut part = [0; 4096];
            loop {
                let size = out.read(&mut part).unwrap_or(0);
                all.extend_from_slice(&part[..size]);
                let so_far = String::from_utf8_lossy(&all).into_owned();
                if size == 0 || so_far.contains(&wanted) {
                    let _ = found.send((so_far, out));
                    return;
                }
            }
        });
        let (so_far, out) = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("never said {text:?}"));
        self.child.as_mut().expect("it runs").stdout = Some(out);
        assert!(so_far.contains(text), "no {text:?} in\n{so_far}");
        so_far
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn finish(command: Command) -> Out {
    Running::start(command).finish()
}

/// Waits for a fact.
pub(crate) fn until(what: &str, fact: impl Fn() -> Result<(), String>) {
    let begun = Instant::now();
    loop {
        match fact() {
            Ok(()) => return,
            Err(seen) => assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}: {seen}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for something that is simply so or not.
pub(crate) fn await_that(what: &str, fact: impl Fn() -> bool) {
    until(what, || if fact() { Ok(()) } else { Err("not so".to_owned()) });
}

/// Whether a process runs; a zombie does not.
pub(crate) fn alive(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let after = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !after.starts_with(['Z', 'X'])
}

/// Fields of `/proc/PID/stat` behind the name, the state being number 0.
pub(crate) fn stat(pid: i32, field: usize) -> i64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().nth(field).and_then(|word| word.parse().ok()).expect("a number")
}

pub(crate) fn signal(pid: i32, with: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, with);
    }
}

pub(crate) fn command_of(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

fn all_pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

/// The program that plays every part.
pub(crate) fn stand_in() -> String {
    let own = std::env::current_exe().expect("the test's own path");
    let target = own.parent().and_then(Path::parent).expect("target/debug");
    let path = target.join("examples/stand-in");
    assert!(path.exists(), "{} is built with the tests", path.display());
    path.to_string_lossy().into_owned()
}

pub(crate) fn find(list: &Value, name: &str) -> Value {
    let all = list.as_array().expect("a list");
    let found = all.iter().find(|entry| entry["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}")).clone()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
