//! A stack of its own for each test, run by the real program, and a judge that does not use its code.
//!
//! Every program of a test is a link to the stand-in in a directory of that test: whatever a process does to its
//! session, environment, title or directory, `/proc/PID/exe` goes on telling whose it is.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `nobody`: who plays the plain user where the tests are run by root.
pub(crate) const NOBODY: u32 = 65534;

/// Root can take on any user; a plain user is one already.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says loudly that a test did not run: past the test runner, which keeps what a passing test prints to itself.
pub(crate) fn skip(why: &str) {
    use std::io::Write as _;
    let thread = std::thread::current();
    let text = format!("\n!!!! SKIPPED: {}: {why}\n", thread.name().unwrap_or("a test"));
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A stack, its state, and the programs that its services run.
pub(crate) struct World {
    /// State and stack; short, because sockets are in it.
    temp: TempDir,
    programs: TempDir,
    /// Whether devstack is run by a plain user though the test is run by root.
    plain: bool,
    /// The cgroup that devstack is run in, where a test made one.
    cgroup: Option<PathBuf>,
    program: PathBuf,
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl World {
    /// A stack of the user who runs the tests.
    pub(crate) fn new(manifest: &str) -> Self {
        Self::of(manifest, false)
    }

    /// A stack of a user who is not root.
    pub(crate) fn plain(manifest: &str) -> Self {
        Self::of(manifest, is_root())
    }

    fn of(manifest: &str, plain: bool) -> Self {
        let temp = tempfile::Builder::new().prefix("ds").tempdir_in("/tmp").expect("a directory");
        let programs = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let program = programs.path().join("stand-in");
        link(&stand_in(), &program);
        let world = Self { temp, programs, plain, cgroup: None, program };
        for dir in [world.dir(), world.state()] {
            fs::create_dir(&dir).expect("a directory");
        }
        open(world.programs.path());
        world.write(manifest);
        if plain {
            // The manifest's directory and the state are that user's own.
            for path in [world.temp.path().to_owned(), world.dir(), world.state()] {
                std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may");
            }
        }
        world
    }

    /// A stack of a plain user whose service has a child that belongs to root: a setuid program, as `sudo` or `ping` are. None
    /// where nobody can make one.
    pub(crate) fn with_setuid_child() -> Option<Self> {
        if !is_root() {
            skip("only root can make a program setuid");
            return None;
        }
        let world = Self::plain("services: { none: { command: stand-in wait } }\n");
        let (helper, sudo) =
            (world.program("root-helper"), world.program("stand-in").with_file_name("become-root"));
        // A copy, not a link: the bit is the file's.
        fs::copy("/usr/bin/setpriv", &sudo).expect("util-linux is there");
        fs::set_permissions(&sudo, fs::Permissions::from_mode(0o4755)).expect("ours");
        let (helper, sudo) = (helper.display(), sudo.display());
        world.write(&format!(
            "services:\n  api:\n    command: '{sudo} --reuid 0 --clear-groups -- {helper} wait & stand-in wait'\n    \
             stop_grace_period: 300ms\n"
        ));
        world.up();
        until("both run", || {
            world.living().len() == 2 && world.living().values().all(|line| line.contains(" wait"))
        });
        Some(world)
    }

    /// Writes the manifest; `stand-in` becomes this test's own program, which replaces the shell where it stands first.
    pub(crate) fn write(&self, manifest: &str) {
        let text = manifest.replace("command: stand-in ", "command: exec stand-in ");
        let text = text.replace("stand-in ", &format!("{} ", self.program.display()));
        fs::write(self.dir().join("devstack.yaml"), text).expect("written");
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.temp.path().join("stack")
    }

    /// Beside the stack's directory, outside it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let dir = self.temp.path().join(name);
        fs::create_dir_all(&dir).expect("a directory");
        dir
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.temp.path().join("s")
    }

    /// This test's stand-in, under any name.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let path = self.programs.path().join(name);
        if !path.exists() {
            link(&stand_in(), &path);
        }
        path
    }

    /// From now on devstack is run in this cgroup; root only.
    pub(crate) fn enter(&mut self, cgroup: &Path) {
        self.cgroup = Some(cgroup.to_owned());
    }

    /// A command of this stack, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(cgroup) = &self.cgroup {
            words.extend(["sh", "-c", "echo $$ >\"$0\" && exec \"$@\""].map(OsString::from));
            words.push(cgroup.join("cgroup.procs").into());
        }
        if self.plain {
            let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
            words.extend(["setpriv", &user, &group, "--clear-groups", "--"].map(OsString::from));
        }
        words.push(env!("CARGO_BIN_EXE_devstack").into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(args).current_dir(self.dir()).env("DEVSTACK_STATE_DIR", self.state());
        for name in ["DEVSTACK_FILE", "DEVSTACK_LIFE", "DEVSTACK_STACK_ID", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args))
    }

    /// `up`, which must go well.
    pub(crate) fn up(&self) {
        self.run(&["up"]).expect(0);
    }

    /// `down --json` with this exit code.
    pub(crate) fn down(&self, more: &[&str], code: i32) -> Value {
        let mut args = vec!["down", "--json"];
        args.extend(more);
        self.run(&args).expect(code).json()
    }

    pub(crate) fn ps(&self) -> Value {
        self.run(&["ps", "--json"]).expect(0).json()
    }

    /// The leader of a service, as `ps` tells it.
    pub(crate) fn pid(&self, service: &str) -> i32 {
        number(&self.service(service)["pid"])
    }

    pub(crate) fn service(&self, name: &str) -> Value {
        let view = self.ps();
        let services = view["services"].as_array().expect("a list");
        services.iter().find(|service| service["name"] == name).expect("it is there").clone()
    }

    pub(crate) fn supervisor(&self) -> i32 {
        number(&self.ps()["supervisor"])
    }

    /// The keeper of a service: its leader's parent.
    pub(crate) fn keeper(&self, service: &str) -> i32 {
        let keeper = stat(self.pid(service)).expect("it lives").parent;
        assert!(command_line(keeper).contains("__keeper"), "{}", command_line(keeper));
        keeper
    }

    /// Every living process of this test's programs, by number: the judge.
    pub(crate) fn living(&self) -> BTreeMap<i32, String> {
        living_in(self.programs.path())
    }

    /// Nothing of this test's programs lives; canaries are told by their numbers.
    pub(crate) fn assert_none_but(&self, canaries: &[&Started]) {
        let mut left = self.living();
        for canary in canaries {
            assert!(left.remove(&canary.pid()).is_some(), "a canary died: {}", canary.pid());
        }
        assert!(left.is_empty(), "left: {left:?}");
    }

    /// Waits until so many processes of this test's programs live.
    pub(crate) fn await_living(&self, count: usize) {
        until(&format!("{count} processes"), || self.living().len() == count);
    }

    /// Starts one of this test's programs outside devstack.
    pub(crate) fn start(&self, program: &str, args: &[&str], dir: &Path) -> Started {
        let mut command = Command::new(self.program(program));
        command.args(args).current_dir(dir);
        Started::by(&command, self.plain)
    }

    /// The log of a service, all its files, the oldest first.
    pub(crate) fn log(&self, service: &str) -> Vec<u8> {
        let dir = self.stack_state().join("logs");
        let mut files: Vec<PathBuf> = fs::read_dir(dir)
            .expect("logs")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| {
                path.file_name().is_some_and(|name| {
                    let name = name.to_string_lossy();
                    name == format!("{service}.log")
                        || name
                            .strip_prefix(&format!("{service}.log."))
                            .is_some_and(|age| age.bytes().all(|byte| byte.is_ascii_digit()))
                })
            })
            .collect();
        let age =
            |path: &PathBuf| path.extension().and_then(|age| age.to_str()?.parse::<u32>().ok()).unwrap_or(0);
        files.sort_by_key(|path| std::cmp::Reverse(age(path)));
        files.iter().flat_map(|path| fs::read(path).expect("a log")).collect()
    }

    /// The directory of this stack's state.
    pub(crate) fn stack_state(&self) -> PathBuf {
        let mut dirs =
            fs::read_dir(self.state()).expect("state").map(|entry| entry.expect("an entry").path());
        dirs.find(|path| path.join("stack.json").exists()).expect("the stack was used")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.dir().join("devstack.yaml").exists() {
            let _ =
                fs::write(self.dir().join("devstack.yaml"), "services: { none: { command: \"true\" } }\n");
        }
        let _ = self.command(&["down", "--force"]).output();
        // What a failed test left: its own programs only, by the number just read.
        for pid in self.living().into_keys() {
            kill(pid, Signal::KILL);
        }
    }
}

