//! How a set of processes is ended: asked once each, then frozen, counted and killed in rounds.
//!
//! No fork, no thread, and no wait but a few milliseconds for those that sleep in the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cage::guard::{Guard, survivor};
use crate::cage::life::{AskOutcome, KillOutcome, Member, Signalled};
use crate::cage::safety::Verdict;
use crate::cage::world::World;
use crate::domain::{FoundBy, ProcId, Signal, Survivor};
use crate::sys::cgroup::Leaf;
use crate::sys::descriptors;
use crate::sys::pidfd::{Pidfd, PidfdError};
use crate::sys::proc::{self, RunState};
use crate::sys::users;

pub(super) use crate::cage::guard::Denial;

/// Rounds of one kill. A storm of forks that is not held by then is told as survivors; the next kill goes on.
const ROUNDS: u32 = 24;
/// After so many rounds nothing is frozen first any more: what still grows is killed as it is found.
const FREEZING_ROUNDS: u32 = 16;
/// How long one kill waits, all in all, for signals to take effect: they are sent at once and act later. Mostly it is
/// microseconds; a storm of forks on a busy machine takes tens of milliseconds, and giving up there lets one slip away.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long it waits for one that sleeps in the kernel: it may be in the middle of a fork, or wait for its own frozen
/// child (vfork), and that for ever.
const SLEEPER_PATIENCE: Duration = Duration::from_millis(5);

/// Descriptors that a look and a signal take at a time.
const LOOKING: usize = 4;

/// How long a cgroup that cannot be killed as a whole may take to freeze.
const FREEZE_PATIENCE: Duration = Duration::from_millis(100);

/// A set of processes that can be ended.
pub(super) trait Prey {
    /// Its living members now, as thoroughly as needed for none to be missed.
    fn look(&self, world: &mut World) -> Vec<Member>;
    /// What must be known before one is signalled.
    fn guard(&self) -> Guard;
    /// Its cgroups.
    fn leaves(&self) -> Vec<&Leaf>;
    /// The process whose group may be signalled as a whole.
    fn leader(&self) -> Option<ProcId>;
}

/// Who has heard a signal so far, and of whom it was told that they could not.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// Each with whether it was a copy of its parent then.
    heard: BTreeMap<ProcId, bool>,
    refused: BTreeSet<ProcId>,
}

impl Asked {
    /// A copy that has become a program since has not heard it: whatever handler it had was its parent's.
    fn has_heard(&self, member: &Member) -> bool {
        self.heard.get(&member.id).is_some_and(|copy| !copy || member.stat.copy)
    }

    fn note(&mut self, member: &Member) {
        // Looked at again behind the signal: what is a copy even now was one when it came.
        let is_copy = || proc::stat(member.id.pid.get()).is_some_and(|stat| stat.copy);
        self.heard.insert(member.id, member.stat.copy && is_copy());
    }
}

/// See [`crate::cage::Cage::ask`].
pub(super) fn ask(
    prey: &dyn Prey,
    world: &mut World,
    asked: &mut Asked,
    signal: Signal,
    whom: impl Fn(&Member) -> bool,
) -> AskOutcome {
    let guard = prey.guard();
    let mut members = prey.look(world);
    members.retain(whom);
    let mut outcome = AskOutcome::default();
    outcome.heard.extend(ask_group(prey, &guard, world, &members, asked, signal));
    for member in &members {
        // Twice the same signal means "now, without cleaning up" to many programs: once each.
        if asked.has_heard(member) {
            continue;
        }
        // Looked up before: it may be gone right after.
        let told = signalled(member);
        match guard.deliver(world, member, signal, true) {
            Ok(()) => {
                asked.note(member);
                outcome.heard.push(told);
            }
            Err(Denial::Kernel(PidfdError::Gone)) => {}
            // Told once, tried again: what speaks against it may be over when it becomes another program.
            Err(denial) if asked.refused.insert(member.id) => {
                outcome.refused.push(Signalled { why: denial.to_string(), ..told });
            }
            Err(_) => {}
        }
    }
    // As SIGCONT after the signal, for a cgroup that somebody froze; one that is gone holds nobody.
    prey.leaves().into_iter().for_each(|leaf| drop(leaf.thaw()));
    outcome
}

