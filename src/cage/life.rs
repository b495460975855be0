//! The cage of one life, and its members.

use std::collections::BTreeSet;

use crate::cage::census::{Net, gather};
use crate::cage::guard::{Guard, user_of};
use crate::cage::stop::{self, Asked, Prey};
use crate::cage::world::World;
use crate::domain::{Exit, FoundBy, Life, Mark, ProcId, ProcessView, Signal, Survivor, UnitName};
use crate::sys::cgroup::Leaf;
use crate::sys::pidfd::{Pidfd, PidfdError};
use crate::sys::proc::{self, RunState, Stat};

/// How thoroughly members are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Down from the keeper and the leader, and the cgroup: cheap, complete while the keeper lives. Without a keeper
    /// also what the ledger knows.
    Tree,
    /// The whole process table: parentage, cgroup, ledger, sessions, both marks.
    Full,
}

/// A process that is proven to be ours.
#[derive(Clone, Debug)]
pub struct Member {
    /// Which.
    pub id: ProcId,
    /// The process table's line on it.
    pub stat: Stat,
    /// The strongest proof.
    pub found_by: FoundBy,
    /// The unit that it belongs to, if to one that is known.
    pub unit: Option<UnitName>,
    /// Whose child it was, where parentage is the proof: looked at again before a signal.
    pub parent: Option<ProcId>,
    /// The proof in more words than [`FoundBy`] has.
    pub(super) detail: Option<String>,
}

impl Member {
    /// Its command line, or `[name]`; control characters escaped.
    #[must_use]
    pub fn command(&self) -> String {
        proc::command(&self.stat)
    }

    /// Its user, by name.
    #[must_use]
    pub fn user(&self) -> String {
        user_of(self.id.pid.get())
    }

    /// The proof in words.
    #[must_use]
    pub fn evidence(&self) -> String {
        let words = match self.found_by {
            FoundBy::Leader => "the first process of its life",
            FoundBy::Parentage => "a descendant of the service",
            FoundBy::Cgroup => "in the service's cgroup",
            FoundBy::Ledger => "recorded as a member while its parentage could be seen",
            FoundBy::Session => "in a session of the service",
            FoundBy::Mark => "carries the stack's mark",
            FoundBy::Pattern => "matches a sweep pattern",
            FoundBy::Container => "in a container of the stack",
        };
        self.detail.clone().unwrap_or_else(|| words.to_owned())
    }

    /// As `ps` shows it.
    #[must_use]
    pub fn view(&self) -> ProcessView {
        let age = proc::age(self.stat.start);
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "a share in percent needs no more than 52 bits")]
        let seconds = self.stat.cpu_ticks as f64 / proc::clock_ticks() as f64;
        // In its first tick a process may show a full tick of work: below that a share means nothing.
        let cpu_percent = if age_ms < 10 { 0.0 } else { 100.0 * seconds / age.as_secs_f64() };
        ProcessView {
            pid: self.id.pid.get(),
            start: self.id.start,
            ppid: self.stat.ppid,
            pgid: self.stat.pgid,
            sid: self.stat.sid,
            command: self.command(),
            cpu_percent,
            memory_bytes: self.stat.rss,
            age_ms,
            found_by: self.found_by,
        }
    }
}

/// All that is known of one life, living or ended, that ties processes to it.
#[derive(Clone, Debug)]
pub struct Cage {
    /// The unit.
    pub unit: UnitName,
    /// Its life.
    pub life: Life,
    /// The life's mark.
    pub mark: Mark,
    /// The stack's secret.
    pub stack: Mark,
    /// The process that holds the life, if there is one. It is never a member.
    pub keeper: Option<ProcId>,
    /// The first process of the life.
    pub leader: ProcId,
    /// The life's cgroup.
    pub cgroup: Option<Leaf>,
    /// Every member ever seen, of this boot of the machine.
    pub ledger: BTreeSet<ProcId>,
    /// A session that it shares with others: to be in it proves nothing, whoever leads it, and if nobody does any more.
    pub shared_session: Option<i32>,
    /// Processes that must never be signalled whatever proof there is: the client that asked, and its ancestors.
    pub spared: BTreeSet<ProcId>,
    asked: Asked,
}

/// Who of a life is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Each member.
    All,
    /// The leader alone, as long as it lives: its children do what it has asked for, and must not be interrupted.
    Leader,
}

