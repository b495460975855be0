//! From a command to a job whose identity is on disk before its first instruction.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::gauge::Gauge;
use super::hold::{Hold, Outcome};
use super::limits::{Allowed, Limiter};
use super::receipts::Receipts;
use crate::cage::{self, Cage};
use crate::domain::{Ceiling, Limits, Mark, Pid, ProcId, Signal, UnitKind};
use crate::keeper::{Census, Ending, FromKeeper, Record, Talk};
use crate::plan::{CommandPlan, LogPlan, RestartPolicy, Secrets, StopPlan, UnitPlan};
use crate::store::{Intent, Queue, RecordLine, StackDir, StackFile, Ticket, create_record, remove_record};
use crate::sys::cgroup::{self, Bounds, Controller, Grounds, Leaf};
use crate::sys::proc::RunState;
use crate::sys::signals::{self, Signals};
use crate::sys::spawn::{Launch, Manner, Step, Waiting, fork};
use crate::sys::terminal::{Group, Standing, Terminal};
use crate::sys::{self, clock, mark, proc, reaper};

/// Signals that are passed on, where the caller has not ignored them.
const PASSED_ON: [libc::c_int; 6] =
    [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// Those by which a shell stops a job and lets it go on.
const OF_SHELL: [libc::c_int; 2] = [libc::SIGTSTP, libc::SIGCONT];

/// It is a matter of microseconds, on a busy machine of a turn of the scheduler; a figure is not worth more.
const COPY_PATIENCE: Duration = Duration::from_millis(2);

/// A command to be run.
#[expect(missing_debug_implementations, reason = "a function has none")]
pub struct Order<'a> {
    /// Directories of the stack.
    pub dir: &'a StackDir,
    /// What is on disk of it.
    pub stack: &'a StackFile,
    /// Name and number.
    pub ticket: &'a Ticket,
    /// Program and arguments; never empty.
    pub argv: &'a [OsString],
    /// Where it runs, absolute.
    pub working_dir: PathBuf,
    /// All of it but the marks.
    pub environment: BTreeMap<OsString, OsString>,
    /// It is ended when it takes longer.
    pub timeout: Option<Duration>,
    /// Between asking and SIGKILL.
    pub grace: Duration,
    /// What it may take.
    pub allowed: Allowed,
    /// What no journal may show.
    pub secrets: &'a Secrets,
    /// Told what cannot be held, before the command runs.
    pub warn: &'a dyn Fn(&str),
}

/// Why it never ran.
#[derive(Debug)]
pub enum Refused {
    /// The kernel's answer to the program that was named.
    Program(io::Error),
    /// Its directory cannot be entered.
    WorkingDir(io::Error),
    /// The stack was ended meanwhile.
    GivenUp,
    /// Something of devstack's own: what, and why.
    Own(&'static str, io::Error),
}

/// Runs a command and holds its tree until nothing of it is left.
pub fn run(order: &Order<'_>) -> Result<Outcome, Refused> {
    let life = Life::begin(order).map_err(own("write it into the ledger"))?;
    // Behind the record: an end of the stack that begins now reads it, and one that has begun is seen here.
    if !Queue::of(order.dir).is_open_to(order.ticket.life) {
        return Err(Refused::GivenUp);
    }
    let hold = start(order, &life)?;
    Ok(hold.until_empty())
}

fn own(what: &'static str) -> impl FnOnce(io::Error) -> Refused {
    move |error| Refused::Own(what, error)
}

/// What there is of a job besides its processes; it goes with them.
struct Life<'a> {
    order: &'a Order<'a>,
    mark: Mark,
    leaf: Option<Leaf>,
    bounds: Bounds,
    intent: Intent,
}

impl<'a> Life<'a> {
    /// Intent on disk, cgroup made.
    fn begin(order: &'a Order<'a>) -> io::Result<Self> {
        let (dir, Ticket { name, life, .. }) = (order.dir, order.ticket);
        let mark = Mark::from_random(sys::random_bytes()?);
        let leaf = cgroup::place().ok().and_then(|place| {
            let stack = place.join(cgroup::stack_name(&dir.hash));
            Leaf::create(&stack, &cgroup::leaf_name(name, *life)).ok()
        });
        let bounds = bounds(order, leaf.as_ref());
        if order.allowed.own.cpus_milli.is_some() && !bounds.holds(Controller::Cpu) {
            (order.warn)(
                "--cpus is not held: no cgroup of the kernel limits processors here (devstack doctor)",
            );
        }
        let intent = Intent {
            boot: clock::boot_id()?,
            plan: plan(order),
            life: *life,
            mark: mark.clone(),
            cgroup: leaf.as_ref().map(|leaf| (leaf.path().to_owned(), leaf.inode())),
            bounds: bounds.leaves(),
            socket: dir.keeper_socket(name, *life),
            at: clock::moment(),
        };
        let begun = Self { order, mark, leaf, bounds, intent };
        create_record(dir, begun.intent.clone())?;
        Ok(begun)
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        // The kernel refuses to take away a cgroup in which somebody lives; its record names nobody then.
        let _ = self.leaf.as_ref().map(Leaf::remove);
        self.bounds.remove();
        remove_record(self.order.dir, &self.order.ticket.name, self.order.ticket.life);
    }
}

