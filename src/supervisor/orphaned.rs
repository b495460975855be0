//! A life whose keeper was killed: what the keeper did is done from here, as well as one can who is not the parent.
//!
//! Its output is read on, its members are written down, the end of its leader is learnt from the kernel, and that
//! nothing is left is found out by looking.

use std::cell::RefCell;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, spawn_local};

use super::life::{Fact, Held, Key, tell_end};
use super::performer::{Performer, TAIL_LINES};
use crate::cage::{Cage, Depth, World};
use crate::domain::{Exit, Failure, ProcId};
use crate::keeper::Output;
use crate::machine::{Event, Target};
use crate::store::log::{LogWriter, tail_from};
use crate::store::{LifeRecord, RecordLine, append_record, read_record};
use crate::sys::pidfd::Pidfd;
use crate::sys::pipe::{self, PipeId};
use crate::sys::{self, proc, watch};

/// Handles on so many members are enough to learn that something has changed.
pub(super) const WATCHED_ENDS: usize = 256;

/// Members can be born without a word: so often they are counted and written down.
const CENSUS: Duration = Duration::from_secs(2);

/// A service that writes many small pieces is let alone for so long between two looks.
const BREATH: Duration = Duration::from_millis(1);

/// What is held of a life without a keeper.
pub(super) struct Orphaned {
    /// Its leader, to learn how it ends.
    leader: Option<Pidfd>,
    /// How it ended, where the keeper has still written that down.
    exit: Option<Exit>,
    /// What it writes, where its pipe was found.
    output: Option<Rc<RefCell<Output>>>,
    pump: Option<AbortHandle>,
}

impl Orphaned {
    /// All that it has written so far is in the log.
    pub(super) fn drain(&self) {
        if let Some(output) = &self.output {
            output.borrow_mut().drain();
        }
    }
}

impl Drop for Orphaned {
    fn drop(&mut self) {
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
        if let Some(output) = &self.output {
            output.borrow_mut().finish();
        }
    }
}

impl Performer {
    /// The connection to a keeper ended: it said all and ends, or it was killed and nobody will tell `ECHILD`.
    pub(super) fn keeper_gone(&mut self, key: Key) -> Option<Event> {
        let lives = Rc::clone(&self.lives);
        let mut lives = lives.borrow_mut();
        let held = lives.get_mut(&key)?;
        if let Some(keeper) = held.keeper.take() {
            self.leaving.add(keeper, held.cage.as_ref().and_then(|cage| cage.keeper));
        }
        if held.emptied {
            return None;
        }
        let (unit, life) = key;
        // What it has written down and could not tell any more.
        let record = read_record(&self.dir, &unit, life).ok().flatten();
        let leader = record.as_ref().and_then(|record| record.leader);
        let started = match (&mut held.cage, leader) {
            (Some(_), _) => None,
            (cage @ None, Some(leader)) => {
                let (mark, secret) = (held.mark.clone(), self.stack.secret.clone());
                let cage = cage.insert(Cage::new(unit.clone(), life, mark, secret, None, leader));
                cage.cgroup = held.leaf.take();
                Some(Event::Started { unit: unit.clone(), life, leader })
            }
            (None, None) => {
                // The service waits for a word of its keeper before its code runs, and that never came.
                held.emptied = true;
                let why = Failure::Start { reason: "its keeper died before it had started".to_owned() };
                return Some(Event::NotStarted { unit, life, why });
            }
        };
        tracing::warn!(%unit, "a keeper died; its processes are watched from here");
        // Its descriptors are closed: it is ending, and reads no more.
        self.hold_orphaned(held, record.as_ref(), true);
        let _ = self.facts.send(Fact::Ended(Target::Life { unit, life }, Instant::now()));
        started
    }

    /// Does from now on what the keeper of this life did. It does not read its output where the keeper may still do so.
    pub(super) fn hold_orphaned(&self, held: &mut Held, record: Option<&LifeRecord>, reads: bool) {
        let Some(cage) = &mut held.cage else { return };
        cage.keeper = None;
        if let Some(record) = record {
            cage.ledger.extend(record.members.iter().copied());
            held.notified.send_if_modified(|notified| !std::mem::replace(notified, record.notified));
        }
        let spare = held.spare_output.take();
        let find = |pipe| find(cage, pipe, self.looks.borrow_mut().since(self.since));
        let read_end = spare.or_else(|| find(record?.output?)).filter(|_| reads);
        let output = read_end.and_then(|read_end| {
            let logs = &held.plan.logs;
            let log = LogWriter::open(&self.dir.log(&cage.unit), logs.max_size, logs.max_files).ok()?;
            Output::new(read_end, log).ok()
        });
        let output = output.map(|output| Rc::new(RefCell::new(output)));
        held.orphaned = Some(Orphaned {
            leader: Pidfd::open(cage.leader).ok(),
            exit: record.and_then(|record| record.exit),
            pump: output.as_ref().and_then(pump),
            output,
        });
    }

