//! Processes of a test: started in sessions of their own, judged by the test's own look at `/proc`, ended with the test.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use devstack::cage::{Cage, Depth, ENV_LIFE, ENV_STACK_ID, Member, Signalled, World};
use devstack::domain::{FoundBy, Life, Mark, Pid, ProcId, Signal, UnitName};
use devstack::sys::pidfd::Pidfd;
use devstack::sys::proc;

/// Marks that no other test and no other run has.
pub(crate) fn fresh_mark() -> Mark {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut bytes = [0x7e_u8; 16];
    bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
    bytes[4..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    bytes[8..12].copy_from_slice(&clock.subsec_nanos().to_be_bytes());
    Mark::from_random(bytes)
}

/// A process of a test, with all that it told about its children; ended with the test, whatever happens.
pub(crate) struct Shape {
    pub(crate) child: Child,
    pub(crate) out: BufReader<ChildStdout>,
    pub(crate) id: ProcId,
    pub(crate) others: Vec<ProcId>,
}

impl Shape {
    /// Runs a shell script as the leader of a session of its own.
    pub(crate) fn start(script: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setsid");
        command.args(["/bin/sh", "-c", script]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        // Marks of whoever runs these tests under devstack are not ours.
        command.env_remove(ENV_LIFE).env_remove(ENV_STACK_ID);
        change(&mut command);
        let mut child = command.spawn().expect("setsid and sh exist");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let mut shape = Self { id: identity(child.id()), child, out, others: Vec::new() };
        assert_eq!(shape.line(), "up", "each script says when it is in a session of its own");
        shape
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("its output can be read");
        line.trim().to_owned()
    }

    /// The process whose number the script tells next.
    pub(crate) fn told(&mut self) -> ProcId {
        let pid: u32 = self.line().parse().expect("a process number");
        let id = identity(pid);
        self.others.push(id);
        id
    }
}

impl Drop for Shape {
    fn drop(&mut self) {
        // The leader first: it would go on with its script when a child ends.
        for id in [&self.id].into_iter().chain(&self.others) {
            if let Ok(handle) = Pidfd::open(*id) {
                let _ = handle.send(Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

pub(crate) fn identity(pid: u32) -> ProcId {
    let pid = i32::try_from(pid).ok().and_then(Pid::new).expect("a process number");
    proc::identify(pid).expect("it runs")
}

/// The test's own judge: does this process run, zombies aside?
pub(crate) fn runs(id: ProcId) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{}/stat", id.pid)) else { return false };
    let rest = text.rsplit(") ").next().expect("a name in brackets");
    let fields: Vec<&str> = rest.split(' ').collect();
    fields[0] != "Z" && fields[0] != "X" && fields[19] == id.start.to_string()
}

/// Waits for the end of a process that was signalled: by the kernel's own word, with a limit that only a bug reaches.
pub(crate) fn await_end(id: ProcId) {
    if let Ok(handle) = Pidfd::open(id) {
        let mut fds = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        let ready = rustix::event::poll(&mut fds, Some(&limit)).expect("it can be awaited");
        assert!(ready > 0, "{id} lives on");
    }
    assert!(!runs(id), "{id} lives on");
}

/// Waits for a fact that no descriptor tells, with a limit that only a bug reaches.
pub(crate) fn await_fact(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// `env` and `setsid` become the program that they were given: waits until it is there.
pub(crate) fn await_program(id: ProcId, name: &str) {
    let comm = || fs::read_to_string(format!("/proc/{}/comm", id.pid)).unwrap_or_default();
    await_fact(name, || comm().trim() == name);
}

/// The shell between a leader and its orphan ends right after it has told of it: waits until it has.
pub(crate) fn await_orphan(id: ProcId, leader: ProcId) {
    let parent = || proc::stat(id.pid.get()).and_then(|stat| proc::stat(stat.ppid));
    await_fact("it is an orphan", || parent().is_none_or(|parent| parent.sid != leader.pid.get()));
}

pub(crate) fn cage_of(leader: ProcId) -> Cage {
    let unit = UnitName::parse("api").expect("a name");
    Cage::new(unit, Life(1), fresh_mark(), fresh_mark(), None, leader)
}

pub(crate) fn full(cage: &Cage) -> Vec<Member> {
    cage.census(&mut World::new(), Depth::Full)
}

pub(crate) fn processes(signalled: &[Signalled]) -> Vec<ProcId> {
    signalled.iter().map(|one| one.process).collect()
}

pub(crate) fn why(members: &[Member], id: ProcId) -> Option<FoundBy> {
    members.iter().find(|member| member.id == id).map(|member| member.found_by)
}

pub(crate) const SLEEPER: &str = "sleep 607.1";