/// What the kernel holds it to. A stack without limits costs no look.
fn bounds(order: &Order<'_>, leaf: Option<&Leaf>) -> Bounds {
    let Allowed { own, stack, .. } = &order.allowed;
    if [own, stack].into_iter().all(|ceiling| *ceiling == Ceiling::default()) {
        return Bounds::default();
    }
    let name = cgroup::leaf_name(&order.ticket.name, order.ticket.life);
    Grounds::find(&order.dir.hash).make(&name, own, stack, leaf)
}

/// By what rules it is ended.
fn plan(order: &Order<'_>) -> UnitPlan {
    let words = order.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    UnitPlan {
        name: order.ticket.name.clone(),
        kind: UnitKind::Job,
        command: CommandPlan::Exec(words),
        container: None,
        fallback: None,
        instead_of: None,
        working_dir: order.working_dir.clone(),
        environment: BTreeMap::new(),
        user: None,
        ports: Vec::new(),
        depends_on: Vec::new(),
        gate: Vec::new(),
        gate_timeout: Duration::ZERO,
        health: None,
        start_timeout: Duration::ZERO,
        restart: RestartPolicy::No,
        stop: StopPlan { signal: Signal::TERM, grace: order.grace, command: None },
        ends_with_supervisor: false,
        logs: LogPlan { max_size: 0, max_files: 1 },
        profiles: [].into(),
        labels: [].into(),
        limits: Limits::default(),
        definition: String::new(),
    }
}

fn start(order: &Order<'_>, life: &Life<'_>) -> Result<Hold, Refused> {
    let Ticket { name, life: number, .. } = order.ticket;
    let record = order.dir.record(name, *number);
    let mut record = Record::open(&record, life.intent.seal(order.dir)).map_err(own("open its record"))?;
    let mut talk = Talk::listen(&life.intent.socket).map_err(own("listen for supervisors"))?;
    let terminal = Terminal::controlling();
    let group = Standing::own(terminal.as_ref()).group();
    let mut heard: Vec<libc::c_int> =
        PASSED_ON.into_iter().filter(|one| !signals::is_ignored(*one)).collect();
    heard.push(libc::SIGCHLD);
    if group == Group::Own {
        heard.extend(OF_SHELL);
    }
    // The language's runtime ignores it; for the command it is as everywhere.
    let changed = heard.iter().copied().chain([libc::SIGPIPE]).collect();
    let launch = launch(order, life, group, changed)?;
    let signals = Signals::listen(&heard).map_err(own("listen to signals"))?;
    // Where there is none, direct children are all that can be proven; `doctor` says so.
    let _ = reaper::become_subreaper();
    let waiting = fork(&launch).map_err(own("make a process"))?;
    drop(launch);
    let (leader_pid, in_cgroup) = (waiting.pid, waiting.in_cgroup);
    let (keeper, leader) = match identities(&waiting) {
        Ok(both) => both,
        Err(error) => return Err(abandon(waiting, Refused::Own("see it", error))),
    };
    let session =
        (group != Group::Session).then(|| proc::stat(keeper.pid.get()).map(|stat| stat.sid)).flatten();
    let boot = life.intent.boot.clone();
    let told = RecordLine::Leader { boot, keeper, leader, output: None, session, at: clock::wall() };
    match record.append_leader(&told) {
        Ok(true) => {}
        Ok(false) => return Err(abandon(waiting, Refused::GivenUp)),
        Err(error) => return Err(abandon(waiting, Refused::Own("record it", error))),
    }
    if group == Group::Own {
        // Before its first instruction: it must not find itself in the background.
        reaper::lead_own_group(leader_pid);
        let _ = terminal.as_ref().filter(|terminal| terminal.is_with_us()).map(|it| it.give_to(leader_pid));
    }
    // The kernel counts the copy of this process as the command's own memory.
    let before = memory_of_copy(leader_pid);
    talk.tell(&FromKeeper::Started { keeper, leader, output: None });
    let begun = clock::moment();
    if let Err(not_run) = waiting.go() {
        reaper::wait_for_all();
        let _ = terminal.filter(|terminal| terminal.is_with(leader_pid)).map(|it| it.take_back());
        let _ = record.append(&RecordLine::Emptied);
        return Err(match not_run.step {
            Step::SetUp | Step::User => Refused::Own("set its process up", not_run.error),
            Step::WorkingDir => Refused::WorkingDir(not_run.error),
            Step::Exec => Refused::Program(not_run.error),
        });
    }
    let leaf = life.leaf.clone().filter(|_| in_cgroup);
    let mut cage =
        Cage::new(name.clone(), *number, life.mark.clone(), order.stack.secret.clone(), Some(keeper), leader);
    (cage.cgroup, cage.shared_session) = (leaf.clone(), session);
    Ok(Hold {
        leader: leader_pid,
        exit: None,
        begun,
        deadline: order.timeout.map(|timeout| begun + timeout),
        grace: order.grace,
        signals,
        talk,
        record,
        census: Census::starting_with(leader, leaf),
        ending: Ending::new(cage, false),
        gauge: Gauge::new(before),
        limiter: Limiter::new(order.allowed, life.bounds.clone()),
        breaches: Vec::new(),
        receipts: Receipts::of(order.dir, name, order.secrets),
        group,
        terminal,
        why: None,
        left: Vec::new(),
    })
}

