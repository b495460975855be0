//! The one place where the machine's decisions become effects. It never waits: answers are later facts.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::birth;
use super::containers::forget_life;
use super::engines::begin_record;
use super::keepers::{self, Leaving};
use super::life::{Fact, Held, Key, Lives, converse};
use super::nursery::Nursery;
use super::ports::Ports;
use super::receipts::Receipts;
use crate::cage::{Cage, Looks, Strays};
use crate::control::{DownCall, UpCall};
use crate::domain::{Exit, Failure, Life, ProcId, StackView, State, UnitName, UnitView};
use crate::keeper::FromKeeper;
use crate::machine::{Action, Answer, Event, Stack, Target};
use crate::plan::{Plan, SweepPlan, UnitPlan};
use crate::store::log::{Position, tail_from};
use crate::store::{
    Entry, HomeError, RecordLine, StackDir, StackFile, append_record, directory_at, remove_record,
};
use crate::sys::cgroup::Grounds;
use crate::sys::descriptors::Spare;
use crate::sys::kill_point::{KillPoint, here};
use crate::sys::{self, cgroup, descriptors};

/// Last lines of a log that a failure is told with.
pub(super) const TAIL_LINES: usize = 10;

/// What a life takes of descriptors: its keeper, its probes, handles on its members while it ends.
const DESCRIPTORS_EACH: u64 = 4;

/// And what the supervisor itself and its clients take, a crowd's watched ends among it.
const DESCRIPTORS: u64 = 900;

/// So many descriptors are held back for a stop, and at most this part of those that there may be.
const SPARE: u64 = 16;
const SPARE_PART: u64 = 16;

/// Carries actions out.
pub(super) struct Performer {
    pub(super) dir: StackDir,
    pub(super) stack: StackFile,
    pub(super) lives: Lives,
    pub(super) facts: mpsc::UnboundedSender<Fact>,
    pub(super) spared: BTreeSet<ProcId>,
    /// Each `devstack run` of this stack that the client was called from, with its job: it goes on.
    pub(super) apart: Vec<(ProcId, UnitName)>,
    /// Named by lines of the ledger that are not this stack's own word.
    pub(super) doubted: BTreeSet<ProcId>,
    /// What is wrong with the files of the ledger.
    pub(super) warnings: Vec<String>,
    pub(super) ports: Rc<Ports>,
    pub(super) base: BTreeMap<String, String>,
    /// The `PATH` of the last caller that ends the stack: an engine's command may be there.
    pub(super) path: String,
    /// Services in containers that it has brought with its manifest.
    pub(super) brought: Vec<UnitPlan>,
    /// Units that it names and that were never started, as far as is known.
    pub(super) unmet: Vec<UnitName>,
    pub(super) nursery: Option<Nursery>,
    births: VecDeque<(Arc<UnitPlan>, Life)>,
    /// Whole looks, shared by all lives without a keeper.
    pub(super) looks: RefCell<Looks>,
    /// What is asked now was asked after this moment: older looks do not answer it.
    pub(super) since: Instant,
    pub(super) leaving: Leaving,
    /// Processes of this program that the supervisor has started for a task, and that end by themselves.
    pub(super) helpers: Leaving,
    /// The limit on descriptors that services get, where the supervisor's own had to be raised.
    descriptors: Option<u64>,
    /// Held from each birth on until something is to be ended: that must not fail for want of a descriptor.
    spare: Option<Spare>,
    pub(super) strays: Option<(Strays, Option<tokio::task::AbortHandle>)>,
    pub(super) receipts: Receipts,
    /// Where its leaves are made, on machines that have such a place.
    cgroups: Option<PathBuf>,
    /// Where the kernel holds its limits: looked for when the first life has any.
    grounds: OnceCell<Grounds>,
    pub(super) sweep: SweepPlan,
    pub(super) ports_declared: BTreeSet<u16>,
    /// Units of manifests that clients brought to end the stack: they need not have been started ever.
    named: BTreeSet<UnitName>,
    /// Orphans of a killed keeper become children of this process. Not so in a command: its children may be its caller's,
    /// if that was a shell which became it.
    pub(super) inherits: bool,
}

