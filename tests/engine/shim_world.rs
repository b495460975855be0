//! A shim run by itself, as a keeper would run it: its spec, its state file, its output and its container.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use devstack::domain::{
    ContainerState, ContainerStep, ContainerTrouble, Life, Limits, Signal, StackName, UnitKind, UnitName,
};
use devstack::plan::{CommandPlan, ContainerPlan, EngineKind, LogPlan, RestartPolicy, StopPlan, UnitPlan};
use devstack::shim::ShimSpec;
use tempfile::TempDir;

use crate::engine::Engine;
use crate::world::{NOBODY, PATIENCE, command_line, free_port, kill, numbers, stat, until};

/// One service in a container, and all that is kept of it.
pub(crate) struct Service {
    pub(crate) engine: &'static Engine,
    pub(crate) temp: TempDir,
    pub(crate) spec: ShimSpec,
    /// Whether its shim is run by a user who may not ask the engine.
    pub(crate) nobodys: bool,
    life: u32,
}

impl Service {
    /// A container of the idle image that runs this.
    pub(crate) fn new(engine: &'static Engine, command: &[&str]) -> Self {
        let temp = tempfile::Builder::new().prefix("ds").tempdir_in("/tmp").expect("a directory");
        let stack = format!("{:016x}", u64::from(free_port()) << 32 | u64::from(std::process::id()));
        let container = ContainerPlan {
            engine: if engine.is_podman() { EngineKind::Podman } else { EngineKind::Docker },
            name: format!("shim-{stack}-db"),
            image: "devstack-test/idle".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..ContainerPlan::default()
        };
        let unit = UnitPlan {
            name: UnitName::parse("db").expect("a name"),
            kind: UnitKind::Service,
            command: CommandPlan::Exec(vec!["idle".to_owned()]),
            container: Some(Box::new(container)),
            fallback: None,
            instead_of: None,
            working_dir: temp.path().to_owned(),
            environment: BTreeMap::new(),
            user: None,
            ports: Vec::new(),
            depends_on: Vec::new(),
            gate: Vec::new(),
            gate_timeout: Duration::from_secs(10),
            health: None,
            start_timeout: Duration::from_secs(60),
            restart: RestartPolicy::No,
            stop: StopPlan { signal: Signal::TERM, grace: Duration::from_secs(10), command: None },
            ends_with_supervisor: false,
            limits: Limits::default(),
            logs: LogPlan { max_size: 1 << 20, max_files: 1 },
            profiles: BTreeSet::new(),
            labels: BTreeMap::new(),
            definition: "0123456789abcdef".to_owned(),
        };
        let spec = ShimSpec {
            owner: format!("owner-of-{stack}"),
            stack,
            name: StackName::parse("shop").expect("a name"),
            life: Life(1),
            unit,
            state: temp.path().join("state"),
            position: temp.path().join("position"),
        };
        Self { engine, temp, spec, nobodys: false, life: 0 }
    }

    pub(crate) fn plan(&mut self) -> &mut ContainerPlan {
        self.spec.unit.container.as_mut().expect("it is in one")
    }

    pub(crate) fn name(&self) -> String {
        self.spec.unit.container.as_ref().expect("it is in one").name.clone()
    }

    /// Starts a shim in a new life.
    pub(crate) fn start(&mut self) -> Shim {
        self.start_with(&[])
    }

    /// The same with more variables for the shim itself.
    pub(crate) fn start_with(&mut self, variables: &[(&str, &str)]) -> Shim {
        self.life += 1;
        self.spec.life = Life(self.life);
        let path = self.temp.path().join(format!("{}.spec", self.life));
        self.spec.write(&path).expect("written");
        let _ = fs::remove_file(&self.spec.state);
        let output = self.temp.path().join(format!("{}.log", self.life));
        // A pipe, as from a keeper, with somebody who reads it.
        let mut command = self.engine.command(&[]);
        let environment: Vec<_> =
            command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        command = Command::new(env!("CARGO_BIN_EXE_devstack"));
        if self.nobodys {
            for path in [self.temp.path(), &path] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
            }
            command = Command::new("setpriv");
            let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
            command.args([&user, &group, "--clear-groups", "--", env!("CARGO_BIN_EXE_devstack")]);
        }
        for (name, value) in environment {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.envs(variables.iter().copied()).arg("__container").arg(&path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("it starts");
        let mut pipe = child.stdout.take().expect("a pipe");
        let to = output.clone();
        let reader = std::thread::spawn(move || {
            let mut file = File::create(to).expect("a file");
            let _ = std::io::copy(&mut pipe, &mut file);
        });
        Shim { child, reader: Some(reader), output, state: self.spec.state.clone() }
    }

    /// What the engine knows of it, as its own command tells it; none where it knows nothing.
    pub(crate) fn container(&self) -> Option<serde_json::Value> {
        let output =
            self.engine.command(&["inspect", "--type", "container", &self.name()]).output().expect("asked");
        let all: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        all.get(0).cloned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let filter = format!("label=devstack.stack={}", self.spec.stack);
        for (list, remove) in [
            (&["ps", "-aq", "--filter", &filter][..], &["rm", "-f", "-v"][..]),
            (&["volume", "ls", "-q", "--filter", &filter], &["volume", "rm", "-f"]),
        ] {
            let Ok(found) = self.engine.command(list).output() else { continue };
            for id in String::from_utf8_lossy(&found.stdout).split_whitespace() {
                let _ = self.engine.command(&[remove, &[id]].concat()).output();
            }
        }
    }
}

/// A shim that runs; killed when the test is done with it.
pub(crate) struct Shim {
    child: Child,
    reader: Option<std::thread::JoinHandle<()>>,
    output: PathBuf,
    state: PathBuf,
}

impl Shim {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a number")
    }

