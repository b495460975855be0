//! The census for people: every unit's processes, as they are at this moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::containers::NOBODYS;
use super::engines::{EngineAt, Record, suspected};
use super::life::{Held, Key};
use crate::cage::{self, Cage, Depth, Member, World};
use crate::domain::{
    ContainerState, ContainerStep, Exit, Health, Life, Mark, Pid, ProcessView, StackView, State, UnitKind,
    UnitView, WallTime,
};
use crate::engine::{Container, Engine as _, Status, label};
use crate::job;
use crate::keeper::cage_of;
use crate::plan::{Plan, UnitPlan};
use crate::store::{LifeRecord, StackDir, StackFile, read_records, read_records_but};
use crate::sys;
use crate::usage::Subject;

/// So many of the most numerous programs are named when the process table is full.
const CROWD: usize = 3;
/// Whoever looks does not wait long for an engine.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// Puts the processes of each life under its unit.
pub(super) fn fill(units: &mut [UnitView], lives: &BTreeMap<Key, Held>) {
    // A keeper and a process for each unit, at least.
    let mut world = World::sized(2 * lives.len());
    for unit in units {
        let held = lives.get(&(unit.name.clone(), unit.life));
        let Some(cage) = held.and_then(|held| held.cage.as_ref()) else { continue };
        unit.processes = cage.census(&mut world, Depth::Tree).iter().map(Member::view).collect();
        let inside = held.map(|held| contained(held, &mut world)).unwrap_or_default();
        put_inside(unit, inside);
        if held.is_some_and(|held| held.orphaned.is_some()) {
            let also = unit.note.take().map_or_else(String::new, |note| format!("; {note}"));
            unit.note = Some(format!("its keeper died, the supervisor watches it{also}"));
        }
    }
}

/// Tells when each leader was born by the wall clock as it stands now: time asleep counts, and a clock that was set since
/// does not make a service older or younger.
pub(super) fn dated(mut units: Vec<UnitView>) -> Vec<UnitView> {
    let now = sys::clock::wall();
    for unit in &mut units {
        let Some(leader) = unit.leader.filter(|_| unit.started_at.is_some()) else { continue };
        let age = i64::try_from(sys::proc::age(leader.start).as_millis()).unwrap_or(i64::MAX);
        unit.started_at = Some(WallTime(now.0.saturating_sub(age)));
    }
    units
}

/// Two clocks that are read one after the other differ by a millisecond now and then: who is told of changes must not be
/// told that all services began at another time.
pub(super) fn steady(view: &mut [UnitView], before: &[UnitView]) {
    const TREMOR_MS: u64 = 20;
    for (now, before) in view.iter_mut().zip(before) {
        if let (Some(begun), Some(told)) = (&mut now.started_at, before.started_at)
            && now.leader == before.leader
            && begun.0.abs_diff(told.0) <= TREMOR_MS
        {
            *begun = told;
        }
    }
}

/// What runs in the container that a life stands for.
fn contained(held: &Held, world: &mut World) -> Vec<ProcessView> {
    let state = held.contained.borrow();
    let (Some(id), Some(first)) = (&state.id, state.pid.and_then(Pid::new)) else { return Vec::new() };
    cage::inside(id, first, world).iter().map(Member::view).collect()
}