/// What the child holds before it becomes the command: looked at when it has done all else and waits for the word.
fn memory_of_copy(child: Pid) -> u64 {
    let begun = clock::moment();
    loop {
        let Some(stat) = proc::stat(child.get()) else { return 0 };
        if stat.state == RunState::Sleeping {
            return stat.rss;
        }
        if clock::moment() - begun > COPY_PATIENCE {
            // No more than this process itself.
            return proc::own_id().and_then(|own| proc::stat(own.pid.get())).map_or(0, |own| own.rss);
        }
        std::thread::yield_now();
    }
}

/// No line of a command's code runs before its identity is on disk.
fn abandon(waiting: Waiting, why: Refused) -> Refused {
    drop(waiting);
    reaper::wait_for_all();
    why
}

fn identities(waiting: &Waiting) -> io::Result<(ProcId, ProcId)> {
    let unseen = || io::Error::other("the process table does not show it");
    Ok((proc::own_id().ok_or_else(unseen)?, proc::identify(waiting.pid).ok_or_else(unseen)?))
}

fn launch(
    order: &Order<'_>,
    life: &Life<'_>,
    group: Group,
    changed: Vec<libc::c_int>,
) -> Result<Launch, Refused> {
    let text = |text: &OsStr| {
        CString::new(text.as_bytes())
            .map_err(|_| own("pass on a NUL byte")(io::ErrorKind::InvalidInput.into()))
    };
    let mut environment = order.environment.clone();
    let stack = order.stack;
    let mut set = |name: &str, value: &OsStr| environment.insert(name.into(), value.into());
    set(cage::ENV_STACK, stack.name.as_str().as_ref());
    set(cage::ENV_DIR, stack.dir().as_os_str());
    set(cage::ENV_STACK_ID, stack.secret.as_str().as_ref());
    set(cage::ENV_LIFE, life.mark.as_str().as_ref());
    let entries = environment.iter().map(|(name, value)| {
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        text(&entry)
    });
    let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new(USUAL_PATH), OsString::as_os_str);
    let candidates = candidates(&order.argv[0], path);
    let mark = mark::memfd(&format!("{}:{}", stack.secret.as_str(), life.mark.as_str()));
    Ok(Launch {
        candidates: candidates.iter().map(|file| text(file.as_os_str())).collect::<Result<_, _>>()?,
        argv: order.argv.iter().map(|word| text(word)).collect::<Result<_, _>>()?,
        environment: entries.collect::<Result<_, _>>()?,
        working_dir: text(order.working_dir.as_os_str())?,
        user: None,
        manner: Manner::Beside { group, changed },
        read_end: None,
        mark: mark.map_err(own("make its mark"))?,
        cgroup: life.leaf.as_ref().map(|leaf| leaf.path().to_owned()),
        bounds: life.bounds.to_enter(),
        descriptors: None,
        open_files: None,
    })
}

/// Where programs are where nobody says so.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The files that a program's name can mean.
fn candidates(program: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    let dirs = std::env::split_paths(path);
    let dirs = dirs.map(|dir| if dir.as_os_str().is_empty() { Path::new(".").to_owned() } else { dir });
    dirs.map(|dir| dir.join(program)).collect()
}
