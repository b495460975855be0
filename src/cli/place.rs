//! Which stack a command means: its manifest, its plan, its directories on disk, its supervisor.

use std::path::{Path, PathBuf};

use super::args::Cli;
use super::exit::CliError;
use super::load::{self, LoadError, Loaded, Where};
use super::reach::{self, Wake};
use crate::cage::lost_secret;
use crate::control::{Client, ClientError};
use crate::domain::{Mark, ProcId, StackName, StackView, UnitName};
use crate::manifest;
use crate::plan::{AutoPorts, Plan};
use crate::show::{Door, Problem};
use crate::store::{Home, HomeError, Lock, StackDir, StackFile, directory_at, is_private, read_records};
use crate::supervisor::{self, holder};
use crate::sys;

/// A command needs no more: epoll, signals, a connection, the state.
const DESCRIPTORS: usize = 16;

/// Where the command was called.
pub(super) struct Place {
    sought: Where,
    named: bool,
    pub(super) home: Home,
}

/// A stack that has been used at least once, or is about to be.
#[derive(Clone)]
pub(super) struct Stack {
    /// Its directories.
    pub(super) dir: StackDir,
    /// What is on disk of it.
    pub(super) file: StackFile,
    /// The manifest as it is now, where nothing else says what may be seen of it.
    pub(super) planned: Option<Plan>,
}

impl Stack {
    /// A stack with what is on disk of it.
    pub(super) fn new(dir: StackDir, file: StackFile) -> Self {
        Self { dir, file, planned: None }
    }
}

impl Place {
    pub(super) fn new(cli: &Cli) -> Result<Self, CliError> {
        let here = match &cli.global.dir {
            Some(dir) => dir.clone(),
            None => present_dir()
                .map_err(|source| CliError::Io { what: "the present directory".to_owned(), source })?,
        };
        let place = match cli.file() {
            Some(file) => Where::Exactly(here.join(file)),
            None => Where::Above(here),
        };
        let uid = crate::sys::users::own_uid();
        let home = Home::from_env(uid, |name| std::env::var(name).ok()).map_err(home_error)?;
        Ok(Self { sought: place, named: cli.file().is_some(), home })
    }

    /// The manifest's path, whatever stands in it.
    pub(super) fn manifest(&self) -> Result<PathBuf, CliError> {
        load::find(&self.sought).map_err(|error| self.load_error(error, None))
    }

    /// The plan, with the automatic ports of the last time.
    pub(super) fn load(&self, door: &Door) -> Result<Loaded, CliError> {
        let previous = |_: &StackName, manifest: &Path| {
            let dir = self.home.find(manifest).ok().flatten();
            let known = dir.and_then(|dir| Some((dir.read_stack().ok()??, dir)));
            known.map(|(file, dir)| usable_ports(file.auto_ports, &dir)).unwrap_or_default()
        };
        load::load_with(&self.sought, previous).map_err(|error| self.load_error(error, Some(door)))
    }

    /// The stack of this manifest, made on disk where it is new.
    pub(super) fn open(&self, loaded: &Loaded) -> Result<Stack, CliError> {
        let plan = &loaded.plan;
        let dir = where_it_listens(self.home.open(&plan.manifest, &plan.stack).map_err(home_error)?);
        if let Some(file) = dir.read_stack().map_err(home_error)? {
            return Ok(Stack::new(dir, file));
        }
        // Several commands may be the first at once: the stack has one secret.
        let _making = Lock::take(&dir.start_lock())?;
        if let Some(file) = dir.read_stack().map_err(home_error)? {
            return Ok(Stack::new(dir, file));
        }
        let mut file = self.new_file(plan.stack.clone(), &plan.manifest)?;
        file.auto_ports.clone_from(&loaded.auto_ports);
        dir.write_stack(&file).map_err(home_error)?;
        Ok(Stack::new(dir, file))
    }

    /// A stack that is known only by what lives of it, made on disk so that its end can be recorded.
    pub(super) fn made(&self, stack: Stack) -> Result<Stack, CliError> {
        if stack.dir.was_used() {
            return Ok(stack);
        }
        let dir = self.home.open(&stack.file.manifest, &stack.file.name).map_err(home_error)?;
        dir.write_stack(&stack.file).map_err(home_error)?;
        Ok(Stack { dir, ..stack })
    }

    /// The stack of this manifest as it would be made; nothing is on disk yet.
    pub(super) fn unmade(&self, plan: &Plan) -> Result<Stack, CliError> {
        let file = self.new_file(plan.stack.clone(), &plan.manifest)?;
        Ok(Stack::new(self.home.unmade(&plan.manifest, plan.stack.as_str()), file))
    }

