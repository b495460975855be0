//! Taking over what an earlier supervisor left: keepers that live, processes without a keeper, lives that are over.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::containers::forget_life;
use super::holder::PAUSE;
use super::life::{Fact, Held, converse};
use super::limits::bounded;
use super::performer::Performer;
use super::recall::call_keeper;
use crate::cage::Cage;
use crate::domain::{Exit, Life, UnitKind, UnitName};
use crate::job;
use crate::keeper::{bounds_of, cage_of, leaf_of};
use crate::machine::{Adopted, Event, Target};
use crate::plan::UnitPlan;
use crate::store::log::Position;
use crate::store::{LifeRecord, give_up, read_doubted, read_records, read_records_but, remove_record};
use crate::sys;
use crate::sys::kill_point::{KillPoint, here};

/// So long a keeper that was called may take to make its socket anew.
const ANSWER: Duration = Duration::from_secs(2);

/// What was taken over.
pub(super) struct Taken {
    /// What the machine must be told.
    pub(super) events: Vec<Event>,
    /// Units that are to end: they were being ended, or were to end with the supervisor that is gone.
    pub(super) to_end: Vec<UnitName>,
}

/// Takes over every life of this boot that is not proven empty.
pub(super) fn take_over(performer: &mut Performer) -> io::Result<Taken> {
    let boot = sys::clock::boot_id()?;
    let mut last: std::collections::BTreeMap<_, Life> = performer.stack.lives.clone();
    let (mut adopted, mut to_end) = (Vec::new(), Vec::new());
    forget_doubted(performer)?;
    for mut record in read_records(&performer.dir)? {
        performer.warnings.extend(record.warning());
        // It holds its own tree; a `down` of the whole stack ends it.
        if job::is_held(&performer.dir, &record) {
            continue;
        }
        let unit = record.intent.plan.name.clone();
        // The numbers of jobs are the queue's.
        if record.intent.plan.kind != UnitKind::Job {
            let newest = last.entry(unit.clone()).or_default();
            *newest = (*newest).max(record.intent.life);
        }
        // Of another boot nothing can live, whatever its numbers say.
        let may_live = record.intent.boot == boot && !record.emptied;
        if may_live && record.leader.is_none() {
            // Killed between intent and leader. Its keeper may be about to write the leader down.
            // On a full disk it cannot be given up, but its keeper cannot write a leader either.
            let now = give_up(&performer.dir, &record.intent).ok().flatten();
            record = now.unwrap_or(record);
            here(KillPoint::LifeAbandoned);
        }
        if let Some(event) = may_live.then(|| adopt(performer, &record)).flatten() {
            here(KillPoint::LifeAdopted);
            if record.ending || ends_with_its_holder(&record.intent.plan) {
                to_end.push(unit);
            }
            let key = (record.intent.plan.name.clone(), record.intent.life);
            adopted.push(event);
            adopted.extend(performer.lives.borrow().get(&key).and_then(|held| bounded(&key.0, key.1, held)));
            continue;
        }
        // Of a life that ended while nobody looked; one that is not empty is not removed by the kernel.
        if let Some(leaf) = leaf_of(&performer.dir, &record) {
            let _ = leaf.remove();
        }
        bounds_of(&performer.dir, &record, None).remove();
        forget_life(&performer.dir, &record.intent.plan, record.intent.life, record.leader.is_some());
        remove_record(&performer.dir, &unit, record.intent.life);
    }
    let mut events = vec![Event::Remembered { lives: last.into_iter().collect() }];
    let limits = performer.stack.plan.as_ref().map(|plan| plan.limits.clone()).unwrap_or_default();
    if !limits.is_default() {
        events.push(Event::Limited { limits });
    }
    events.extend(adopted);
    Ok(Taken { events, to_end })
}

/// Whether it is ended rather than taken over.
fn ends_with_its_holder(plan: &UnitPlan) -> bool {
    plan.ends_with_supervisor || plan.kind == UnitKind::Job
}

/// Takes over jobs that are not known yet: all of them, to be ended with the stack, or only those whose `devstack run` was
/// killed.
pub(super) fn enlist_jobs(performer: &mut Performer, all: bool) -> Vec<Event> {
    let Ok(boot) = sys::clock::boot_id() else { return Vec::new() };
    let held = super::look::records_of(&performer.dir, &performer.lives.borrow());
    let records = read_records_but(&performer.dir, &held).unwrap_or_default();
    let mut events = Vec::new();
    performer.apart.clear();
    for mut record in records.into_iter().filter(|record| record.intent.plan.kind == UnitKind::Job) {
        // The client was called from it: nobody ends the ground that he stands on.
        if let Some(run) = record.keeper.filter(|run| performer.spared.contains(run)) {
            performer.apart.push((run, record.intent.plan.name));
            continue;
        }
        let key = (record.intent.plan.name.clone(), record.intent.life);
        let known = performer.lives.borrow().contains_key(&key);
        let spared = !all && job::is_held(&performer.dir, &record);
        if known || spared || record.intent.boot != boot || record.emptied {
            continue;
        }
        if record.leader.is_none() {
            // It is about to begin, and must not begin in a stack that has ended.
            record = give_up(&performer.dir, &record.intent).ok().flatten().unwrap_or(record);
        }
        events.extend(adopt(performer, &record));
    }
    events
}

