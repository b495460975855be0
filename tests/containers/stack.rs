//! A stack with containers, and the engine's own word for what there is of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::engine::{Engine, engine, had, script};
use crate::world::{Ran, World, command_line, finish, kill, number, numbers, runs, stat, until};

/// A stack of its own on the engine of the tests.
pub(crate) struct Stack {
    pub(crate) world: World,
    pub(crate) engine: &'static Engine,
}

impl Stack {
    /// None where no engine can be had.
    pub(crate) fn new(manifest: &str) -> Option<Self> {
        let engine = engine()?;
        if manifest.contains("devstack-test/redis") && !image("redis") {
            return None;
        }
        Some(Self { world: World::new(manifest), engine })
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        for (name, value) in self.engine.command(&[]).get_envs() {
            command.env(name, value.expect("none is taken away"));
        }
        command.env_remove("DOCKER_CONTEXT").env("DEVSTACK_ENGINE", self.engine.name());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args))
    }

    pub(crate) fn up(&self) {
        self.run(&["up"]).expect(0);
    }

    /// Runs a command at a terminal: once this question is seen, this is the answer. All that it says is in `out`.
    pub(crate) fn at_a_terminal(&self, args: &[&str], question: &str, answer: &str) -> Ran {
        let command = self.command(args);
        let words: Vec<String> = [command.get_program()]
            .into_iter()
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let mut outer = Command::new("script");
        outer.args(["-qefc", &words.join(" "), "/dev/null"]).current_dir(self.world.dir());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        let mut child = outer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (mut keys, mut screen) =
            (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (begun, mut seen) = (Instant::now(), Vec::new());
        let mut part = [0; 4096];
        let mut answered = false;
        while let Ok(size @ 1..) = screen.read(&mut part) {
            seen.extend_from_slice(&part[..size]);
            if !answered && String::from_utf8_lossy(&seen).contains(question) {
                keys.write_all(answer.as_bytes()).expect("it reads");
                answered = true;
            }
        }
        let status = child.wait().expect("it ends");
        let out = String::from_utf8_lossy(&seen).into_owned();
        Ran { status, out, err: String::new(), took: begun.elapsed() }
    }

    /// `down --json`, which must be clean; nothing is left by the engine's own word.
    pub(crate) fn down(&self) -> Value {
        let report = self.run(&["down", "--json"]).expect(0).json();
        assert_eq!(self.containers(), BTreeSet::new(), "{report:#}");
        report
    }

    /// The ids of all containers of this stack, ended ones included.
    pub(crate) fn containers(&self) -> BTreeSet<String> {
        self.listed(&["--all"])
    }

    /// The ids of those that run.
    pub(crate) fn running(&self) -> BTreeSet<String> {
        self.listed(&[])
    }

    fn listed(&self, more: &[&str]) -> BTreeSet<String> {
        let state = self.world.stack_state();
        let name = state.file_name().expect("a name").to_string_lossy().into_owned();
        let hash = name.rsplit('-').next().expect("a hash");
        let filter = format!("label=devstack.stack={hash}");
        let mut args = vec!["ps", "--quiet", "--no-trunc", "--filter", &filter];
        args.extend(more);
        self.engine.docker(&args).out.split_whitespace().map(str::to_owned).collect()
    }

    /// The one container that there is.
    #[track_caller]
    pub(crate) fn only(&self) -> String {
        let all = self.containers();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().expect("one")
    }

    pub(crate) fn inspect(&self, id: &str) -> Value {
        self.engine.docker(&["inspect", id]).json()[0].clone()
    }

    /// The process numbers of supervisor, keepers and shims.
    pub(crate) fn parts(&self) -> Parts {
        let supervisor = self.world.supervisor();
        let keepers = children(&[supervisor]);
        // Podman's monitor is a child of the keeper as well, but nobody's of devstack.
        let mut leaders = children(&keepers);
        leaders.retain(|pid| !command_line(*pid).contains("conmon"));
        Parts { supervisor, keepers, leaders }
    }

    /// What its shim told last; none before it told anything.
    pub(crate) fn told(&self) -> Option<Value> {
        let mut stacks = std::fs::read_dir(self.world.state()).ok()?.flatten();
        stacks.find(|stack| stack.path().join("stack.json").exists())?;
        let dir: PathBuf = self.world.stack_state().join("containers");
        let mut files = std::fs::read_dir(dir).ok()?.flatten().map(|file| file.path());
        let path = files.find(|path| path.extension().is_some_and(|end| end == "state"))?;
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}

/// An image of `scripts/engine`, built once; false where it cannot be had.
pub(crate) fn image(name: &'static str) -> bool {
    static IMAGES: Mutex<BTreeMap<&str, &Result<(), String>>> = Mutex::new(BTreeMap::new());
    let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let built = *images.entry(name).or_insert_with(|| {
        let verb = if engine().is_some_and(Engine::is_podman) { "podman" } else { "images" };
        let built = script(&[verb], &[name]).map(drop);
        Box::leak(Box::new(built))
    });
    drop(images);
    had(&format!("image of {name}"), built).is_some()
}

/// What there is of devstack around a running stack.
pub(crate) struct Parts {
    pub(crate) supervisor: i32,
    pub(crate) keepers: Vec<i32>,
    pub(crate) leaders: Vec<i32>,
}

/// Kills these, and waits until they have ended.
pub(crate) fn kill_all(pids: &[i32]) {
    for pid in pids {
        kill(*pid, Signal::KILL);
    }
    until("they have ended", || !pids.iter().any(|pid| runs(*pid)));
}

pub(crate) fn children(of: &[i32]) -> Vec<i32> {
    let is_child = |pid: &i32| stat(*pid).is_some_and(|stat| of.contains(&stat.parent));
    numbers().into_iter().filter(is_child).collect()
}

/// What a redis answers through the published port.
pub(crate) fn ping(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"PING\r\n").ok()?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// A leader as views tell it.
pub(crate) fn pid_of(service: &Value) -> i32 {
    number(&service["pid"])
}