/// The stack as ledger and kernel show it, for commands that find no supervisor.
pub(super) async fn from_ledger(
    dir: &StackDir,
    stack: &StackFile,
    planned: Option<&Plan>,
) -> io::Result<StackView> {
    let units = || stack.plan.as_ref().or(planned).into_iter().flat_map(|plan| &plan.units);
    let boot = sys::clock::boot_id()?;
    let mut world = World::new();
    let mut services: Vec<UnitView> = units().map(|unit| unit_at_rest(unit, Life(0))).collect();
    for ended in dir.read_last_view().into_iter().flat_map(|view| view.services) {
        // How it failed stays known until the next supervisor.
        if ended.state == State::Failed
            && let Some(service) = services.iter_mut().find(|service| service.name == ended.name)
        {
            let ports = std::mem::take(&mut service.ports);
            *service = UnitView {
                ports,
                leader: None,
                pid: None,
                pgid: None,
                sid: None,
                processes: Vec::new(),
                ..ended
            };
        }
    }
    let holder = super::holder(dir).filter(|holder| holder.is_supervisor);
    let why =
        if holder.is_some() { "its supervisor does not answer" } else { "its supervisor is not running" };
    let records = read_records(dir)?;
    let mut warnings: Vec<String> = records.iter().filter_map(LifeRecord::warning).collect();
    for record in records.into_iter().filter(|record| record.intent.boot == boot) {
        let lives = (!record.emptied).then(|| of_record(dir, &record, &stack.secret, why, &mut world));
        let Some(view) = lives.flatten().or_else(|| unnoticed(&record, why)) else { continue };
        match services.iter_mut().find(|service| service.name == view.name) {
            Some(service) if service.life <= view.life || service.processes.is_empty() => *service = view,
            Some(_) => {}
            None => services.push(view),
        }
    }
    let record = Record::of(dir, stack);
    let mut engines = suspected(dir, record, units(), &std::env::vars().collect());
    engines.retain(|engine| record != Record::Kept || engine.may_hold());
    let unwatched = Unwatched { dir, owner: label::owner(&stack.secret), why, engines, record };
    unwatched.fill(&mut services, &mut world, &mut warnings).await;
    let dir = stack.dir().to_string_lossy().into_owned();
    let supervisor = holder.map(|holder| holder.id.pid.get());
    let services = dated(services);
    Ok(StackView {
        stack: stack.name.clone(),
        dir,
        supervisor,
        services,
        strays: Vec::new(),
        warnings,
        alerts: Vec::new(),
    })
}

/// A life that is measured without its supervisor.
#[derive(Debug)]
pub struct Measured {
    /// Its processes.
    pub cage: Cage,
    /// The container that it stands for, where it is one: its id and its first process.
    pub inside: Option<(String, Pid)>,
}

impl Measured {
    /// As it is measured without limits of its own.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject { cage: &self.cage, inside: self.inside.clone(), memory_limit: None, files: None }
    }
}

/// All lives that the ledger knows, to be measured: in the order of their names.
pub fn measured(dir: &StackDir, stack: &StackFile) -> io::Result<Vec<Measured>> {
    let boot = sys::clock::boot_id()?;
    let records = read_records(dir)?.into_iter();
    let present = records.filter(|record| record.intent.boot == boot && !record.emptied);
    let one = |record: LifeRecord| {
        let cage = cage_of(dir, &stack.secret, &record)?;
        let state = super::containers::state_of(dir, &record.intent.plan.name, record.intent.life);
        let inside = state.and_then(|state| state.id.zip(state.pid.and_then(Pid::new)));
        Some(Measured { cage, inside })
    };
    Ok(present.filter_map(one).collect())
}

/// Containers that are looked for where no supervisor tells of them.
struct Unwatched<'a> {
    dir: &'a StackDir,
    owner: String,
    why: &'a str,
    engines: Vec<EngineAt>,
    record: Record,
}