fn signalled(member: &Member) -> Signalled {
    Signalled { process: member.id, command: member.command(), why: member.evidence() }
}

/// Signals the leader's group in one call, as a terminal would, if that reaches proven members only. Says who had it.
fn ask_group(
    prey: &dyn Prey,
    guard: &Guard,
    world: &mut World,
    members: &[Member],
    asked: &mut Asked,
    signal: Signal,
) -> Vec<Signalled> {
    let Some(leader) = prey.leader().filter(|leader| members.iter().any(|member| member.id == *leader))
    else {
        return Vec::new();
    };
    let group: Vec<&Member> = members.iter().filter(|member| member.stat.pgid == leader.pid.get()).collect();
    let root = users::own_uid() == 0;
    let each_may = |world: &mut World| {
        group.iter().all(|member| {
            let own = root || proc::uid(member.id.pid.get()) == Some(users::own_uid());
            own && !asked.has_heard(member) && guard.verdict(world, member) == Verdict::Yes
        })
    };
    // A whole look shows outsiders in the group. A look at the tree only is taken under a living keeper: there the
    // group lies in the leader's session, and the session in the tree.
    let outsider = world.all().any(|stat| {
        stat.pgid == leader.pid.get() && !group.iter().any(|member| Some(member.id) == stat.id())
    });
    if group.len() < 2 || outsider || !each_may(world) {
        return Vec::new();
    }
    let told = group.iter().map(|member| signalled(member)).collect();
    let sent = Pidfd::open(leader).and_then(|handle| handle.send_group(signal));
    if sent.is_err() {
        // An older kernel, or the leader ended just now: everyone is asked singly.
        return Vec::new();
    }
    for member in &group {
        asked.note(member);
    }
    for stopped in group.iter().filter(|member| member.stat.state == RunState::Stopped) {
        // A failure shows as a member that lives on; the grace and SIGKILL follow.
        let _ = guard.deliver(world, stopped, Signal::CONT, false);
    }
    told
}

/// One kill at work.
struct Hunt<'a> {
    prey: &'a dyn Prey,
    guard: Guard,
    frozen: BTreeMap<ProcId, (Member, String)>,
    killed: BTreeMap<ProcId, (Member, String)>,
    denied: BTreeMap<ProcId, (Member, String, Denial)>,
    /// Killed just now: what had not stopped may bear one more until the signal acts.
    running: Vec<ProcId>,
    patience: Duration,
}

/// See [`crate::cage::Cage::kill`].
pub(super) fn kill(prey: &dyn Prey) -> KillOutcome {
    let (frozen, killed, denied) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (guard, running) = (prey.guard(), Vec::new());
    let mut hunt = Hunt { prey, guard, frozen, killed, denied, running, patience: PATIENCE };
    hunt.kill_leaves();
    let mut quiet = 0;
    for round in 0..ROUNDS {
        let mut world = World::new();
        let fresh = hunt.fresh(&mut world);
        if !fresh.is_empty() {
            quiet = 0;
            // Under a keeper a lone process need not be frozen: what it bears meanwhile stays in the tree.
            let many = fresh.len() > 1 || !hunt.frozen.is_empty();
            let freeze = round < FREEZING_ROUNDS && (world.is_whole() || many);
            let batch: Vec<ProcId> = fresh.iter().map(|member| member.id).collect();
            for member in fresh {
                hunt.hit(&mut world, member, freeze);
            }
            // The next look counts only if nobody bears children behind its back.
            hunt.await_effects(&batch);
        } else if !hunt.frozen.is_empty() {
            quiet = 0;
            hunt.kill_frozen(&mut world);
            hunt.await_effects(&[]);
        } else if quiet == 1 {
            break;
        } else {
            quiet += 1;
        }
    }
    // Nothing may be left frozen, whatever the number of rounds.
    hunt.kill_frozen(&mut World::new());
    hunt.outcome()
}