impl Ran {
    /// It ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let told = format!("{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.out, self.err);
        assert_eq!(self.status.code(), Some(code), "{told}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}: {}\n{}", self.out, self.err))
    }
}

/// A command with words before it (`timeout 5`, `unshare --mount --`), everything else as it was.
pub(crate) fn behind<S: AsRef<OsStr>>(words: &[S], command: &Command) -> Command {
    let mut outer = Command::new(&words[0]);
    outer.args(&words[1..]).arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdin(Stdio::null());
    outer
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Ran {
    let begun = Instant::now();
    let output = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    Ran { status: output.status, out, err, took: begun.elapsed() }
}

/// A process that a test started by itself; killed and reaped when the test ends.
pub(crate) struct Started {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
}

impl Started {
    /// In a session of its own, so that no process of the test shares it.
    pub(crate) fn by(command: &Command, plain: bool) -> Self {
        let mut words = vec!["setsid".to_owned()];
        if plain {
            words.extend(["setpriv".to_owned(), format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
            words.extend(["--clear-groups", "--"].map(str::to_owned));
        }
        let mut outer = behind(&words, command);
        outer.stdout(Stdio::piped());
        let mut child = outer.spawn().expect("it starts");
        let out = child.stdout.take().map(BufReader::new);
        let wanted = command.get_program().to_string_lossy().into_owned();
        let started = Self { child, out };
        until("the program runs", || command_line(started.pid()).starts_with(&wanted));
        started
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a number")
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.as_mut().expect("a pipe").read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Whether it still runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of the process table.
#[derive(Debug)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    pub(crate) start: u64,
}

/// The process table's line on a process that is there.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| words.get(at)?.parse().ok();
    Some(Stat {
        state: words.first()?.chars().next()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        start: words.get(19)?.parse().ok()?,
    })
}

/// Whether a process runs: a zombie does not.
pub(crate) fn runs(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

pub(crate) fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// Every process whose program lies in a directory.
pub(crate) fn living_in(dir: &Path) -> BTreeMap<i32, String> {
    numbers()
        .into_iter()
        .filter(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(dir)))
        .filter(|pid| runs(*pid))
        .map(|pid| (pid, command_line(pid)))
        .collect()
}

/// Every number of the process table.
pub(crate) fn numbers() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("a process table").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Sends a signal to a process of this test.
pub(crate) fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Waits until something holds: a fact that nothing tells.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    socket.local_addr().expect("it is bound").port()
}

/// Whether somebody listens.
pub(crate) fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

pub(crate) fn number(value: &Value) -> i32 {
    value
        .as_i64()
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// The elements of a list in an answer.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key}: {value}"))
}

fn stand_in() -> PathBuf {
    let own = std::env::current_exe().expect("a program");
    let debug = own.parent().and_then(Path::parent).expect("target/debug/deps");
    let path = debug.join("examples/stand-in");
    assert!(path.exists(), "{} is built by `cargo build --examples`", path.display());
    path
}

/// A link, or where the file is another user's, a copy. It is made by another process: a file that this one has just
/// written cannot be executed while another test forks.
fn link(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        let copied = Command::new("cp").arg(from).arg(to).status().expect("cp runs");
        assert!(copied.success(), "no copy of {}", from.display());
    }
}

/// Others may look into it: the plain user runs the programs.
fn open(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("it is ours");
}