impl Unwatched<'_> {
    /// Puts what runs in a container under its unit: below the process that stands for it, or alone where that was killed.
    async fn fill(&self, units: &mut [UnitView], world: &mut World, warnings: &mut Vec<String>) {
        let owned = label::of_owner(&self.owner);
        for engine in &self.engines {
            let client = engine.client().patience(ENGINE_PATIENCE);
            match client.labelled(&owned).await {
                Ok(found) => found.iter().for_each(|container| self.put(container, units, world)),
                // Nothing was ever started, as far as anybody knows: an engine need not be there.
                Err(_) if self.record == Record::None => continue,
                Err(trouble) => {
                    warnings.push(format!("its containers are not shown: {}: {trouble}", engine.command()));
                    continue;
                }
            }
            if self.record == Record::None
                && let Ok(found) = client.labelled(&label::of_stack(&self.dir.hash)).await
            {
                let named = found.iter().filter(|one| one.labels.get(label::OWNER) != Some(&self.owner));
                warnings.extend(named.map(|one| format!("container {}: {NOBODYS}", one.name)));
            }
        }
    }

    fn put(&self, container: &Container, units: &mut [UnitView], world: &mut World) {
        let Status::Running { pid, .. } = &container.status else { return };
        let service = container.labels.get(label::SERVICE);
        let Some(unit) =
            units.iter_mut().find(|unit| service.is_some_and(|name| *name == unit.name.as_str()))
        else {
            return;
        };
        let Some(view) = &mut unit.container else { return };
        // What its shim has started may outlive it for a moment.
        if !unit.processes.iter().any(|process| Some(process.pid) == unit.pid) {
            unit.state = State::Ready;
            unit.health = Health::Unknown;
            (unit.leader, unit.pid, unit.pgid, unit.sid) = (None, None, None, None);
            unit.exit = None;
            unit.note = Some(format!("its container runs, {}", self.why));
        }
        view.name.clone_from(&container.name);
        view.state.get_or_insert_with(|| ContainerState {
            step: ContainerStep::Running,
            id: Some(container.id.clone()),
            pid: pid.map(Pid::get),
            ..ContainerState::default()
        });
        let inside = pid.map(|pid| cage::inside(&container.id, pid, world)).unwrap_or_default();
        put_inside(unit, inside.iter().map(Member::view).collect());
    }
}

/// What runs inside a container, each once: podman's are in the tree of whoever started them as well.
fn put_inside(unit: &mut UnitView, inside: Vec<ProcessView>) {
    unit.processes.retain(|one| !inside.iter().any(|other| other.pid == one.pid));
    unit.processes.extend(inside);
}

/// The jobs that run, of which no supervisor knows more than the ledger does.
pub(super) fn jobs(dir: &StackDir, secret: &Mark, known: &BTreeMap<Key, Held>) -> Vec<UnitView> {
    let Ok(boot) = sys::clock::boot_id() else { return Vec::new() };
    let unknown =
        |record: &LifeRecord| !known.contains_key(&(record.intent.plan.name.clone(), record.intent.life));
    let records = read_records_but(dir, &records_of(dir, known)).unwrap_or_default().into_iter();
    let jobs = records.filter(|record| record.intent.plan.kind == UnitKind::Job && unknown(record));
    let mut world = World::new();
    let views = jobs.filter(|record| record.intent.boot == boot && !record.emptied);
    dated(views.filter_map(|record| of_record(dir, &record, secret, "", &mut world)).collect())
}

/// The files of lives that the supervisor holds: it knows what stands there.
pub(super) fn records_of(dir: &StackDir, lives: &BTreeMap<Key, Held>) -> BTreeSet<PathBuf> {
    lives.keys().map(|(unit, life)| dir.record(unit, *life)).collect()
}

