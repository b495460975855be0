//! A simulated world: processes with habits, a kernel that gives numbers away again, messengers that lag.

mod performer;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use performer::covered;

/// Small, fast, and the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True in `percent` of the cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(super) type LifeKey = (UnitName, Life);

/// To whom a process belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    Life(LifeKey),
    /// Out of every cage; it may still carry a unit's mark.
    Stray(Option<UnitName>),
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
struct Process {
    id: ProcId,
    owner: Owner,
    asked: bool,
    deaf: bool,
    /// Owned by somebody else: no signal arrives.
    untouchable: bool,
    /// So often it forks when it is asked to end, and when it is killed.
    stubborn: u64,
    /// The first search does not see it.
    hidden: bool,
}

/// What a life does, drawn anew for each.
#[derive(Clone, Debug)]
struct Habit {
    ready_after: Option<u64>,
    foreign: bool,
    dies_after: Option<(u64, Exit)>,
    keeper_dies_after: Option<u64>,
    sick_after: Option<u64>,
    escapes: bool,
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Cage {
    plan: Arc<UnitPlan>,
    leader: u64,
    habit: Habit,
    born: u64,
    keeper: bool,
    gate: bool,
    health: bool,
    exited: Option<Exit>,
    emptied: bool,
    retired: bool,
}

/// What happens at a moment.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Tell(Box<Event>),
    /// The client does the n-th thing of its list.
    Client(usize),
    Spawn(Arc<UnitPlan>, Life),
    Dies(u64, Exit),
    Forks(u64),
    KeeperDies(LifeKey),
    Probe(LifeKey, usize),
    Check(LifeKey),
    CommandEnds(LifeKey),
}

pub(super) struct World {
    pub(super) now: u64,
    pub(super) rng: Rng,
    /// 0: everything behaves; 3: nothing does.
    wild: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    count: u64,
    /// The last delivery on each channel: one unit's messages stay in order, different units' do not.
    channels: BTreeMap<String, u64>,
    processes: BTreeMap<u64, Process>,
    cages: BTreeMap<LifeKey, Cage>,
    sought: BTreeSet<u64>,
    swept_told: bool,
    searches: u64,
    pub(super) held_port: bool,
    /// Answers that are on their way.
    pub(super) owed: BTreeMap<String, u64>,
    pub(super) lifetimes: u64,
    /// Something could not be ended by anybody: "clean" cannot be demanded.
    pub(super) tainted: bool,
}

impl World {
    pub(super) fn new(seed: u64, wild: u64) -> Self {
        Self {
            now: 1000,
            rng: Rng(seed),
            wild,
            queue: BTreeMap::new(),
            count: 0,
            channels: BTreeMap::new(),
            processes: BTreeMap::new(),
            cages: BTreeMap::new(),
            sought: BTreeSet::new(),
            swept_told: true,
            searches: 0,
            held_port: false,
            owed: BTreeMap::new(),
            lifetimes: 0,
            tainted: false,
        }
    }

    pub(super) fn next_time(&self) -> Option<u64> {
        self.queue.keys().next().map(|key| key.0)
    }

    /// The next happening, with time moved on to it.
    pub(super) fn pop(&mut self) -> Option<Happening> {
        let ((at, _), happening) = self.queue.pop_first()?;
        self.now = self.now.max(at);
        Some(happening)
    }

    pub(super) fn schedule(&mut self, at: u64, happening: Happening) {
        self.count += 1;
        self.queue.insert((at, self.count), happening);
    }

    fn soon(&mut self, within: u64, happening: Happening) {
        let at = self.now + self.rng.below(within);
        self.schedule(at, happening);
    }

    /// Sends an event on its way: mostly fast, sometimes not.
    fn tell(&mut self, channel: &str, event: Event) {
        // A look at everything takes its time, and is old when it arrives.
        let slow = channel == "verify" || self.rng.chance(3 + 3 * self.wild);
        let lag = if slow { 300 } else { 8 };
        let at = self.now + self.rng.below(lag);
        let last = self.channels.entry(channel.to_owned()).or_default();
        *last = at.max(*last);
        let at = *last;
        self.schedule(at, Happening::Tell(Box::new(event)));
    }

