//! The Node workspace of `fixtures/node`, brought up, looked at and ended as its user would, beside an `npm test` that
//! hangs. Skipped, loudly, only where node or npm is missing.

mod accident;
mod crash;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use world::{answers, command_line, finish, kill, list, number, numbers, runs, skip, stat, until};

const SERVICES: usize = 4;
const PORTS: [u16; 4] = [3100, 4101, 4102, 4103];

/// The workspace with its packages, a state of its own, and what must go when the test ends.
struct Workspace {
    state: tempfile::TempDir,
    test: Option<Child>,
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/node")
}

fn there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Living processes that work below a directory.
fn living_in(dir: &Path) -> BTreeMap<i32, String> {
    let dir = dir.canonicalize().expect("it is there");
    let here = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&dir));
    let me = i32::try_from(std::process::id()).expect("a number");
    let all = numbers().into_iter().filter(|pid| *pid != me && here(pid) && runs(*pid));
    all.map(|pid| (pid, command_line(pid))).collect()
}

/// This test itself, cargo and the shell around it may stand in the repository, never in the fixture.
fn left() -> BTreeMap<i32, String> {
    living_in(&fixture())
}

impl Workspace {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
        command.args(args).current_dir(fixture()).env("DEVSTACK_STATE_DIR", self.state.path());
        command.env_remove("DEVSTACK_FILE").stdin(Stdio::null());
        command
    }

    fn ps(&self) -> Value {
        finish(self.command(&["ps", "--json"])).expect(0).json()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = self.command(&["down", "--force"]).output();
        for pid in left().into_keys() {
            kill(pid, Signal::KILL);
        }
        if let Some(mut test) = self.test.take() {
            let _ = test.kill();
            let _ = test.wait();
        }
    }
}

/// One test at a time, also where each is a process of its own: npm, turbo and vitest want both cores.
fn turn() -> fs::File {
    let lock = fs::File::open(fixture()).expect("it is there");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    lock
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn install() {
    if !fixture().join("node_modules").exists() {
        let installed = Command::new("npm").arg("ci").current_dir(fixture()).output().expect("npm is there");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    }
}

/// `npm test` beside the stack, as from another terminal: turbo, vitest and its workers, waiting for ever.
fn hang(dir: &Path) -> Child {
    let log = fs::File::create(dir.join("test.log")).expect("a file");
    let mut command = Command::new("setsid");
    command.args(["npm", "test"]).current_dir(fixture()).env("HANG", "1").env_remove("CI");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    command.spawn().expect("it starts")
}

#[test]
fn the_node_workspace_comes_up_and_goes_without_a_trace() {
    if !there("node") || !there("npm") {
        return skip("node and npm are needed");
    }
    let _turn = turn();
    install();
    assert!(left().is_empty(), "something runs in the fixture already: {:?}", left());
    let mut workspace = Workspace { state: tempfile::tempdir().expect("a directory"), test: None };
    let elsewhere = tempfile::tempdir().expect("a directory");

    let up = finish(workspace.command(&["up"])).expect(0);
    tell(&format!("up, {:.1} s:\n{}", up.took.as_secs_f64(), up.out));
    let view = workspace.ps();
    let services = list(&view, "services");
    assert_eq!(services.len(), SERVICES);
    for service in services {
        assert_eq!(service["state"], "ready", "{service:#}");
        let pid = number(&service["pid"]);
        let line = stat(pid).expect("it lives");
        assert_eq!((line.group, line.session), (pid, pid), "a session of its own");
        assert_eq!((number(&service["pgid"]), number(&service["sid"])), (pid, pid));
        assert!(list(service, "processes").len() >= 2, "{service:#}");
    }
    let tracked: usize = services.iter().map(|service| list(service, "processes").len()).sum();
    for (port, path) in [(3100, "/api/v1/health"), (4101, "/health"), (4102, "/health"), (4103, "/health")] {
        assert!(get(port, path).starts_with("HTTP/1.1 200"), "port {port}");
    }
    let agents = get(3100, "/agents");
    assert!(agents.contains("validation-agent"), "{agents}");

    workspace.test = Some(hang(elsewhere.path()));
    until("the suite hangs", || {
        let text = fs::read_to_string(elsewhere.path().join("test.log")).unwrap_or_default();
        text.contains("hanging")
    });
    // The same words in another directory: a person's own test run in another project.
    let mut look_alike = Command::new("node")
        .args(["-e", "setInterval(() => {}, 1000)", "vitest", "run"])
        .current_dir(elsewhere.path())
        .stdin(Stdio::null())
        .spawn()
        .expect("it starts");
    let before = left();
    let count = |word: &str| before.values().filter(|line| line.contains(word)).count();
    assert!(count("turbo") >= 1 && count("vitest") >= 2, "{before:#?}");

    let down = finish(workspace.command(&["down"])).expect(0);
    let after = left();
    tell(&format!(
        "{} processes before down ({tracked} tracked, the others of npm test), {} after, {:.1} s:\n{}{}",
        before.len(),
        after.len(),
        down.took.as_secs_f64(),
        down.out,
        down.err,
    ));
    assert!(after.is_empty(), "left: {after:#?}");
    assert!(before.keys().all(|pid| !runs(*pid)));
    for port in PORTS {
        assert!(!answers(port), "port {port} is held");
    }
    assert!(down.took < Duration::from_secs(60), "{:?}", down.took);
    assert!(look_alike.try_wait().expect("ours").is_none(), "the look-alike was ended");
    look_alike.kill().expect("ours");
    look_alike.wait().expect("ours");
    let ended = workspace.test.take().expect("it was started").wait().expect("ours");
    assert!(!ended.success());
}

#[expect(clippy::print_stderr, reason = "figures for whoever looks")]
fn tell(text: &str) {
    eprintln!("{text}");
}