    /// The stack of this manifest, if it was ever used; its manifest may be broken, unreadable or gone.
    pub(super) fn find(&self) -> Result<Option<Stack>, CliError> {
        let manifest = match self.manifest() {
            Ok(manifest) => manifest,
            // It was deleted since: its processes must be seen and ended all the same.
            Err(error) => return self.remembered()?.ok_or(error).map(Some),
        };
        match self.known(&manifest)? {
            Some(stack) => Ok(Some(stack)),
            None if self.is_restored(&manifest)? => self.known(&manifest),
            None => self.moved(&manifest),
        }
    }

    /// Whether a supervisor lives whose state was removed, and has written it anew.
    fn is_restored(&self, manifest: &Path) -> Result<bool, CliError> {
        let dir = self.home.unmade(manifest, "unknown");
        match supervisor::unreachable(&dir) {
            Some(living) => block_on(supervisor::restored(&living)),
            None => Ok(false),
        }
    }

    /// The stack whose manifest is, or was, at this path.
    fn known(&self, manifest: &Path) -> Result<Option<Stack>, CliError> {
        let Some(dir) = self.home.find(manifest).map_err(home_error)? else { return Ok(None) };
        let dir = where_it_listens(dir);
        match dir.read_stack() {
            Ok(Some(file)) => return Ok(Some(Stack::new(dir, file))),
            // What cannot be read is damaged: no reason to keep processes alive.
            Ok(None) | Err(HomeError::Io { .. }) => {}
            Err(error) => return Err(home_error(error)),
        }
        if !dir.was_used() {
            return Ok(None);
        }
        // Damaged: what the records of its lives and its processes themselves tell is enough to see and to end it.
        let unnamed = || CliError::Bug(format!("{} names no stack", dir.state.display()));
        let file = self.new_file(dir.name().ok_or_else(unnamed)?, manifest)?;
        Ok(Some(Stack::new(dir, file)))
    }

    /// Refuses an `up` beside processes of this stack that it could not take over: a second one of each would follow.
    pub(super) fn check_nothing_older_runs(&self, plan: &Plan, door: &Door) -> Result<(), CliError> {
        match self.find()? {
            Some(stack) if stack.file.manifest != plan.manifest && stack.runs(door) => {
                Err(CliError::AlreadyRunning {
                    what: format!("{}, before its directory was moved,", plan.stack),
                    found: format!("it was started from {}", stack.file.dir().display()),
                })
            }
            found => self.is_on_record(found, plan),
        }
    }

    /// Refuses what would write the state of a stack anew beside processes of it that nobody has a record of: with that they would
    /// be forgotten, and an `up` would start a second one of each. To end all of it is never refused.
    pub(super) fn check_record(&self, plan: &Plan) -> Result<(), CliError> {
        self.is_on_record(self.find()?, plan)
    }

    fn is_on_record(&self, found: Option<Stack>, plan: &Plan) -> Result<(), CliError> {
        if found.as_ref().is_some_and(|stack| stack.dir.read_stack().is_ok_and(|file| file.is_some())) {
            return Ok(());
        }
        // Nothing to read: there may be records to take over, else there may be processes all the same.
        let recorded = found.is_some_and(|stack| read_records(&stack.dir).is_ok_and(|all| !all.is_empty()));
        match lost_secret(&plan.dir, &self.secrets()?) {
            Some(_) if !recorded => Err(CliError::AlreadyRunning {
                what: plan.stack.to_string(),
                found: format!(
                    "processes that were started from {}; the record of them is lost",
                    plan.dir.display()
                ),
            }),
            _ => Ok(()),
        }
    }

    /// A stack that nothing is known of: what lives of it has its secret, else that is new.
    fn new_file(&self, name: StackName, manifest: &Path) -> Result<StackFile, CliError> {
        let lost = lost_secret(manifest.parent().unwrap_or(manifest), &self.secrets()?);
        let recovered = lost.is_some();
        let secret = match lost {
            Some(secret) => secret,
            None => Mark::from_random(sys::random_bytes()?),
        };
        Ok(StackFile { recovered, ..StackFile::new(name, manifest.to_owned(), secret) })
    }

    fn secrets(&self) -> Result<Vec<Mark>, CliError> {
        Ok(self.all()?.into_iter().map(|stack| stack.file.secret).collect())
    }