    fn owe(&mut self, what: String) {
        *self.owed.entry(what).or_default() += 1;
    }

    /// An answer has arrived.
    pub(super) fn paid(&mut self, event: &Event) {
        let what = match event {
            Event::Started { unit, life, .. } | Event::NotStarted { unit, life, .. } => {
                format!("start {unit} {life}")
            }
            Event::Examined { unit, life, .. } => format!("examine {unit} {life}"),
            Event::Killed { target, .. } => format!("kill {target:?}"),
            Event::Sought { .. } => "seek".to_owned(),
            Event::Verified { .. } => "verify".to_owned(),
            _ => return,
        };
        if let Some(count) = self.owed.get_mut(&what) {
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn is_owed(&self, what: &str) -> bool {
        self.owed.get(what).is_some_and(|count| *count > 0)
    }

    fn members(&self, key: &LifeKey) -> Vec<u64> {
        let mine = |process: &&Process| matches!(&process.owner, Owner::Life(owner) if owner == key);
        self.processes.iter().filter(|(_, process)| mine(process)).map(|(serial, _)| *serial).collect()
    }

    /// Whether any process of the unit's lives is alive; those that nobody can end count where `all`.
    pub(super) fn lives(&self, unit: &UnitName, all: bool) -> bool {
        self.processes.values().any(|process| {
            matches!(&process.owner, Owner::Life(owner) if owner.0 == *unit) && (all || !process.untouchable)
        })
    }

    /// Whether anything at all of these units (none: of the stack) is alive.
    pub(super) fn anything(&self, units: Option<&BTreeSet<UnitName>>) -> bool {
        self.processes.values().any(|process| covered(&process.owner, units))
    }

    fn birth(&mut self, owner: Owner) -> u64 {
        // The lowest free number: what has just ended is given away at once.
        let taken: BTreeSet<i32> = self.processes.values().map(|process| process.id.pid.get()).collect();
        let pid = (2..100_000).find(|pid| !taken.contains(pid)).and_then(Pid::new).expect("a free number");
        self.count += 1;
        let wild = self.wild;
        let process = Process {
            id: ProcId { pid, start: self.count },
            owner,
            asked: false,
            deaf: self.rng.chance(10 * wild),
            untouchable: self.rng.chance(wild.saturating_sub(1)),
            stubborn: if self.rng.chance(8 * wild) { self.rng.below(4) } else { 0 },
            hidden: self.rng.chance(20),
        };
        self.tainted |= process.untouchable;
        self.processes.insert(self.count, process);
        self.count
    }

    fn fork(&mut self, parent: u64) {
        let Some(process) = self.processes.get(&parent) else { return };
        let owner = process.owner.clone();
        let left = process.stubborn;
        let child = self.birth(owner.clone());
        if let Some(process) = self.processes.get_mut(&child) {
            process.stubborn = left.saturating_sub(1);
            process.untouchable = false;
        }
        if let Owner::Stray(_) = owner {
            self.sought.insert(child);
        }
        self.stir(&owner);
    }

    fn stir(&mut self, owner: &Owner) {
        match owner {
            Owner::Life((unit, life)) => {
                let target = Target::Life { unit: unit.clone(), life: *life };
                self.tell(unit.as_str(), Event::Stirred { target });
            }
            Owner::Stray(_) => self.tell("strays", Event::Stirred { target: Target::Strays }),
        }
    }

    fn death(&mut self, serial: u64, exit: Exit) {
        let Some(process) = self.processes.remove(&serial) else { return };
        let Owner::Life(key) = &process.owner else {
            self.stir(&process.owner);
            self.strays_empty();
            return;
        };
        let rest = self.members(key);
        let Some(cage) = self.cages.get_mut(key) else { return };
        let (keeper, leader) = (cage.keeper, cage.leader == serial);
        if leader {
            cage.exited = Some(exit);
            let silent = !keeper && rest.is_empty() && self.rng.chance(50);
            if !silent {
                let exit = if keeper { exit } else { Exit::Unknown };
                let event = Event::Exited { unit: key.0.clone(), life: key.1, exit, tail: Vec::new() };
                self.tell(key.0.as_str(), event);
            }
        } else {
            self.stir(&process.owner);
        }
        if rest.is_empty() {
            self.empty(key);
        }
    }

    fn empty(&mut self, key: &LifeKey) {
        let Some(cage) = self.cages.get_mut(key) else { return };
        if !cage.emptied {
            cage.emptied = true;
            self.tell(
                key.0.as_str(),
                Event::Emptied { target: Target::Life { unit: key.0.clone(), life: key.1 } },
            );
        }
    }

    fn strays_empty(&mut self) {
        if !self.swept_told && !self.sought.iter().any(|serial| self.processes.contains_key(serial)) {
            self.swept_told = true;
            self.tell("strays", Event::Emptied { target: Target::Strays });
        }
    }

    fn habit(&mut self, plan: &UnitPlan) -> Habit {
        let wild = self.wild;
        let rng = &mut self.rng;
        let exit = match rng.below(4) {
            0 => Exit::Code(0),
            1 => Exit::Signal(Signal::KILL),
            _ => Exit::Code(1),
        };
        let dies_after = match plan.kind {
            UnitKind::Task if rng.chance(8 * wild) => Some((rng.below(500), exit)),
            UnitKind::Task => Some((rng.below(500), Exit::Code(0))),
            UnitKind::Service | UnitKind::Job if rng.chance(15 * wild) => Some((rng.below(4000), exit)),
            UnitKind::Service | UnitKind::Job => None,
        };
        Habit {
            ready_after: (!rng.chance(4 * wild)).then(|| rng.below(800)),
            foreign: rng.chance(2 * wild),
            dies_after,
            keeper_dies_after: rng.chance(6 * wild).then(|| rng.below(4000)),
            sick_after: rng.chance(15 * wild).then(|| rng.below(5000)),
            escapes: rng.chance(30),
        }
    }

    /// Something of the world itself happens.
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tell(_) | Happening::Client(_) => unreachable!("the driver's"),
            Happening::Spawn(plan, life) => self.spawn(plan, life),
            Happening::Dies(serial, exit) => self.death(serial, exit),
            Happening::Forks(serial) => self.fork(serial),
            Happening::KeeperDies(key) => self.keeper_dies(&key),
            Happening::Probe(key, probe) => self.probe(key, probe),
            Happening::Check(key) => self.check(key),
            Happening::CommandEnds((unit, life)) => {
                let leader = self.cages.get(&(unit.clone(), life)).map(|cage| cage.leader);
                if let (Some(leader), true) = (leader, self.rng.chance(50)) {
                    self.death(leader, Exit::Code(0));
                }
                let event = Event::StopCommandEnded { unit: unit.clone(), life, exit: Exit::Code(0) };
                self.tell(unit.as_str(), event);
            }
        }
    }