impl Performer {
    /// Opens the state of a stack.
    pub(super) fn new(
        dir: StackDir,
        stack: StackFile,
        facts: mpsc::UnboundedSender<Fact>,
        inherits: bool,
    ) -> Self {
        let sweep = stack.plan.as_ref().map(|plan| plan.sweep.clone()).unwrap_or_default();
        let ports_declared = stack.plan.as_ref().map(ports_of).unwrap_or_default();
        let cgroups = cgroup::place().ok().map(|place| place.join(cgroup::stack_name(&dir.hash)));
        Self {
            dir,
            stack,
            lives: Lives::default(),
            facts,
            spared: BTreeSet::new(),
            apart: Vec::new(),
            doubted: BTreeSet::new(),
            warnings: Vec::new(),
            ports: Rc::new(Ports::default()),
            base: BTreeMap::new(),
            path: String::new(),
            brought: Vec::new(),
            unmet: Vec::new(),
            nursery: None,
            births: VecDeque::new(),
            looks: RefCell::default(),
            since: Instant::now(),
            leaving: Leaving::default(),
            helpers: Leaving::default(),
            descriptors: None,
            spare: Some(spare()),
            strays: None,
            receipts: Receipts::default(),
            cgroups,
            grounds: OnceCell::new(),
            sweep,
            ports_declared,
            named: BTreeSet::new(),
            inherits,
        }
    }

    /// A client brings a new plan, its environment, and itself.
    ///
    /// Where that cannot be written down, nothing is learnt.
    pub(super) fn learn(&mut self, call: &mut UpCall) -> Result<(), HomeError> {
        let mut stack = self.stack.clone();
        stack.name = call.request.plan.stack.clone();
        stack.auto_ports = std::mem::take(&mut call.auto_ports);
        stack.plan = Some((*call.request.plan).clone());
        stack.checkout = directory_at(&call.request.plan.dir);
        let base: BTreeMap<String, String> = std::mem::take(&mut call.environment).into_iter().collect();
        let before = self.stack.plan.iter().flat_map(|plan| &plan.units);
        begin_record(&self.dir, &self.stack, before.chain(&call.request.plan.units), &base)?;
        self.dir.write_stack(&stack)?;
        here(KillPoint::PlanWritten);
        self.stack = stack;
        self.base = base;
        self.spared = call.caller.drain(..).collect();
        self.sweep = call.request.plan.sweep.clone();
        self.ports_declared = ports_of(&call.request.plan);
        let units = u64::try_from(call.request.plan.units.len()).unwrap_or(u64::MAX);
        let before =
            descriptors::make_room_for(units.saturating_mul(DESCRIPTORS_EACH).saturating_add(DESCRIPTORS));
        self.descriptors = self.descriptors.or(before);
        Ok(())
    }

    /// A client that ends the stack brings the manifest as it is now, and itself: it must survive its own `down`.
    pub(super) fn learn_end(&mut self, call: &mut DownCall) {
        self.spared = call.caller.drain(..).collect();
        self.path = std::mem::take(&mut call.path);
        self.unmet.clear();
        // A life is proof enough that an engine was used, whatever became of the record.
        let lives = self.lives.borrow();
        let contained = lives.values().filter(|held| held.plan.container.is_some());
        self.brought = contained.map(|held| (*held.plan).clone()).collect();
        self.stack.recovered |= !self.brought.is_empty();
        drop(lives);
        if let Some(plan) = call.plan.take() {
            self.brought.extend(plan.units.iter().filter(|unit| unit.container.is_some()).cloned());
            self.named.extend(plan.units.iter().map(|unit| unit.name.clone()));
            self.ports_declared.extend(ports_of(&plan));
            self.sweep = plan.sweep;
        }
    }

    /// Takes out of these units what is planned and was never started: there is nothing of it to end, which is no mistake. It
    /// may have left a container before the state was lost.
    pub(super) fn part_unmet(&mut self, units: &mut Vec<UnitName>, stack: &Stack) {
        let is_met = |unit: &UnitName| stack.unit_plan(unit).is_some() || !self.plans(unit);
        let (met, unmet) = std::mem::take(units).into_iter().partition(is_met);
        (*units, self.unmet) = (met, unmet);
    }

