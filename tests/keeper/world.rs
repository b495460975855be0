//! A keeper of its own for each test: the real program, with a directory that goes when the test ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use devstack::domain::{Exit, Failure, Life, Mark, ProcId, UnitName};
use devstack::keeper::{FromKeeper, LogSpec, Spec};
use devstack::store::log::rotated_path;
use devstack::store::{RecordLine, Seal};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const MARK: &str = "0123456789abcdef0123456789abcdef";

/// A directory and a spec in it that a test changes to its needs.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) spec: Spec,
}

impl World {
    pub(crate) fn of(argv: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        fs::write(path("record"), "").expect("an empty record");
        let spec = Spec {
            stack_id: "test-1".to_owned(),
            unit: UnitName::parse("api").expect("a name"),
            life: Life(1),
            mark: Mark::parse(MARK).expect("a mark"),
            argv: argv.iter().map(|text| (*text).to_owned()).collect(),
            working_dir: dir.path().to_owned(),
            environment: vec![
                ("PATH".to_owned(), std::env::var("PATH").expect("a PATH")),
                ("DEVSTACK_LIFE".to_owned(), MARK.to_owned()),
            ],
            user: None,
            cgroup: None,
            socket: path("keeper.sock"),
            record: path("record"),
            seal: Seal::of(&Mark::parse(MARK).expect("a mark"), &["test"]),
            notify: None,
            bounds: Vec::new(),
            open_files: None,
            ends_alone: None,
            program: None,
            descriptors: None,
            log: LogSpec { path: path("api.log"), max_size: 10 << 20, max_files: 1000 },
        };
        Self { dir, spec }
    }

    /// A shell script as the service.
    pub(crate) fn shell(script: &str) -> Self {
        Self::of(&["sh", "-c", script])
    }

    /// Makes a fifo: what opens it for reading waits until [`World::release`].
    pub(crate) fn with_gate(self) -> Self {
        let made = Command::new("mkfifo").arg(self.path("gate")).status().expect("mkfifo runs");
        assert!(made.success());
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn start(self) -> Keeper {
        self.start_with(|_| ())
    }

    pub(crate) fn start_with(self, change: impl FnOnce(&mut Command)) -> Keeper {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
        command.arg("__keeper").stdin(Stdio::from(OwnedFd::from(theirs)));
        change(&mut command);
        let child = command.spawn().expect("the keeper starts");
        drop(command);
        let mut line = serde_json::to_vec(&self.spec).expect("a spec is JSON");
        line.push(b'\n');
        (&ours).write_all(&line).expect("the keeper reads");
        Keeper { world: self, child, told: Some(Told::by(ours)) }
    }
}

/// One end of a conversation.
pub(crate) struct Told(BufReader<UnixStream>);

impl Told {
    pub(crate) fn by(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        Self(BufReader::new(stream))
    }

    /// The next thing told; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<FromKeeper> {
        let mut line = String::new();
        let count = self.0.read_line(&mut line).expect("told in time");
        (count > 0).then(|| serde_json::from_str(&line).expect("a line that is known"))
    }
}

/// A running keeper.
pub(crate) struct Keeper {
    pub(crate) world: World,
    pub(crate) child: Child,
    told: Option<Told>,
}

impl Keeper {
    pub(crate) fn next(&mut self) -> Option<FromKeeper> {
        self.told.as_mut().expect("the supervisor lives").next()
    }

    /// The leader, once it runs.
    pub(crate) fn leader(&mut self) -> ProcId {
        match self.next() {
            Some(FromKeeper::Started { keeper, leader, .. }) => {
                assert_eq!(u32::try_from(keeper.pid.get()), Ok(self.child.id()));
                leader
            }
            other => panic!("not started: {other:?}"),
        }
    }

    pub(crate) fn exit(&mut self) -> Exit {
        match self.next() {
            Some(FromKeeper::Exited { exit }) => exit,
            other => panic!("not the leader's exit: {other:?}"),
        }
    }

    pub(crate) fn not_started(&mut self) -> Failure {
        match self.next() {
            Some(FromKeeper::NotStarted { why }) => {
                assert_eq!(self.next(), None);
                why
            }
            other => panic!("not a failure: {other:?}"),
        }
    }

    /// The whole life of a service that ends by itself.
    pub(crate) fn whole_life(&mut self) -> Exit {
        self.leader();
        let exit = self.exit();
        self.empties();
        exit
    }

    /// Emptied is told, is the last word, and leaves no socket.
    pub(crate) fn empties(&mut self) {
        assert_eq!(self.next(), Some(FromKeeper::Emptied));
        assert_eq!(self.next(), None);
        assert!(self.child.wait().expect("it ends").success());
        assert!(!self.world.spec.socket.exists(), "its socket is gone");
        assert_eq!(self.record().last(), Some(&RecordLine::Emptied));
    }

    /// As the supervisor's death is for a keeper.
    pub(crate) fn supervisor_dies(&mut self) {
        self.told = None;
    }

    /// As a later supervisor does.
    pub(crate) fn connect(&self) -> Told {
        Told::by(UnixStream::connect(&self.world.spec.socket).expect("it listens"))
    }

    /// Lets what waits at the gate go on. Returns when it does.
    pub(crate) fn release(&self) {
        fs::write(self.world.path("gate"), "go\n").expect("the gate opens");
    }

    pub(crate) fn record(&self) -> Vec<RecordLine> {
        let text = fs::read_to_string(&self.world.spec.record).expect("a record");
        // Each line begins on a line of its own, whatever a writer before left torn.
        text.lines().filter(|line| !line.is_empty()).map(parse).collect()
    }

    /// All files of the log, the oldest first, as one.
    pub(crate) fn log(&self) -> Vec<u8> {
        let mut files: Vec<_> =
            (0..).map_while(|age| fs::read(rotated_path(&self.world.spec.log.path, age)).ok()).collect();
        files.reverse();
        files.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.log()).expect("text")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Handed on to the service; a test that failed leaves nothing behind.
        if let Ok(None) = self.child.try_wait() {
            let pid = rustix::process::Pid::from_child(&self.child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// A file of a process, such as `status`.
pub(crate) fn proc_file(process: ProcId, name: &str) -> Vec<u8> {
    fs::read(Path::new("/proc").join(process.pid.to_string()).join(name)).expect("it lives")
}

/// What `status` says of one thing.
pub(crate) fn status(process: ProcId, field: &str) -> String {
    let text = String::from_utf8(proc_file(process, "status")).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.expect("a field that is there").trim().to_owned()
}

/// A line of a record, its seal taken off.
pub(crate) fn parse(line: &str) -> RecordLine {
    let mut value: serde_json::Value = serde_json::from_str(line.trim()).expect("JSON");
    value.as_object_mut().expect("an object").remove("seal").expect("a seal");
    serde_json::from_value(value).expect("a line that is known")
}