    /// What it tells now.
    pub(crate) fn state(&self) -> ContainerState {
        let text = fs::read(&self.state).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Waits until it tells this.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&ContainerState) -> bool) -> ContainerState {
        until(what, || holds(&self.state()));
        self.state()
    }

    /// Waits until its container runs and is known.
    #[track_caller]
    pub(crate) fn until_running(&self) -> ContainerState {
        self.until("its container runs", |state| state.step == ContainerStep::Running && state.pid.is_some())
    }

    pub(crate) fn ask(&self) {
        kill(self.pid(), rustix::process::Signal::TERM);
    }

    pub(crate) fn kill(&self) {
        kill(self.pid(), rustix::process::Signal::KILL);
    }

    /// The one command of the engine that it runs and that has this word.
    #[track_caller]
    pub(crate) fn child(&self, word: &str) -> i32 {
        let is_it = |pid: &i32| {
            stat(*pid).is_some_and(|stat| stat.parent == self.pid())
                && command_line(*pid).split(' ').any(|one| one == word)
        };
        let found: Vec<i32> = numbers().into_iter().filter(is_it).collect();
        let [pid] = found[..] else { panic!("{word}: {found:?}") };
        pid
    }

    /// Waits for its end: the exit code, none where a signal ended it.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {:?}", self.state());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends with this trouble and 125.
    #[track_caller]
    pub(crate) fn trouble(&mut self) -> ContainerTrouble {
        assert_eq!(self.end(), Some(125), "{:?}", self.state());
        let state = self.state();
        assert_eq!(state.step, ContainerStep::Ended);
        state.trouble.expect("it says why")
    }

    /// All that it has written until now.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The same as it is.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = File::open(&self.output).and_then(|mut file| file.read_to_end(&mut bytes));
        bytes
    }

    /// All that it has written, after its end.
    pub(crate) fn all_written(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it read all");
        }
        self.written()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A door to the engine that can be shut: behind it an engine seems to go away, without harm to anybody else.
pub(crate) struct Door {
    temp: TempDir,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    shut: AtomicBool,
    refused: AtomicUsize,
    through: Mutex<Vec<UnixStream>>,
}

impl Door {
    pub(crate) fn to(engine: &'static Engine) -> Self {
        let temp = tempfile::Builder::new().prefix("ds").tempdir_in("/tmp").expect("a directory");
        let listener = UnixListener::bind(temp.path().join("s")).expect("bound");
        let inner = Arc::new(Inner::default());
        let shared = Arc::clone(&inner);
        let socket = engine.dir().join("docker.sock");
        std::thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                if shared.shut.load(Ordering::SeqCst) {
                    shared.refused.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                let Ok(to) = UnixStream::connect(&socket) else { continue };
                for (mut from, mut to) in [
                    (from.try_clone().expect("cloned"), to.try_clone().expect("cloned")),
                    (to.try_clone().expect("cloned"), from.try_clone().expect("cloned")),
                ] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
                shared.through.lock().expect("whole").extend([from, to]);
            }
        });
        Self { temp, inner }
    }

    /// As `DOCKER_HOST` names it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.temp.path().join("s").display())
    }

    /// Nobody comes through any more, and who is in it falls out.
    pub(crate) fn shut(&self) {
        self.inner.shut.store(true, Ordering::SeqCst);
        for stream in self.inner.through.lock().expect("whole").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn open(&self) {
        self.inner.shut.store(false, Ordering::SeqCst);
    }

    /// How often somebody knocked in vain.
    pub(crate) fn refused(&self) -> usize {
        self.inner.refused.load(Ordering::SeqCst)
    }
}
