//! From a spec to a running service whose identity is on disk before its first instruction.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;

use super::alone::Alone;
use super::census::Census;
use super::explain::{candidates, explain, no_process, reason, user};
use super::hold::Hold;
use super::notify::Notify;
use super::output::Output;
use super::record::Record;
use super::talk::{Talk, tell_once};
use super::{FromKeeper, Spec};
use crate::domain::{Failure, Pid, ProcId};
use crate::store::RecordLine;
use crate::store::log::LogWriter;
use crate::sys::cgroup::Leaf;
use crate::sys::kill_point::{KillPoint, here};
use crate::sys::signals::Signals;
use crate::sys::spawn::{Launch, Manner, Waiting, fork};
use crate::sys::users::{Identity, find, is_own};
use crate::sys::{clock, mark, pipe, proc, reaper};

/// Starts the service and tells the supervisor. Where it cannot be started, nothing runs and nothing is left.
pub(super) fn start(spec: &Spec, mut supervisor: UnixStream) -> Option<Hold> {
    // A supervisor that does not read must never be waited for.
    let speakable = supervisor.set_nonblocking(true).is_ok();
    match try_start(spec) {
        Ok((mut hold, started)) => {
            if speakable {
                hold.talk.peers.push(supervisor);
            }
            hold.talk.tell(&started);
            here(KillPoint::StartedTold);
            Some(hold)
        }
        Err(why) => {
            tell_once(&mut supervisor, &FromKeeper::NotStarted { why: *why });
            None
        }
    }
}

fn try_start(spec: &Spec) -> Result<(Hold, FromKeeper), Box<Failure>> {
    let mut record =
        Record::open(&spec.record, spec.seal.clone()).map_err(|error| cannot("open its record", &error))?;
    let log = LogWriter::open(&spec.log.path, spec.log.max_size, spec.log.max_files)
        .map_err(|error| cannot("open its log", &error))?;
    let identity = match spec.user.as_deref().map(find).transpose() {
        Ok(found) => found.filter(|identity| !is_own(identity)),
        Err(error) => return Err(Box::new(user(spec, &error))),
    };
    let signals = Signals::listen(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGHUP])
        .map_err(|error| cannot("listen to signals", &error))?;
    let talk = Talk::listen(&spec.socket).map_err(|error| cannot("listen for supervisors", &error))?;
    here(KillPoint::Listening);
    let uid = identity.as_ref().map(|identity| identity.uid);
    let notify = spec.notify.as_deref().map(|path| Notify::bind(path, &spec.mark, uid)).transpose();
    let notify = notify.map_err(|error| cannot("bind its notify socket", &error))?;
    let (reader, writer) = io::pipe().map_err(|error| cannot("make a pipe for its output", &error))?;
    let output = Output::new(pipe::out_of_the_way(reader.into()), log);
    let output = output.map_err(|error| cannot("prepare its output", &error))?;
    let launch = prepare(spec, identity, writer, output.as_fd(), notify.as_ref())?;
    let waiting = fork(&launch).map_err(|error| Box::new(no_process(&error)))?;
    here(KillPoint::LeaderForked);
    // The service's ends of everything are the service's alone.
    drop(launch);
    let leader_pid = waiting.pid;
    let in_cgroup = waiting.in_cgroup;
    let (keeper, leader) = match identities(leader_pid) {
        Ok(both) => both,
        Err(error) => return Err(abandon(waiting, &error)),
    };
    let boot = clock::boot_id().unwrap_or_default();
    let pipe = pipe::identify(output.as_fd()).ok();
    let line = RecordLine::Leader { boot, keeper, leader, output: pipe, session: None, at: clock::wall() };
    match record.append_leader(&line) {
        Ok(true) => {}
        Ok(false) => return Err(abandon(waiting, &io::Error::other("another one has given this life up"))),
        Err(error) => return Err(abandon(waiting, &error)),
    }
    here(KillPoint::LeaderRecorded);
    let gone = waiting.go();
    here(KillPoint::ByteSent);
    if let Err(not_run) = gone {
        reaper::wait_for_all();
        // What cannot be recorded is found out by the next one who looks: the leader is gone.
        let _ = record.append(&RecordLine::Emptied);
        return Err(Box::new(explain(spec, &not_run)));
    }
    let leaf = spec.cgroup.as_deref().filter(|_| in_cgroup).and_then(|path| Leaf::at(path).ok());
    let census = Census::starting_with(leader, leaf);
    let alone = Alone::of(spec, keeper, leader);
    let hold = Hold {
        alone,
        leader: leader.pid,
        leader_lives: true,
        notified: false,
        signals,
        output,
        notify,
        talk,
        record,
        census,
    };
    Ok((hold, FromKeeper::Started { keeper, leader, output: pipe }))
}