    /// The stack whose manifest was here, or in the nearest directory above.
    fn remembered(&self) -> Result<Option<Stack>, CliError> {
        let places: Vec<PathBuf> = match &self.sought {
            Where::Exactly(path) => {
                let path = load::real_place(path);
                load::candidates(&path).chain([path]).collect()
            }
            Where::Above(dir) => load::real_place(dir).ancestors().flat_map(load::candidates).collect(),
        };
        for manifest in places {
            if let Some(stack) = self.known(&manifest)? {
                return Ok(Some(stack));
            }
        }
        Ok(None)
    }

    /// The stack that this manifest's directory had under the path that it was moved away from.
    fn moved(&self, manifest: &Path) -> Result<Option<Stack>, CliError> {
        let Some(here) = manifest.parent().and_then(directory_at) else { return Ok(None) };
        let was_here =
            |stack: &Stack| stack.file.checkout == Some(here) && directory_at(stack.file.dir()) != Some(here);
        Ok(self.all()?.into_iter().find(was_here))
    }

    /// The stack of this manifest, or "not running".
    pub(super) fn stack(&self, door: &Door) -> Result<Stack, CliError> {
        match self.find()? {
            Some(stack) => Ok(stack),
            None => Err(CliError::NotRunning { what: self.load(door)?.plan.stack.to_string() }),
        }
    }

    /// Every stack of this user.
    pub(super) fn all(&self) -> Result<Vec<Stack>, CliError> {
        let dirs = self.home.all().map_err(home_error)?.into_iter();
        Ok(dirs.filter_map(|dir| dir.read_stack().ok().flatten().map(|file| Stack::new(dir, file))).collect())
    }

    fn load_error(&self, error: LoadError, door: Option<&Door>) -> CliError {
        match error {
            LoadError::NotFound { searched } => CliError::NoManifest {
                from: searched.first().map(|path| path.display().to_string()).unwrap_or_default(),
                named: self.named,
            },
            LoadError::Unreadable { path, reason } => {
                CliError::Io { what: path.display().to_string(), source: std::io::Error::other(reason) }
            }
            LoadError::Problems { path, text, problems } => {
                let (colour, file) =
                    (door.is_some_and(|door| door.err.colours()), path.display().to_string());
                CliError::Manifest {
                    text: manifest::render(&problems, &file, &text, colour),
                    problems: problems.iter().map(|problem| as_data(problem, &file)).collect(),
                }
            }
        }
    }
}

impl Stack {
    /// The stack as its supervisor sees it, or, where none lives or answers, as ledger and kernel show it.
    pub(super) fn view(&self, door: &Door) -> Result<StackView, CliError> {
        let told = block_on(reach::answer(self, door, Wake::No, async {
            Client::connect(&self.dir.socket()).await?.get("/v1/stack").await
        }))?;
        let view = match told {
            Ok(view) => Ok(view),
            // None lives, or it ends just now or was killed a moment ago.
            Err(
                ClientError::Absent
                | ClientError::Broken(_)
                | ClientError::CutOff
                | ClientError::Refused(503, _),
            ) => Ok(block_on(supervisor::look(&self.dir, &self.file, self.planned.as_ref()))??),
            Err(ClientError::Silent) => {
                door.say(&reach::silence(&self.dir));
                Ok(block_on(supervisor::look(&self.dir, &self.file, self.planned.as_ref()))??)
            }
            Err(error) => Err(self.client_error(error)),
        };
        let plan = self.file.plan.as_ref().or(self.planned.as_ref());
        let secrets = plan.map(|plan| plan.secrets.clone()).unwrap_or_default();
        view.map(|view| secrets.hide_in(view))
    }

    /// Whether another directory stands in the place of the one that the last `up` was called for.
    pub(super) fn was_replaced(&self, plan: &Plan) -> bool {
        self.file.checkout.is_some_and(|before| directory_at(&plan.dir).is_some_and(|now| now != before))
    }

    /// Whether anything of it runs.
    pub(super) fn runs(&self, door: &Door) -> bool {
        self.view(door).is_ok_and(|view| {
            view.supervisor.is_some() || view.services.iter().any(|unit| !unit.processes.is_empty())
        })
    }

    /// What a broken conversation means.
    pub(super) fn client_error(&self, error: ClientError) -> CliError {
        match error {
            ClientError::Broken(_) | ClientError::CutOff | ClientError::Absent => CliError::SupervisorDied {
                pid: Lock::holder(&self.dir.lock()),
                tail: crate::store::log::tail(&self.dir.supervisor_log(), 5),
            },
            ClientError::Silent => CliError::Silent { holder: reach::who(&self.dir) },
            ClientError::Unreachable(source) => {
                CliError::Io { what: self.dir.socket().display().to_string(), source }
            }
            ClientError::NoRoom(reason) => CliError::Io {
                what: "the state of the stack cannot be written: nothing was started".to_owned(),
                source: std::io::Error::other(reason),
            },
            ClientError::Refused(..) | ClientError::Garbled(_) => CliError::Bug(error.to_string()),
        }
    }
}