    /// Looks what has become of a life without a keeper; tells one thing, and looks again if there may be more.
    pub(super) fn look_at_orphaned(&mut self, held: &mut Held, target: Target) -> Option<Event> {
        let Target::Life { unit, life } = &target else { return None };
        let (cage, orphaned) = (held.cage.as_mut()?, held.orphaned.as_ref()?);
        for member in cage.ledger.iter().filter(|member| **member != cage.leader) {
            let _ = sys::reap(*member);
        }
        // Before the leader is looked at: its end is told before the end of all.
        let mut looks = self.looks.borrow_mut();
        let empty = cage.is_empty_in(looks.agreeing_since(self.since));
        if !held.exit_told && !proc::is_alive(cage.leader) {
            held.exit_told = true;
            orphaned.drain();
            // The rest is told by the next look.
            let _ = self.facts.send(Fact::Ended(target.clone(), self.since));
            let exit = exit_of(cage.leader, orphaned);
            let line = RecordLine::Exited { exit, at: sys::clock::wall() };
            let _ = append_record(&self.dir.record(unit, *life), &held.seal, &line);
            let tail = tail_from(&self.dir.log(unit), &held.log_from, TAIL_LINES);
            return Some(Event::Exited { unit: unit.clone(), life: *life, exit, tail });
        }
        if empty {
            orphaned.drain();
            held.emptied = true;
            return Some(Event::Emptied { target });
        }
        let world = looks.since(self.since);
        for member in cage.note(&cage.census(world, Depth::Full)) {
            // On a full disk this member is known to this process only.
            let _ = append_record(&self.dir.record(unit, *life), &held.seal, &RecordLine::Member(member));
        }
        let watched = cage.watch_in(world, WATCHED_ENDS);
        let breath = looks.breath();
        let census = if watched.is_some() { CENSUS } else { Duration::ZERO };
        let mut watched = watched.unwrap_or_default();
        // Whoever else is left out.
        watched.extend(Pidfd::open(cage.leader));
        let watched = self.receipts.watch(&target, watched);
        held.waiter = Some(tell_end(target.clone(), watched, Some(census), breath, self.facts.clone()));
        Some(Event::Stirred { target })
    }
}

/// A read end of a life's output, from any of its members that holds one.
fn find(cage: &Cage, pipe: PipeId, world: &mut World) -> Option<OwnedFd> {
    let by = |process: ProcId| pipe::held_by(process.pid.get(), pipe);
    by(cage.leader).or_else(|| {
        let members = cage.census(world, Depth::Full);
        members.iter().find_map(|member| by(member.id))
    })
}

/// Moves output into the log until nobody can write any more.
fn pump(output: &Rc<RefCell<Output>>) -> Option<AbortHandle> {
    let output = Rc::clone(output);
    let ready = output.borrow().as_fd().try_clone_to_owned().ok()?;
    let ready = watch::readable(ready).ok()?;
    let task = spawn_local(async move {
        while let Ok(mut guard) = ready.readable().await {
            output.borrow_mut().pump();
            if output.borrow().waiting() == 0 {
                if guard.ready().is_read_closed() {
                    output.borrow_mut().end();
                    return;
                }
                guard.clear_ready();
            }
            tokio::time::sleep(BREATH).await;
        }
    });
    Some(task.abort_handle())
}

/// How a leader without a keeper ended, by whoever knows it.
fn exit_of(leader: ProcId, orphaned: &Orphaned) -> Exit {
    let handle = || orphaned.leader.as_ref().and_then(|leader| leader.exit().ok().flatten());
    let known = orphaned.exit.or_else(|| sys::reap(leader)).or_else(handle);
    // Its parent may reap it between two of these questions: the handle knows it then.
    known.or_else(|| proc::exit_of_zombie(leader)).or_else(handle).unwrap_or(Exit::Unknown)
}