/// What an ask came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskOutcome {
    /// Members that got the signal now, and why each is ours.
    pub heard: Vec<Signalled>,
    /// Members that could not or must not get it, and why; each is told once.
    pub refused: Vec<Signalled>,
}

/// A process that a signal was meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signalled {
    /// Which.
    pub process: ProcId,
    /// Its command line.
    pub command: String,
    /// Why it is ours; or, where it did not get the signal, why not.
    pub why: String,
}

/// What a kill came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KillOutcome {
    /// Who took SIGKILL, and why each is ours.
    pub forced: Vec<Signalled>,
    /// Who lives on, and why.
    pub survivors: Vec<Survivor>,
}

impl Cage {
    /// The cage of a life whose leader has just been born.
    #[must_use]
    pub fn new(
        unit: UnitName,
        life: Life,
        mark: Mark,
        stack: Mark,
        keeper: Option<ProcId>,
        leader: ProcId,
    ) -> Self {
        let (ledger, spared, asked) = (BTreeSet::from([leader]), BTreeSet::new(), Asked::default());
        Self {
            unit,
            life,
            mark,
            stack,
            keeper,
            leader,
            cgroup: None,
            ledger,
            shared_session: None,
            spared,
            asked,
        }
    }

    /// Whether its keeper lives: then its tree is complete, and its `ECHILD` will be the proof of its end.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.keeper.is_some_and(proc::is_alive)
    }

    /// Whether its keeper has ended by itself and well, which it does when the kernel says that nothing is left (`ECHILD`):
    /// a look at the whole machine would say no more. A hundred keepers end in the middle of a hundred kills.
    ///
    /// Only what was not reaped yet tells that. A job is held by a process whose exit means something else.
    fn was_kept_to_the_end(&self) -> bool {
        let exit = self.keeper.filter(|_| self.shared_session.is_none()).and_then(proc::exit_of_zombie);
        exit.is_some_and(Exit::is_success)
    }

    /// The living members, each once, with the strongest proof.
    #[must_use]
    pub fn census(&self, world: &mut World, depth: Depth) -> Vec<Member> {
        gather(&Net { lives: vec![self], stack: None, hearth: None }, world, depth)
    }

    /// Enters members into the ledger; returns those that are new, for the ledger on disk.
    pub fn note(&mut self, members: &[Member]) -> Vec<ProcId> {
        members.iter().map(|member| member.id).filter(|id| self.ledger.insert(*id)).collect()
    }

    /// Sends the signal to each of these members that has not had one yet; stopped ones are woken after it.
    ///
    /// The leader's group gets it as a whole where that reaches members only, everyone else by itself. Call it again
    /// when members have ended or were born: who has had it is left in peace.
    pub fn ask(&mut self, world: &mut World, whom: Whom, signal: Signal) -> AskOutcome {
        let leader = Some(self.leader).filter(|leader| whom == Whom::Leader && proc::is_alive(*leader));
        let mut asked = std::mem::take(&mut self.asked);
        let outcome = stop::ask(self, world, &mut asked, signal, |member| {
            leader.is_none_or(|leader| member.id == leader)
        });
        self.asked = asked;
        outcome
    }

    /// Forgets who has been asked: a new stop begins.
    pub fn forget_asked(&mut self) {
        self.asked = Asked::default();
    }

    /// Freeze, count, SIGKILL, in bounded rounds. Does not wait for the ends: await [`Cage::watch`] or the keeper.
    pub fn kill(&mut self) -> KillOutcome {
        stop::kill(self)
    }

    /// Whether two full looks in a row find no member. With a living keeper its `ECHILD` is the better proof.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        (0..2).all(|_| self.census(&mut World::new(), Depth::Full).is_empty())
    }

    /// The same by two looks that were taken already.
    #[must_use]
    pub fn is_empty_in<'w>(&self, mut looks: impl Iterator<Item = &'w mut World>) -> bool {
        looks.all(|world| self.census(world, Depth::Full).is_empty())
    }

    /// Handles on living members, at most `limit`, to wait for their ends.
    ///
    /// The depth is the caller's to say: a keeper that has just ended in peace is no reason for a look at everything.
    #[must_use]
    pub fn watch(&self, limit: usize, depth: Depth) -> Vec<Pidfd> {
        stop::handles(&self.census(&mut World::new(), depth), limit)
    }

    /// The same by a look that was taken already; none where one of them has ended since: nobody would tell of it.
    #[must_use]
    pub fn watch_in(&self, world: &mut World, limit: usize) -> Option<Vec<Pidfd>> {
        let mut members = self.census(world, Depth::Full);
        members.truncate(limit);
        let handles = stop::handles(&members, limit);
        (handles.len() == members.len()).then_some(handles)
    }

    /// The members that live on, each with the reason.
    #[must_use]
    pub fn survivors(&self) -> Vec<Survivor> {
        stop::survivors(self)
    }

    /// Wakes the keeper where it was stopped (SIGSTOP): its word is the proof of the end. Says whether it was.
    #[must_use]
    pub fn wake_keeper(&self) -> bool {
        let stopped = |id: &ProcId| {
            proc::stat(id.pid.get())
                .is_some_and(|stat| stat.start == id.start && stat.state == RunState::Stopped)
        };
        self.keeper.as_ref().is_some_and(stopped) && self.signal_keeper(Signal::CONT).is_ok()
    }

    /// Whether the keeper lives and does nothing: neither runs nor wants to.
    #[must_use]
    pub fn keeper_idles(&self) -> bool {
        let idle = |id: ProcId| {
            proc::stat(id.pid.get()).is_some_and(|stat| {
                stat.start == id.start && !stat.is_gone() && stat.state != RunState::Running
            })
        };
        self.keeper.is_some_and(idle)
    }

    /// Ends the keeper by SIGKILL: only for one that hangs over an empty cage, or when all else of the stack has ended.
    pub fn end_keeper(&self) -> Result<(), PidfdError> {
        self.signal_keeper(Signal::KILL)
    }

    fn signal_keeper(&self, signal: Signal) -> Result<(), PidfdError> {
        let Some(keeper) = self.keeper else { return Ok(()) };
        let Some(stat) = proc::stat(keeper.pid.get()) else { return Ok(()) };
        let member =
            Member { id: keeper, stat, found_by: FoundBy::Ledger, unit: None, parent: None, detail: None };
        let guard = Guard { ending_machinery: true, ..self.guard() };
        match guard.deliver(&mut World::new(), &member, signal, false) {
            Ok(()) | Err(stop::Denial::Kernel(PidfdError::Gone)) => Ok(()),
            Err(stop::Denial::Kernel(error)) => Err(error),
            Err(stop::Denial::Refused(_)) => Err(PidfdError::NotPermitted),
        }
    }
}