/// What is wrong with a manifest, for those who read it by program.
fn as_data(problem: &manifest::Problem, file: &str) -> Problem {
    let place = match problem.span {
        Some(span) => format!("{file}:{}:{}", span.line, span.column),
        None => file.to_owned(),
    };
    let data = Problem::new(problem.code.as_str(), &problem.message).saw("at", place);
    let data = problem.note.iter().fold(data, |data, note| data.saw("note", note));
    problem.hint.iter().fold(data, Problem::hint)
}

/// A supervisor that lives says where its socket is: it was started by one whose `XDG_RUNTIME_DIR` was another.
fn where_it_listens(dir: StackDir) -> StackDir {
    if dir.socket().exists() {
        return dir;
    }
    let runtime = holder(&dir).and_then(|_| supervisor::unreachable(&dir)).map(|living| living.dir.runtime);
    let runtime = runtime.filter(|runtime| !runtime.exists() || is_private(runtime));
    runtime.map_or(dir.clone(), |runtime| StackDir { runtime, ..dir })
}

/// The directory that a command runs in: where it was called, or what `-C` says.
pub(super) fn working_dir(cli: &Cli) -> Result<PathBuf, CliError> {
    let failed = |source| CliError::Io { what: "the present directory".to_owned(), source };
    let here = present_dir().map_err(failed)?;
    Ok(cli.global.dir.as_ref().map_or(here.clone(), |dir| here.join(dir)))
}

/// The present directory; where it was deleted, what the shell calls it: a stack that ran there can be ended from there.
fn present_dir() -> std::io::Result<PathBuf> {
    std::env::current_dir().or_else(|error| {
        let told = std::env::var_os("PWD").map(PathBuf::from);
        told.filter(|dir| dir.is_absolute()).ok_or(error)
    })
}

/// The automatic ports of the last time. While nothing of the stack runs, one that a stranger has taken is given up.
fn usable_ports(mut ports: AutoPorts, dir: &StackDir) -> AutoPorts {
    let runs = || {
        std::os::unix::net::UnixStream::connect(dir.socket()).is_ok()
            || read_records(dir).is_ok_and(|records| !records.is_empty())
    };
    // To try a port is to take it for a moment: never under a stack that may be about to listen.
    if !ports.is_empty() && !runs() {
        ports.retain(|_, port| load::can_bind(*port));
    }
    ports
}

/// Runs the asynchronous part of a command.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CliError> {
    // The runtime would panic without.
    sys::descriptors::can_open(DESCRIPTORS).map_err(|source| CliError::Io {
        what: format!("no file descriptor is left: {} are allowed (ulimit -n)", sys::descriptors::limit()),
        source,
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work))
}

/// This command and its ancestors: the shell, the terminal, the CI job. A stop must never end them.
pub(super) fn caller() -> Vec<ProcId> {
    let Some(own) = sys::proc::own_id() else { return Vec::new() };
    let mut all = sys::proc::ancestors(own.pid.get());
    all.push(own);
    all
}

/// The `PATH` of this command, as far as it is text.
pub(super) fn path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

/// All units of a plan by name.
pub(super) fn unit_names(plan: &Plan) -> Vec<UnitName> {
    plan.units.iter().map(|unit| unit.name.clone()).collect()
}

/// Refuses a name that the plan does not have.
pub(super) fn check_names(plan: &Plan, names: &[UnitName]) -> Result<(), CliError> {
    match names.iter().find(|name| !plan.units.iter().any(|unit| unit.name == **name)) {
        None => Ok(()),
        Some(unknown) => Err(CliError::NoSuchService { name: unknown.to_string(), known: unit_names(plan) }),
    }
}

/// What a problem with the directories means.
pub(super) fn home_error(error: HomeError) -> CliError {
    match error {
        HomeError::Newer { path, found } => CliError::NewerState {
            supervisor: Lock::holder(&path.with_file_name(crate::store::LOCK)),
            path: path.display().to_string(),
            found,
            known: crate::store::STATE_VERSION,
        },
        HomeError::Io { path, source } => CliError::Io { what: path.display().to_string(), source },
        HomeError::NotOurs { path, reason } => CliError::NotPermitted {
            what: format!("keeping state in {}", path.display()),
            reason: reason.to_owned(),
        },
        HomeError::Nowhere => CliError::Usage(error.to_string()),
    }
}