impl Hunt<'_> {
    /// Members that nothing was done to yet.
    fn fresh(&self, world: &mut World) -> Vec<Member> {
        let mut members = self.prey.look(world);
        members.retain(|member| {
            let id = &member.id;
            !(self.frozen.contains_key(id) || self.killed.contains_key(id) || self.denied.contains_key(id))
        });
        members
    }

    /// The kernel's own way, complete whatever forks meanwhile; only where each process in the cgroup may be ended.
    fn kill_leaves(&mut self) {
        for leaf in self.prey.leaves() {
            let mut world = World::new();
            let members = self.inside(leaf, &mut world);
            let may = |member: &Member| self.guard.verdict(&mut world, member) == Verdict::Yes;
            // One that may not be ended saves the others from this way only: they are frozen and killed one by one.
            if members.is_empty() || !members.iter().all(may) {
                continue;
            }
            let commands: Vec<String> = members.iter().map(Member::command).collect();
            if leaf.kill().is_ok() {
                let told = members.into_iter().zip(commands);
                self.killed.extend(told.map(|(member, command)| (member.id, (member, command))));
            } else if leaf.freeze(FREEZE_PATIENCE).is_ok() {
                // Nothing in it can bear another now; SIGKILL reaches the frozen too.
                for member in self.inside(leaf, &mut World::new()) {
                    self.hit(&mut World::new(), member, false);
                }
                // Whoever could not be killed must not stay frozen; a leaf that is gone by now holds nobody.
                let _ = leaf.thaw();
            }
        }
    }

    /// Every process in a cgroup. Under a living keeper a look goes down the tree only: who was put in from outside is
    /// missing there, and the kernel would kill it with the rest.
    fn inside(&self, leaf: &Leaf, world: &mut World) -> Vec<Member> {
        let inside: BTreeSet<i32> = leaf.procs().into_iter().collect();
        if inside.is_empty() {
            return Vec::new();
        }
        let mut members = self.prey.look(world);
        members.retain(|member| inside.contains(&member.id.pid.get()));
        let known: BTreeSet<i32> = members.iter().map(|member| member.id.pid.get()).collect();
        let unit = members.first().and_then(|member| member.unit.clone());
        for pid in inside.difference(&known) {
            let stat = world.stat(*pid).filter(|stat| !stat.is_gone()).cloned();
            if let Some((id, stat)) = stat.and_then(|stat| Some((stat.id()?, stat))) {
                let (unit, found_by) = (unit.clone(), FoundBy::Cgroup);
                members.push(Member { id, stat, found_by, unit, parent: None, detail: None });
            }
        }
        members
    }

    fn hit(&mut self, world: &mut World, member: Member, freeze: bool) {
        let command = member.command();
        let signal = if freeze { Signal::STOP } else { Signal::KILL };
        match self.guard.deliver(world, &member, signal, false) {
            Ok(()) if freeze => {
                self.frozen.insert(member.id, (member, command));
            }
            Ok(()) => {
                self.running.push(member.id);
                self.killed.insert(member.id, (member, command));
            }
            Err(Denial::Kernel(PidfdError::Gone)) => {}
            Err(denial) => {
                self.denied.insert(member.id, (member, command, denial));
            }
        }
    }

    fn kill_frozen(&mut self, world: &mut World) {
        for (id, (member, command)) in std::mem::take(&mut self.frozen) {
            match self.guard.deliver(world, &member, Signal::KILL, false) {
                Ok(()) => {
                    self.running.push(id);
                    self.killed.insert(id, (member, command));
                }
                Err(Denial::Kernel(PidfdError::Gone)) => {}
                Err(denial) => {
                    // It was frozen by us and may not be ended: it must not stay frozen.
                    let _ = self.guard.deliver(world, &member, Signal::CONT, false);
                    self.denied.insert(id, (member, command, denial));
                }
            }
        }
    }

    /// Waits until this batch of the frozen has stopped and those killed just now have ended: a fork that was under way
    /// when the signal came is finished first, and its child would be missed by a look taken now.
    fn await_effects(&mut self, batch: &[ProcId]) {
        let begun = Instant::now();
        let end = begun + self.patience;
        for id in batch.iter().filter(|id| self.frozen.contains_key(id)) {
            // No descriptor tells of a stop; it takes microseconds, on a busy machine a turn of the scheduler.
            let mut asleep_since = None;
            while let Some(state) = still_acts(*id) {
                let now = Instant::now();
                // Sleep counts in one piece: a disk read in the middle of a fork is over soon, and then it acts.
                asleep_since =
                    if state == RunState::Uninterruptible { asleep_since.or(Some(now)) } else { None };
                let hangs = asleep_since.is_some_and(|since| now - since > SLEEPER_PATIENCE);
                if hangs || now >= end {
                    break;
                }
                std::thread::yield_now();
            }
        }
        for id in self.running.drain(..) {
            // One that sleeps in the kernel may not end at all, and must not use up the patience for the others.
            let end = if in_deep_sleep(id) { end.min(Instant::now() + SLEEPER_PATIENCE) } else { end };
            await_end(id, end);
        }
        self.patience = self.patience.saturating_sub(begun.elapsed());
    }

    fn outcome(self) -> KillOutcome {
        // State D lasts a moment for any program that uses a disk: only what stays in it is told as a survivor.
        let end = Instant::now() + self.patience.min(SLEEPER_PATIENCE * 2);
        self.killed.keys().filter(|id| in_deep_sleep(**id)).for_each(|id| await_end(*id, end));
        let mut survivors: Vec<Survivor> = Vec::new();
        for (id, (member, command, denial)) in self.denied {
            if proc::is_alive(id) {
                survivors.push(survivor(&member, command, denial.to_string()));
            }
        }
        for (id, (member, command)) in &self.killed {
            if in_deep_sleep(*id) {
                survivors.push(survivor(member, command.clone(), DEEP_SLEEP.to_owned()));
            }
        }
        let told = |(process, (member, command)): (ProcId, (Member, String))| Signalled {
            process,
            command,
            why: member.evidence(),
        };
        let forced = self.killed.into_iter().map(told).collect();
        KillOutcome { forced, survivors }
    }
}