impl Prey for Cage {
    fn look(&self, world: &mut World) -> Vec<Member> {
        let told = self.is_kept() || self.was_kept_to_the_end();
        self.census(world, if told { Depth::Tree } else { Depth::Full })
    }

    fn guard(&self) -> Guard {
        let marks = BTreeSet::from([self.mark.clone(), self.stack.clone()]);
        Guard { marks, spared: self.spared.clone(), ending_machinery: false }
    }

    fn leaves(&self) -> Vec<&Leaf> {
        self.cgroup.iter().collect()
    }

    fn leader(&self) -> Option<ProcId> {
        Some(self.leader)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;
    use crate::domain::Pid;

    /// A cage whose keeper has run this, ended, and was not reaped.
    fn kept_by(script: &str) -> (Cage, std::process::Child) {
        let child = Command::new("/bin/sh").args(["-c", script]).spawn().expect("sh exists");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::new).expect("a pid");
        let keeper = proc::identify(pid).expect("it is not reaped");
        let number = rustix::process::Pid::from_child(&child);
        waitid(WaitId::Pid(number), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("it ends");
        let mark = || Mark::from_random([7; 16]);
        let unit = "a".parse().expect("a name");
        (Cage::new(unit, Life(1), mark(), mark(), Some(keeper), keeper), child)
    }

    #[test]
    fn only_a_keeper_that_has_ended_well_says_that_nothing_is_left() {
        for (script, well) in [("exit 0", true), ("exit 1", false), ("kill -9 $$", false)] {
            let (mut cage, mut child) = kept_by(script);
            assert_eq!((cage.is_kept(), cage.was_kept_to_the_end()), (false, well), "{script}");
            cage.shared_session = Some(1);
            assert!(!cage.was_kept_to_the_end(), "a job");
            cage.shared_session = None;
            child.wait().expect("it is ours");
            assert!(!cage.was_kept_to_the_end(), "reaped: nobody can say");
        }
    }
}