    /// Whether the last plan, or a manifest that somebody has brought since, has a unit of this name.
    pub(super) fn plans(&self, unit: &UnitName) -> bool {
        self.named.contains(unit)
            || self.stack.plan.iter().flat_map(|plan| &plan.units).any(|planned| planned.name == *unit)
    }

    /// Turns what a task told into an event of the machine, where it is one.
    ///
    /// The end of a life that is a container comes behind its shim's last words.
    pub(super) fn understand(&mut self, fact: Fact) -> Vec<Event> {
        let told = match fact {
            Fact::Event(event) => vec![event],
            other => self.learnt(other).into_iter().flat_map(|event| self.with_container(event)).collect(),
        };
        let told: Vec<Event> = told.into_iter().flat_map(|event| self.with_limits(event)).collect();
        for event in &told {
            self.heed(event);
        }
        told
    }

    fn learnt(&mut self, fact: Fact) -> Option<Event> {
        match fact {
            Fact::Event(event) => Some(event),
            Fact::Keeper { unit, life, told } => self.keeper_told((unit, life), told),
            Fact::KeeperGone { unit, life } => self.keeper_gone((unit, life)),
            Fact::CulpritsEnded(target) => {
                self.receipts.culprits_ended(&target);
                None
            }
            Fact::Ended(target, at) => {
                // A look that was taken for another meanwhile has seen what has become of this one too.
                self.since = at;
                self.member_ended(target)
            }
        }
    }