const DEEP_SLEEP: &str = "in uninterruptible sleep (state D)";

fn in_deep_sleep(id: ProcId) -> bool {
    let stat = proc::stat(id.pid.get());
    stat.is_some_and(|stat| stat.start == id.start && stat.state == RunState::Uninterruptible)
}

/// The state of a process that was told to stop and may still bear children.
fn still_acts(id: ProcId) -> Option<RunState> {
    let stat = proc::stat(id.pid.get()).filter(|stat| stat.start == id.start && !stat.is_gone())?;
    let stopped = matches!(stat.state, RunState::Stopped | RunState::Traced);
    (!stopped).then_some(stat.state)
}

/// Waits for the end of a process, at most until `end`.
fn await_end(id: ProcId, end: Instant) {
    let Ok(handle) = Pidfd::open(id) else { return };
    let left = end.saturating_duration_since(Instant::now());
    let mut fds = [PollFd::new(&handle, PollFlags::IN)];
    // Its end or the end of our patience: whoever asked looks again, so the answer does not matter.
    let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) }));
}

/// Handles on these members, as far as they still run and enough descriptors are left for the looks that follow.
pub(super) fn handles(members: &[Member], limit: usize) -> Vec<Pidfd> {
    let mut handles: Vec<Pidfd> =
        members.iter().filter_map(|member| Pidfd::open(member.id).ok()).take(limit).collect();
    while !handles.is_empty() && descriptors::can_open(LOOKING).is_err() {
        handles.pop();
    }
    handles
}

/// See [`crate::cage::Cage::survivors`].
pub(super) fn survivors(prey: &dyn Prey) -> Vec<Survivor> {
    let (guard, mut world) = (prey.guard(), World::new());
    let members = prey.look(&mut world);
    members
        .iter()
        .map(|member| survivor(member, member.command(), reason(&guard, &mut world, member)))
        .collect()
}

/// Why a member lives on after a stop.
pub(super) fn reason(guard: &Guard, world: &mut World, member: &Member) -> String {
    if let Verdict::No(refusal) = guard.verdict(world, member) {
        return refusal.to_string();
    }
    let foreign = users::own_uid() != 0 && proc::uid(member.id.pid.get()) != Some(users::own_uid());
    if foreign {
        return PidfdError::NotPermitted.to_string();
    }
    match member.stat.state {
        RunState::Uninterruptible => DEEP_SLEEP.to_owned(),
        _ => "still running".to_owned(),
    }
}