    fn spawn(&mut self, plan: Arc<UnitPlan>, life: Life) {
        let unit = plan.name.clone();
        if self.rng.chance(4 * self.wild) {
            let why = Failure::Start { reason: "no".to_owned() };
            self.tell(unit.as_str(), Event::NotStarted { unit: unit.clone(), life, why });
            return;
        }
        self.lifetimes += 1;
        let key = (unit.clone(), life);
        let leader = self.birth(Owner::Life(key.clone()));
        for _ in 0..self.rng.below(3) {
            let _ = self.birth(Owner::Life(key.clone()));
        }
        let habit = self.habit(&plan);
        if let Some((after, exit)) = habit.dies_after {
            self.schedule(self.now + after, Happening::Dies(leader, exit));
        }
        if let Some(after) = habit.keeper_dies_after {
            self.schedule(self.now + after, Happening::KeeperDies(key.clone()));
        }
        if self.rng.chance(20) {
            self.soon(2000, Happening::Forks(leader));
        }
        let born = self.now;
        let cage = Cage {
            plan,
            leader,
            habit,
            born,
            keeper: true,
            gate: false,
            health: false,
            exited: None,
            emptied: false,
            retired: false,
        };
        self.cages.insert(key, cage);
        let leader = self.processes[&leader].id;
        self.tell(unit.as_str(), Event::Started { unit: unit.clone(), life, leader });
    }

