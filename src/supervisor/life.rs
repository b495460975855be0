//! One life as the supervisor holds it: its cage, its keeper, its probes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, spawn_local};

use super::limits::Stirred;
use super::orphaned::Orphaned;
use crate::cage::Cage;
use crate::domain::{ContainerState, Life, Mark, Pid, UnitName};
use crate::keeper::{FromKeeper, Spec};
use crate::machine::{Event, Target};
use crate::plan::UnitPlan;
use crate::store::log::Position;
use crate::store::{RecordLine, Seal, append_record};
use crate::sys;
use crate::sys::cgroup::{Bounds, Leaf};
use crate::sys::kill_point::{KillPoint, here};
use crate::sys::pidfd::Pidfd;

/// What the tasks around the loop tell it.
#[derive(Debug)]
pub(super) enum Fact {
    /// Ready for the machine.
    Event(Event),
    /// A keeper spoke.
    Keeper { unit: UnitName, life: Life, told: FromKeeper },
    /// A keeper's connection ended.
    KeeperGone { unit: UnitName, life: Life },
    /// A process that was watched had ended by then: look what is left of its target.
    Ended(Target, Instant),
    /// The processes of a target that were ended for a broken limit are gone; the others live on.
    CulpritsEnded(Target),
}

/// Names a life.
pub(super) type Key = (UnitName, Life);

/// All lives that are not proven empty and retired. Shared with the probes, which ask whose port it is.
pub(super) type Lives = Rc<RefCell<BTreeMap<Key, Held>>>;

/// One life.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own that is learnt once")]
pub(super) struct Held {
    /// The plan that it was started by.
    pub(super) plan: Arc<UnitPlan>,
    /// Its mark.
    pub(super) mark: Mark,
    /// The key of its record.
    pub(super) seal: Seal,
    /// Its cgroup, until the cage holds it.
    pub(super) leaf: Option<Leaf>,
    /// What the kernel holds it to.
    pub(super) bounds: Bounds,
    /// So many of its processes the kernel has ended for want of memory, as was told.
    pub(super) kernel_kills: u64,
    /// When it did something last.
    pub(super) stirred: Stirred,
    /// Its processes; none until the leader is known.
    pub(super) cage: Option<Cage>,
    /// Its keeper, where it is our child.
    pub(super) keeper: Option<Pid>,
    /// A read end of its output, for the case that its keeper is killed.
    pub(super) spare_output: Option<OwnedFd>,
    /// Nobody will tell `ECHILD`: its keeper is dead.
    pub(super) orphaned: Option<Orphaned>,
    /// So many looks of a kill in a row have found nobody, and its keeper did not say so.
    pub(super) unsaid: u32,
    /// That it is being ended is in the ledger.
    pub(super) ending_noted: bool,
    /// It is proven empty.
    pub(super) emptied: bool,
    /// The end of its leader was told to the machine.
    pub(super) exit_told: bool,
    /// Its readiness is in the ledger.
    pub(super) ready_noted: bool,
    /// Where it begins in the log.
    pub(super) log_from: Position,
    /// It has sent `READY=1`.
    pub(super) notified: watch::Sender<bool>,
    /// Its probes.
    pub(super) probes: Vec<AbortHandle>,
    /// What its shim tells, where it is a container.
    pub(super) contained: Rc<watch::Sender<ContainerState>>,
    /// The ear for it.
    pub(super) shim: Option<AbortHandle>,
    /// Its engine was told to end what a killed shim has left.
    pub(super) container_ended: Rc<tokio::sync::Mutex<bool>>,
    /// The wait for the end of its members, while it is being ended or orphaned.
    pub(super) waiter: Option<AbortHandle>,
    /// Listening sockets known to be its own.
    pub(super) own_sockets: BTreeSet<u64>,
}

impl Held {
    pub(super) fn new(
        plan: Arc<UnitPlan>,
        mark: Mark,
        seal: Seal,
        leaf: Option<Leaf>,
        log_from: Position,
    ) -> Self {
        Self {
            plan,
            mark,
            seal,
            leaf,
            bounds: Bounds::default(),
            kernel_kills: 0,
            stirred: Stirred::default(),
            cage: None,
            keeper: None,
            spare_output: None,
            orphaned: None,
            unsaid: 0,
            ending_noted: false,
            emptied: false,
            exit_told: false,
            ready_noted: false,
            log_from,
            notified: watch::Sender::new(false),
            probes: Vec::new(),
            contained: Rc::new(watch::Sender::new(ContainerState::default())),
            shim: None,
            container_ended: Rc::default(),
            waiter: None,
            own_sockets: BTreeSet::new(),
        }
    }