/// No line of a service's code runs before its identity is on disk.
fn abandon(waiting: Waiting, error: &io::Error) -> Box<Failure> {
    drop(waiting);
    reaper::wait_for_all();
    cannot("record its identity", error)
}

fn identities(leader: Pid) -> io::Result<(ProcId, ProcId)> {
    let unseen = || io::Error::other("the process table does not show it");
    Ok((proc::own_id().ok_or_else(unseen)?, proc::identify(leader).ok_or_else(unseen)?))
}

fn prepare(
    spec: &Spec,
    identity: Option<Identity>,
    output: PipeWriter,
    read_end: BorrowedFd<'_>,
    notify: Option<&Notify>,
) -> Result<Launch, Box<Failure>> {
    let nul = |what| refuse(format!("its {what} holds a NUL byte, which cannot be passed to a program"));
    let argv: Result<Vec<_>, _> = spec.argv.iter().map(|text| CString::new(text.as_str())).collect();
    let files: Result<Vec<_>, _> =
        candidates(spec).iter().map(|path| CString::new(path.as_os_str().as_bytes())).collect();
    let mut environment = Vec::with_capacity(spec.environment.len() + 1);
    for (name, value) in &spec.environment {
        if notify.is_none() || name != "NOTIFY_SOCKET" {
            environment.push(CString::new(format!("{name}={value}")).map_err(|_| nul("environment"))?);
        }
    }
    if let Some(notify) = notify {
        let entry = format!("NOTIFY_SOCKET={}", notify.address);
        environment.push(CString::new(entry).map_err(|_| nul("notify socket"))?);
    }
    let stdin = File::open("/dev/null").map_err(|error| cannot("open /dev/null", &error))?;
    let mark = mark::memfd(&format!("{}:{}", spec.stack_id, spec.mark.as_str()))
        .map_err(|error| cannot("make its mark", &error))?;
    if let Some(identity) = &identity {
        // Programs that open /dev/stdout or /dev/stderr by name need to own what is behind them.
        let _ = std::os::unix::fs::fchown(&output, Some(identity.uid), None);
    }
    Ok(Launch {
        candidates: files.map_err(|_| nul("command"))?,
        argv: argv.map_err(|_| nul("command"))?,
        environment,
        working_dir: CString::new(spec.working_dir.as_os_str().as_bytes())
            .map_err(|_| nul("working directory"))?,
        user: identity,
        manner: Manner::Apart { stdin: stdin.into(), output: output.into() },
        read_end: Some(read_end.as_raw_fd()).filter(|_| pipe::OUTLIVES_ITS_READER),
        mark,
        cgroup: spec.cgroup.clone(),
        bounds: spec.bounds.clone(),
        open_files: spec.open_files,
        descriptors: spec.descriptors,
    })
}

fn cannot(what: &str, error: &io::Error) -> Box<Failure> {
    refuse(format!("its keeper could not {what}: {}", reason(error)))
}

fn refuse(reason: String) -> Box<Failure> {
    Box::new(Failure::Start { reason })
}