    fn keeper_dies(&mut self, key: &LifeKey) {
        let members = self.members(key);
        let Some(cage) = self.cages.get_mut(key) else { return };
        cage.keeper = false;
        let (leader, escapes) = (cage.leader, cage.habit.escapes);
        let candidate = members.into_iter().find(|serial| *serial != leader);
        if let Some(serial) = candidate.filter(|_| escapes)
            && let Some(process) = self.processes.get_mut(&serial)
        {
            process.owner = Owner::Stray(Some(key.0.clone()));
            if self.members(key).is_empty() {
                self.empty(key);
            }
        }
    }

    fn probe(&mut self, key: LifeKey, probe: usize) {
        let Some(cage) = self.cages.get(&key) else { return };
        if !cage.gate || cage.exited.is_some() {
            return;
        }
        let held = cage.habit.ready_after.is_some_and(|after| self.now >= cage.born + after);
        let answer = match (cage.habit.foreign, held) {
            (true, _) => Answer::Foreign { port: 1, holder: holder() },
            (false, true) => Answer::Good,
            (false, false) => bad("503"),
        };
        self.tell(key.0.as_str(), Event::Gated { unit: key.0.clone(), life: key.1, probe, answer });
        if !held {
            self.soon(200, Happening::Probe(key, probe));
        }
    }

    fn check(&mut self, key: LifeKey) {
        let Some(cage) = self.cages.get(&key) else { return };
        let Some(plan) = cage.plan.health.as_ref().filter(|_| cage.health && cage.exited.is_none()) else {
            return;
        };
        let interval = words::millis(plan.interval);
        // Sick for a second, then well for three, with a bad answer now and then: it can heal.
        let flicker = self.rng.chance(15);
        let sick = cage.habit.sick_after.is_some_and(|after| {
            let since = self.now.checked_sub(cage.born + after);
            flicker || since.is_some_and(|since| since % 4000 < 1000)
        });
        let answer = if sick { bad("500") } else { Answer::Good };
        self.tell(key.0.as_str(), Event::Checked { unit: key.0.clone(), life: key.1, answer });
        self.schedule(self.now + interval, Happening::Check(key));
    }

    /// Somebody starts a process by hand that a sweep should find.
    pub(super) fn stray(&mut self) {
        let _ = self.birth(Owner::Stray(None));
    }

    /// The supervisor dies: what was on its way to it is lost. What a new one finds alive.
    pub(super) fn supervisor_dies(&mut self) -> Vec<Adopted> {
        self.queue.retain(|_, happening| match happening {
            Happening::Tell(_) | Happening::Probe(..) | Happening::Check(_) | Happening::Spawn(..) => false,
            Happening::Client(_)
            | Happening::Dies(..)
            | Happening::Forks(_)
            | Happening::KeeperDies(_)
            | Happening::CommandEnds(_) => true,
        });
        self.owed.clear();
        self.swept_told = true;
        let mut found = Vec::new();
        let keys: Vec<LifeKey> = self.cages.keys().cloned().collect();
        for key in keys {
            let alive = !self.members(&key).is_empty();
            let Some(cage) = self.cages.get_mut(&key) else { continue };
            (cage.gate, cage.health) = (false, false);
            if !alive {
                continue;
            }
            let ready = cage.habit.ready_after.is_some_and(|after| self.now >= cage.born + after);
            let leader = self.processes.get(&cage.leader).map_or(process(2), |process| process.id);
            found.push(Adopted {
                plan: UnitPlan::clone(&cage.plan),
                life: key.1,
                leader,
                exit: cage.exited,
                ready,
                started: Moment(cage.born),
            });
        }
        found
    }
}

fn holder() -> PortHolder {
    PortHolder {
        process: None,
        command: String::new(),
        user: "x".to_owned(),
        dir: None,
        age_ms: None,
        stack: None,
    }
}