    /// Writes down that it is being ended, before anything is done to that end: a supervisor that takes it over must not
    /// take it for a service that runs.
    pub(super) fn note_ending(&mut self, record: &Path) {
        if !self.ending_noted {
            // On a full disk it is ended all the same; were this process killed now, it would be told as dead by itself.
            self.ending_noted = append_record(record, &self.seal, &RecordLine::Ending).is_ok();
        }
    }

    /// Ends all tasks that belong to this life.
    pub(super) fn end_tasks(&mut self) {
        self.probes.drain(..).chain(self.waiter.take()).chain(self.shim.take()).for_each(|task| task.abort());
    }
}

/// Talks with a keeper until its connection ends. A new keeper is told its spec first.
pub(super) fn converse(
    key: Key,
    socket: std::os::unix::net::UnixStream,
    spec: Option<Spec>,
    facts: mpsc::UnboundedSender<Fact>,
) {
    spawn_local(async move {
        let (unit, life) = key;
        if let Err(error) = listen(&unit, life, socket, spec, &facts).await {
            tracing::warn!(%unit, %error, "the connection to a keeper broke");
        }
        let _ = facts.send(Fact::KeeperGone { unit, life });
    });
}

async fn listen(
    unit: &UnitName,
    life: Life,
    socket: std::os::unix::net::UnixStream,
    spec: Option<Spec>,
    facts: &mpsc::UnboundedSender<Fact>,
) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    let (read, mut write) = UnixStream::from_std(socket)?.into_split();
    if let Some(spec) = spec {
        let mut text = serde_json::to_vec(&spec)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        here(KillPoint::SpecSent);
    }
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let told = serde_json::from_str(&line)?;
        let _ = facts.send(Fact::Keeper { unit: unit.clone(), life, told });
    }
    // Our half is held until the keeper has ended: it takes its end for ours.
    drop(write);
    Ok(())
}

/// Tells once: a breath after one of these processes has ended, or when it is time.
pub(super) fn tell_end(
    target: Target,
    processes: Vec<Rc<Pidfd>>,
    at_latest: Option<Duration>,
    breath: Duration,
    facts: mpsc::UnboundedSender<Fact>,
) -> AbortHandle {
    let (any, mut ended) = mpsc::channel(1);
    // Signals need descriptors more: who is not watched is met at the next look.
    let watched = processes.into_iter().filter(|process| !sys::descriptors::is_of_reserve(process.as_ref()));
    let waits: Vec<AbortHandle> = watched.filter_map(|process| wait_end(process, any.clone())).collect();
    drop(any);
    spawn_local(async move {
        let _waits = AbortAll(waits);
        // None is left to wait for: that is worth a look as well.
        match at_latest {
            Some(limit) => drop(tokio::time::timeout(limit, ended.recv()).await),
            None => drop(ended.recv().await),
        }
        if !breath.is_zero() {
            tokio::time::sleep(breath).await;
        }
        let _ = facts.send(Fact::Ended(target, Instant::now()));
    })
    .abort_handle()
}

/// Tells when all of these have ended.
pub(super) fn tell_culprits(target: Target, processes: Vec<Rc<Pidfd>>, facts: mpsc::UnboundedSender<Fact>) {
    spawn_local(async move {
        for process in processes {
            if let Ok(readable) = sys::watch::readable(process) {
                let _ = readable.readable().await;
            }
        }
        let _ = facts.send(Fact::CulpritsEnded(target));
    });
}

fn wait_end(process: Rc<Pidfd>, any: mpsc::Sender<()>) -> Option<AbortHandle> {
    let readable = sys::watch::readable(process).ok()?;
    let task = spawn_local(async move {
        if readable.readable().await.is_ok() {
            let _ = any.try_send(());
        }
    });
    Some(task.abort_handle())
}

/// Ends tasks when it is dropped.
struct AbortAll(Vec<AbortHandle>);

impl Drop for AbortAll {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}