/// Lines that are not this stack's own word are told (`down` names the processes that they name), never believed.
fn forget_doubted(performer: &mut Performer) -> io::Result<()> {
    let doubted = read_doubted(&performer.dir)?;
    if !doubted.named.is_empty() || !doubted.files.is_empty() {
        let (named, files) = (doubted.named.len(), &doubted.files);
        tracing::warn!(named, ?files, "the ledger has lines that this stack did not write");
    }
    for file in doubted.files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        performer
            .warnings
            .push(format!("the record {name} cannot be read or believed: marks were looked for"));
        let _ = std::fs::remove_file(file);
    }
    performer.doubted = doubted.named;
    Ok(())
}

/// A connection to the life's keeper. The recorded process itself must be the one that listens: what anybody else says of
/// a life is not believed. One that cannot be reached because its socket was swept away is called first.
fn reach(record: &LifeRecord) -> Option<UnixStream> {
    let keeper = record.keeper.filter(|keeper| sys::proc::is_alive(*keeper))?;
    let connect = || {
        let socket = sys::socket::connect(&record.intent.socket).ok()?;
        (sys::socket::peer_pid(&socket).ok()? == keeper.pid.get()).then_some(socket)
    };
    if record.intent.socket.exists() {
        return connect();
    }
    let called = call_keeper(keeper)?;
    let begun = Instant::now();
    loop {
        let connected = connect();
        if connected.is_some() || called.has_ended() || begun.elapsed() > ANSWER {
            return connected;
        }
        std::thread::sleep(PAUSE);
    }
}

fn adopt(performer: &mut Performer, record: &LifeRecord) -> Option<Event> {
    let intent = &record.intent;
    let key = (intent.plan.name.clone(), intent.life);
    let cage = cage_of(&performer.dir, &performer.stack.secret, record)?;
    let leader = cage.leader;
    let socket = reach(record);
    if socket.is_none() && cage.is_empty_in(performer.looks.borrow_mut().agreeing_since(performer.since)) {
        return None;
    }
    let log = performer.dir.log(&key.0);
    // What it said in its first moments may be what its gate waits for.
    let log = record.started_at.and_then(|start| Position::since(&log, start).ok()).unwrap_or_default();
    let seal = intent.seal(&performer.dir);
    let mut held = Held::new(Arc::new(intent.plan.clone()), intent.mark.clone(), seal, None, log);
    held.ready_noted = record.ready;
    held.notified.send_replace(record.notified);
    held.bounds = bounds_of(&performer.dir, record, cage.cgroup.as_ref());
    held.cage = Some(cage);
    if let Some(socket) = socket {
        converse(key.clone(), socket, None, performer.facts.clone());
    } else {
        // A keeper that lives and only cannot be reached (its socket was removed) goes on reading.
        let reads = !held.cage.as_ref().is_some_and(Cage::is_kept);
        performer.hold_orphaned(&mut held, Some(record), reads);
        held.exit_told = record.exit.is_some();
        let target = Target::Life { unit: key.0.clone(), life: key.1 };
        let _ = performer.facts.send(Fact::Ended(target, performer.since));
    }
    // A shim that ended while nobody looked has left its container to the next one: it is no loss to be ended now.
    if !sys::proc::is_alive(leader) {
        held.container_ended = std::rc::Rc::new(tokio::sync::Mutex::new(true));
    }
    performer.hear_shim(&key, &mut held);
    let orphaned = held.orphaned.is_some();
    performer.lives.borrow_mut().insert(key.clone(), held);
    Some(Event::Adopted(Box::new(Adopted {
        plan: intent.plan.clone(),
        life: key.1,
        leader,
        exit: if orphaned {
            record.exit
        } else {
            // A living keeper tells the end itself when it is asked; but who asks for the service now must not be told that
            // it runs.
            (!sys::proc::is_alive(leader)).then(|| record.exit.unwrap_or(Exit::Unknown))
        },
        ready: record.ready,
        started: intent.at,
    })))
}
