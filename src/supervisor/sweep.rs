//! What a sweep knows of a stack: from the ledger and the kernel, whoever asks, with a supervisor or without.

use std::collections::BTreeSet;
use std::io;

use regex::Regex;

use super::holder::holder;
use crate::cage::{self, Beside, Running, StackFacts};
use crate::domain::{Ended, Mark, ProcId, Trace, UnitKind};
use crate::job;
use crate::keeper::cage_of;
use crate::plan::{SweepPlan, SweepScope};
use crate::store::{LifeRecord, StackDir, StackFile, read_doubted, read_records};
use crate::sys::{clock, proc};

/// What a look for strays found.
#[derive(Debug)]
pub struct Outlook {
    /// The stack runs: a supervisor or a keeper of it lives. Else all that is left of it is a stray.
    pub runs: bool,
    /// What may be ended.
    pub strays: Vec<Trace>,
    /// What only resembles ours, or belongs to what runs.
    pub left_alone: Vec<Trace>,
}

/// Which part of a stack is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// What belongs to nothing that runs.
    Strays,
    /// All of it: nobody can want it any more.
    All,
}

/// Looks for strays of a stack and signals nobody.
pub fn outlook(
    dir: &StackDir,
    stack: &StackFile,
    sweep: &SweepPlan,
    spared: BTreeSet<ProcId>,
    whose: Whose,
) -> io::Result<Outlook> {
    let runs = runs(dir)?;
    let facts = match (whose, runs) {
        (Whose::Strays, true) => beside(dir, stack, sweep, spared),
        (Whose::Strays, false) => dead(dir, stack, sweep, spared)?,
        (Whose::All, _) => {
            let mut facts = dead(dir, stack, sweep, spared)?;
            // What their keepers hold is meant as well.
            facts.lives.iter_mut().for_each(|cage| cage.keeper = None);
            facts
        }
    };
    let sought = cage::seek(&facts);
    Ok(Outlook { runs, strays: traces(&sought.strays), left_alone: traces(&sought.left_alone) })
}

/// Whether anybody of devstack holds the stack or a life of it.
fn runs(dir: &StackDir) -> io::Result<bool> {
    let held = |record: &LifeRecord| record.keeper.is_some_and(proc::is_alive);
    Ok(holder(dir).is_some() || recorded(dir)?.iter().any(held))
}

/// The facts for a sweep of a stack that runs on.
pub(super) fn beside(
    dir: &StackDir,
    stack: &StackFile,
    sweep: &SweepPlan,
    spared: BTreeSet<ProcId>,
) -> StackFacts {
    let (at, secret) = (dir.clone(), stack.secret.clone());
    let over = recorded(dir).unwrap_or_default().into_iter().filter(|record| !runs_on(dir, record));
    let lives = over.filter_map(|record| cage_of(dir, &stack.secret, &record)).collect();
    let beside = Some(Beside::new(move || running(&at, &secret)));
    StackFacts { lives, beside, ..facts(stack, sweep, spared) }
}

/// The facts for a sweep of a stack of which nobody of devstack lives: all that is left is meant.
fn dead(
    dir: &StackDir,
    stack: &StackFile,
    sweep: &SweepPlan,
    spared: BTreeSet<ProcId>,
) -> io::Result<StackFacts> {
    let lives = recorded(dir)?.iter().filter_map(|record| cage_of(dir, &stack.secret, record)).collect();
    let doubted = read_doubted(dir)?.named;
    Ok(StackFacts { lives, doubted, ..facts(stack, sweep, spared) })
}

fn facts(stack: &StackFile, sweep: &SweepPlan, spared: BTreeSet<ProcId>) -> StackFacts {
    StackFacts {
        stack: stack.secret.clone(),
        dir: stack.dir().to_owned(),
        lives: Vec::new(),
        hearth: None,
        spared,
        apart: Vec::new(),
        doubted: BTreeSet::new(),
        // The plan was checked when it was made; a pattern of a damaged file matches nothing.
        patterns: sweep.patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect(),
        user_wide: sweep.scope == SweepScope::User,
        beside: None,
    }
}

/// What runs of the stack now.
fn running(dir: &StackDir, secret: &Mark) -> io::Result<Running> {
    let mut running = Running::default();
    // Probes and stop commands are its children, and so is what a keeper that was killed has left.
    running.roots.extend(holder(dir).filter(|holder| holder.is_supervisor).map(|holder| holder.id));
    for record in recorded(dir)?.into_iter().filter(|record| runs_on(dir, record)) {
        running.roots.extend(record.keeper.filter(|keeper| proc::is_alive(*keeper)));
        match cage_of(dir, secret, &record) {
            Some(cage) => running.lives.push(cage),
            None => running.unborn.push((record.intent.plan.name, record.intent.mark)),
        }
    }
    Ok(running)
}

/// Records of lives that may have living processes.
fn recorded(dir: &StackDir) -> io::Result<Vec<LifeRecord>> {
    let boot = clock::boot_id()?;
    let mut records = read_records(dir)?;
    records.retain(|record| record.intent.boot == boot && !record.emptied);
    Ok(records)
}

/// Whether a recorded life goes on beside a sweep: a service whose keeper was killed is watched by its supervisor, or
/// taken over by the next one; a job whose `devstack run` was killed is nobody's any more.
fn runs_on(dir: &StackDir, record: &LifeRecord) -> bool {
    record.intent.plan.kind != UnitKind::Job || job::is_held(dir, record)
}

/// What people want to know of a process before it is ended. One that is gone by now is left out.
fn traces(found: &[Ended]) -> Vec<Trace> {
    let members: Vec<ProcId> = found.iter().map(|one| one.process).collect();
    let mut ports = cage::listening_each(&members);
    let trace = |one: &Ended| {
        let ProcId { pid, start } = one.process;
        let stat = proc::stat(pid.get()).filter(|stat| stat.start == start && !stat.is_gone())?;
        Some(Trace {
            process: one.process,
            command: one.command.clone(),
            age_ms: u64::try_from(proc::age(start).as_millis()).unwrap_or(u64::MAX),
            memory_bytes: stat.rss,
            ports: ports.remove(&one.process).unwrap_or_default(),
            evidence: one.evidence.clone(),
        })
    };
    found.iter().filter_map(trace).collect()
}