fn of_record(
    dir: &StackDir,
    record: &LifeRecord,
    secret: &Mark,
    why: &str,
    world: &mut World,
) -> Option<UnitView> {
    let intent = &record.intent;
    let cage = cage_of(dir, secret, record)?;
    let leader = cage.leader;
    // Under its living keeper the tree is complete.
    let held = job::is_held(dir, record) && cage.is_kept();
    let members = cage.census(world, if held { Depth::Tree } else { Depth::Full });
    if members.is_empty() {
        return None;
    }
    let mut view = unit_at_rest(&intent.plan, intent.life);
    let is_job = intent.plan.kind == UnitKind::Job;
    view.state = match (record.ending, record.ready || is_job) {
        (true, _) => State::Stopping,
        (false, true) => State::Ready,
        (false, false) => State::Starting,
    };
    view.note = match (is_job, held) {
        (true, true) => None,
        (true, false) => Some("its `devstack run` was killed".to_owned()),
        (false, _) => Some(why.to_owned()),
    };
    view.exit = record.exit;
    view.started_at = record.started_at;
    let pid = leader.pid.get();
    view.leader = Some(leader);
    (view.pid, view.pgid, view.sid) = (Some(pid), Some(pid), Some(pid));
    if let Some(stat) = members.iter().find(|member| member.id == leader).map(|member| &member.stat) {
        (view.pgid, view.sid) = (Some(stat.pgid), Some(stat.sid));
    }
    view.processes = members.iter().map(Member::view).collect();
    Some(view)
}

/// The view of a stack of which nothing was ever started.
#[must_use]
pub fn at_rest(plan: &Plan) -> StackView {
    StackView {
        stack: plan.stack.clone(),
        dir: plan.dir.to_string_lossy().into_owned(),
        supervisor: None,
        services: plan.units.iter().map(|unit| unit_at_rest(unit, Life(0))).collect(),
        strays: Vec::new(),
        warnings: Vec::new(),
        alerts: Vec::new(),
    }
}

/// A life that ended while nobody was there to tell, and that nobody had ended.
fn unnoticed(record: &LifeRecord, why: &str) -> Option<UnitView> {
    let intent = &record.intent;
    if record.ending || record.leader.is_none() || intent.plan.kind == UnitKind::Job {
        return None;
    }
    let mut view = unit_at_rest(&intent.plan, intent.life);
    let done = intent.plan.kind == UnitKind::Task && record.exit.is_some_and(Exit::is_success);
    view.state = if done { State::Completed } else { State::Failed };
    view.note = (!done).then(|| format!("it has ended, {why}"));
    view.exit = record.exit;
    Some(view)
}

fn unit_at_rest(plan: &UnitPlan, life: Life) -> UnitView {
    UnitView {
        health: if plan.health.is_some() { Health::Unknown } else { Health::None },
        ports: plan.ports.iter().map(|port| port.number).collect(),
        labels: plan.labels.clone(),
        container: plan.container.as_ref().map(|container| container.view()),
        ..UnitView::at_rest(plan.name.clone(), plan.kind, life)
    }
}

/// Who fills the process table: the programs with the most processes.
pub(super) fn crowd() -> Vec<(String, u32)> {
    let mut programs: BTreeMap<String, u32> = BTreeMap::new();
    for stat in sys::proc::pids().into_iter().filter_map(sys::proc::stat) {
        *programs.entry(stat.comm).or_default() += 1;
    }
    let mut programs: Vec<(String, u32)> = programs.into_iter().collect();
    programs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    programs.truncate(CROWD);
    programs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ProcId;

    #[test]
    fn a_clock_that_trembles_changes_no_view_and_a_clock_that_was_set_does() {
        let name = "api".parse().expect("a name");
        let mut told = UnitView::at_rest(name, UnitKind::Service, Life(1));
        let at = |millis| Some(WallTime(millis));
        told.started_at = at(1_000_000);
        let seen = |millis| {
            let mut view = [UnitView { started_at: at(millis), ..told.clone() }];
            steady(&mut view, std::slice::from_ref(&told));
            view[0].started_at
        };
        assert_eq!([seen(999_999), seen(1_000_001)], [told.started_at; 2]);
        assert_eq!([seen(900_000), seen(1_000_100)], [at(900_000), at(1_000_100)]);
        let reborn = ProcId { pid: Pid::new(77).expect("a number"), start: 5 };
        let mut view = [UnitView { leader: Some(reborn), started_at: at(1_000_001), ..told.clone() }];
        steady(&mut view, std::slice::from_ref(&told));
        assert_eq!(view[0].started_at, at(1_000_001), "another life");
    }
}