    fn heed(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => here(KillPoint::StartedHeard),
            Event::Gated { answer: Answer::Good, .. } => here(KillPoint::GateHeld),
            Event::Exited { unit, life, exit, .. } => {
                here(KillPoint::ExitHeard);
                self.note_exit((unit.clone(), *life), *exit);
            }
            Event::Emptied { target } => {
                here(KillPoint::EmptiedHeard);
                self.receipts.emptied(target);
            }
            // It never lived: nothing of it is kept.
            Event::NotStarted { unit, life, .. } => self.retire(unit, *life),
            _ => {}
        }
    }

    fn note_exit(&mut self, key: Key, exit: Exit) {
        let leader = self.lives.borrow().get(&key).and_then(|held| Some(held.cage.as_ref()?.leader));
        if let Some(leader) = leader {
            let (unit, life) = key;
            self.receipts.exited(&Target::Life { unit, life }, leader, exit);
        }
    }

    fn keeper_told(&mut self, key: Key, told: FromKeeper) -> Option<Event> {
        let mut lives = self.lives.borrow_mut();
        let held = lives.get_mut(&key)?;
        let (unit, life) = key;
        match told {
            FromKeeper::Started { keeper, leader, output } => {
                held.spare_output = output.and_then(|pipe| sys::pipe::held_by(keeper.pid.get(), pipe));
                // A life that was taken over says it once more; what the ledger says of it stays.
                if held.cage.is_some() {
                    return None;
                }
                let (mark, secret) = (held.mark.clone(), self.stack.secret.clone());
                let mut cage = Cage::new(unit.clone(), life, mark, secret, Some(keeper), leader);
                cage.cgroup = held.leaf.take();
                held.cage = Some(cage);
                Some(Event::Started { unit, life, leader })
            }
            FromKeeper::NotStarted { why } => {
                held.emptied = true;
                Some(Event::NotStarted { unit, life, why })
            }
            FromKeeper::Notified => {
                held.notified.send_replace(true);
                None
            }
            FromKeeper::Exited { exit } => {
                if std::mem::replace(&mut held.exit_told, true) {
                    return None;
                }
                let tail = tail_from(&self.dir.log(&unit), &held.log_from, TAIL_LINES);
                Some(Event::Exited { unit, life, exit, tail })
            }
            FromKeeper::Emptied => {
                // No child of the keeper, but somebody was put into the life's cgroup: it is looked for when the keeper
                // has gone.
                let leaf = held.cage.as_ref().and_then(|cage| cage.cgroup.as_ref());
                if leaf.and_then(cgroup::Leaf::populated) == Some(true) {
                    return None;
                }
                held.emptied = true;
                Some(Event::Emptied { target: Target::Life { unit, life } })
            }
        }
    }

    /// Something of a target has ended. With a living keeper only that is worth telling; else this is the only look.
    fn member_ended(&mut self, target: Target) -> Option<Event> {
        self.receipts.look(&target);
        let Target::Life { unit, life } = &target else {
            let (strays, _) = self.strays.as_ref()?;
            if strays.is_empty() {
                return Some(Event::Emptied { target });
            }
            return Some(Event::Stirred { target });
        };
        let lives = Rc::clone(&self.lives);
        let mut lives = lives.borrow_mut();
        let held = lives.get_mut(&(unit.clone(), *life))?;
        if held.orphaned.is_some() {
            return self.look_at_orphaned(held, target);
        }
        let cage = held.cage.as_ref()?;
        keepers::wake(cage);
        // A keeper that has ended too has said all: what it said is on its way, and there is nobody to ask.
        cage.is_kept().then_some(Event::Stirred { target })
    }

    /// Begins what the machine asks for.
    pub(super) fn perform(&mut self, action: Action, stack: &Stack) {
        if matches!(
            action,
            Action::Ask { .. } | Action::Kill { .. } | Action::Seek { .. } | Action::Verify { .. }
        ) {
            self.spare = None;
        }
        match action {
            Action::Start { plan, life } => self.births.push_back((plan, life)),
            Action::WatchGate { unit, life } => self.watch_gate(&(unit, life)),
            Action::WatchHealth { unit, life } => self.watch_health(&(unit, life)),
            Action::Unwatch { unit, life } => {
                if let Some(held) = self.lives.borrow_mut().get_mut(&(unit, life)) {
                    held.probes.drain(..).for_each(|probe| probe.abort());
                }
            }
            Action::Examine { unit, life } => self.examine(unit, life),
            Action::Breach { unit, life, breach } => self.breach(unit, life, breach),
            Action::Confine { plan, life } => self.confine(&plan, life),
            Action::StopCommand { unit, life } => self.stop_command(unit, life),
            Action::Ask { target, signal, grace } => self.ask(&target, signal, grace, stack.cause(&target)),
            Action::Kill { target } => self.kill(&target, stack.cause(&target)),
            Action::Retire { unit, life } => self.retire(&unit, life),
            Action::Seek { beside } => self.seek(beside),
            Action::Verify { units, strays } => self.verify(units.as_deref(), strays, stack),
            Action::Reply { .. } => {}
        }
    }

    /// Receipts of the signals sent since the last call, and what became of those who had them.
    pub(super) fn receipts(&mut self) -> Vec<Entry> {
        self.receipts.take()
    }

    /// Whether lives wait to be begun.
    pub(super) fn has_births(&self) -> bool {
        !self.births.is_empty()
    }

    /// Begins the life that has waited longest.
    pub(super) fn bear_one(&mut self) {
        // One more program to load pays only where several are born.
        if self.nursery.is_none() && self.births.len() > 2 {
            self.nursery = Nursery::open().ok();
        }
        let Some((plan, life)) = self.births.pop_front() else { return };
        self.spare.get_or_insert_with(spare);
        if let Err(why) = self.bear(&plan, life) {
            remove_record(&self.dir, &plan.name, life);
            forget_life(&self.dir, &plan, life, false);
            if let Failure::PortInUse { port, holder } = &*why
                && self.is_for_a_container(holder)
            {
                return self.tell_port_in_use(plan.name.clone(), life, *port, holder.clone());
            }
            self.tell(Event::NotStarted { unit: plan.name.clone(), life, why: *why });
        }
    }

    fn bear(&mut self, plan: &Arc<UnitPlan>, life: Life) -> Result<(), Box<Failure>> {
        // Of a container that is still there: its shim takes it over, or tells whose it is.
        let looked_at = plan.ports.iter().filter(|_| plan.container.is_none());
        if let Some((port, holder)) = self.ports.taken(looked_at.map(|port| port.number)) {
            return Err(Box::new(Failure::PortInUse { port, holder }));
        }
        let unit = plan.name.clone();
        let log_from = Position::now(&self.dir.log(&unit)).unwrap_or_default();
        // Recorded first: a number that was used once must not come back, whatever happens next.
        self.stack.lives.insert(unit.clone(), life);
        let ground = birth::Ground {
            dir: &self.dir,
            stack: &self.stack,
            base: &self.base,
            cgroups: self.cgroups.as_deref(),
            grounds: &self.grounds,
            descriptors: self.descriptors,
        };
        let begun = birth::begin(&ground, plan, life, &mut self.nursery);
        let begun = begun.map_err(|error| Box::new(start_failure(&error)))?;
        let mut held = Held::new(Arc::clone(plan), begun.mark, begun.seal, begun.cgroup, log_from);
        held.keeper = Some(begun.keeper);
        held.bounds = begun.bounds;
        self.hear_shim(&(unit.clone(), life), &mut held);
        self.lives.borrow_mut().insert((unit.clone(), life), held);
        converse((unit, life), begun.socket, Some(begun.spec), self.facts.clone());
        Ok(())
    }

    pub(super) fn tell(&self, event: Event) {
        // The loop outlives its tasks; if it does not, nobody is left to tell.
        let _ = self.facts.send(Fact::Event(event));
    }

    /// The stack with all its processes.
    pub(super) fn look(&self, stack: &Stack) -> StackView {
        let services = stack.view(sys::clock::moment(), super::driver::boot_time());
        let mut services = super::look::dated(services);
        super::look::fill(&mut services, &self.lives.borrow());
        services.extend(super::look::jobs(&self.dir, &self.stack.secret, &self.lives.borrow()));
        StackView {
            stack: self.stack.name.clone(),
            dir: self.stack_facts().dir.to_string_lossy().into_owned(),
            supervisor: i32::try_from(std::process::id()).ok(),
            services,
            strays: Vec::new(),
            warnings: self.warnings.clone(),
            alerts: Vec::new(),
        }
    }

    /// Puts into the ledger who has become ready: a later supervisor need not ask the gate again.
    pub(super) fn note_ready(&self, view: &[UnitView]) {
        let mut lives = self.lives.borrow_mut();
        for unit in view.iter().filter(|unit| matches!(unit.state, State::Ready | State::Unhealthy)) {
            if let Some(held) = lives.get_mut(&(unit.name.clone(), unit.life))
                && !std::mem::replace(&mut held.ready_noted, true)
            {
                let record = self.dir.record(&unit.name, unit.life);
                let _ = append_record(&record, &held.seal, &RecordLine::Ready);
                here(KillPoint::ReadyNoted);
            }
        }
    }

    /// The stack has ended: the last numbers of its lives stay, its cgroups go.
    pub(super) fn bury(&self) {
        // Also what a supervisor has made and was killed before it could write that down.
        let _ = self.cgroups.as_deref().map(cgroup::clear);
        let grounds = self.grounds.get_or_init(|| Grounds::find(&self.dir.hash));
        grounds.stacks().for_each(|dir| drop(cgroup::clear(&dir)));
        let _ = self.dir.write_stack(&self.stack);
    }
}

fn ports_of(plan: &Plan) -> BTreeSet<u16> {
    plan.units.iter().flat_map(|unit| &unit.ports).map(|port| port.number).collect()
}

fn spare() -> Spare {
    let part = (descriptors::limit() / SPARE_PART).min(SPARE);
    Spare::hold(usize::try_from(part).unwrap_or(0))
}

fn start_failure(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOMEM) => {
            Failure::Fork { reason: error.to_string(), crowd: super::look::crowd() }
        }
        Some(libc::EMFILE) => {
            let most = descriptors::limit();
            let reason = format!(
                "the supervisor may have {most} file descriptors, and needs more (ulimit -Hn): {error}"
            );
            Failure::Start { reason }
        }
        Some(libc::ENFILE) => Failure::Start {
            reason: format!("the machine has no file left to open (sysctl fs.file-max): {error}"),
        },
        _ => Failure::Start { reason: error.to_string() },
    }
}
