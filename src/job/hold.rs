//! Holding a job: one wait for all that can happen, until the kernel says that nothing of its tree is left.

use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::gauge::{Gauge, Peaks, spare_machinery};
use super::limits::Limiter;
use super::receipts::Receipts;
use crate::cage::{Depth, KillOutcome, Member, World};
use crate::domain::{self, Breach, Exit, Moment, OnBreach, OutOfMemory, Pid, ProcId, Resource, Signal};
use crate::keeper::{Census, Ending, FromKeeper, Record, Sent, Talk};
use crate::store::RecordLine;
use crate::sys::clock;
use crate::sys::reaper::{self, Reaped};
use crate::sys::signals::{Signals, Told, stop_self};
use crate::sys::terminal::{Group, Terminal};

/// What still lives so long after SIGKILL is told, not waited for.
const HOPELESS: Duration = Duration::from_secs(5);

/// What came of a command.
#[derive(Debug)]
pub struct Outcome {
    /// How the command itself ended.
    pub exit: Exit,
    /// How long it ran.
    pub took: Duration,
    /// The most that it took.
    pub peaks: Peaks,
    /// What it left behind.
    pub left: Vec<Left>,
    /// Why it was ended, where it did not end by itself.
    pub why: Option<Why>,
    /// What it took more of than it may.
    pub breaches: Vec<Breach>,
    /// What the kernel has ended of it.
    pub out_of_memory: Option<OutOfMemory>,
}

/// A process that was there when the command had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub process: ProcId,
    /// Its command line.
    pub command: String,
    /// It lives on: it could not be ended.
    pub survives: bool,
}

/// Why a command was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its time was over.
    TimedOut,
    /// This signal was sent to `devstack run`.
    Asked(Signal),
    /// It took more than it may: the last of its breaches.
    Over,
}

/// A running job, as the process sees it that holds it.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) leader: Pid,
    /// How the leader ended, and when.
    pub(super) exit: Option<(Exit, Moment)>,
    pub(super) begun: Moment,
    pub(super) deadline: Option<Moment>,
    pub(super) grace: Duration,
    pub(super) signals: Signals,
    pub(super) talk: Talk,
    pub(super) record: Record,
    pub(super) census: Census,
    pub(super) ending: Ending,
    pub(super) gauge: Gauge,
    pub(super) limiter: Limiter,
    pub(super) breaches: Vec<Breach>,
    pub(super) group: Group,
    pub(super) terminal: Option<Terminal>,
    pub(super) why: Option<Why>,
    pub(super) receipts: Receipts,
    pub(super) left: Vec<Left>,
}

impl Hold {
    /// Returns when nothing of the job is left, or what is left cannot be ended.
    pub(super) fn until_empty(mut self) -> Outcome {
        loop {
            self.wait();
            let mut stirred = false;
            for told in self.signals.take_each() {
                stirred |= told.signal.number() == libc::SIGCHLD;
                self.heed(told);
            }
            if stirred && self.reap_all() {
                break;
            }
            self.limit();
            self.hold_to_limits();
            self.end_leftovers();
            if let Some(sent) = self.ending.act(stirred) {
                self.note(sent);
            }
            if self.exit.is_some() && self.is_done() {
                break;
            }
            self.talk.accept();
            self.census.look_when_due(&mut self.record);
        }
        self.end()
    }

    fn wait(&mut self) {
        let mut asked = vec![self.signals.as_fd(), self.talk.listener.as_fd()];
        asked.extend(self.talk.peers.iter().map(|peer| peer.as_fd()));
        let mut fds: Vec<_> = asked.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let limit = self.deadline.filter(|_| self.exit.is_none()).map(|at| at.since(clock::moment()));
        let measured = self.limiter.wait().filter(|_| self.exit.is_none());
        let waits = [self.ending.wait(), limit, measured, Some(self.census.wait()), Some(self.gauge.wait())];
        let wait = waits.into_iter().flatten().min().unwrap_or_default();
        // A moment is told in milliseconds: one more, so that the deadline has passed when the wait is over.
        let timeout = Timespec::try_from(wait + Duration::from_millis(1)).ok();
        // An interrupted wait comes back with the signal's byte next time.
        let _ = poll(&mut fds, timeout.as_ref());
        let stirred = |at: usize| fds.get(at + 2).is_some_and(|fd| !fd.revents().is_empty());
        let peers: Vec<usize> = (0..self.talk.peers.len()).rev().filter(|at| stirred(*at)).collect();
        // The last one first: indices must stay true.
        for at in peers {
            self.talk.hear(at);
        }
    }

    fn heed(&mut self, told: Told) {
        let Told { signal, of_kernel } = told;
        let leads = self.exit.is_none();
        // The terminal has told the command as well: they are of one group.
        let heard = of_kernel && leads && self.group == Group::Shared;
        match signal.number() {
            libc::SIGCHLD => self.heed_stop(),
            libc::SIGCONT => self.go_on(),
            libc::SIGTERM | libc::SIGHUP if heard => {}
            libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP if leads => {
                if !heard {
                    self.pass_on(signal);
                }
            }
            libc::SIGUSR1 | libc::SIGUSR2 if leads => reaper::signal_unreaped(self.leader, signal),
            libc::SIGTSTP | libc::SIGUSR1 | libc::SIGUSR2 => {}
            // Also Ctrl-C while what the command has left behind is asked to end.
            _ if self.ending.has_begun() => {
                let sent = self.ending.force();
                self.note(sent);
            }
            _ => self.begin_end(Why::Asked(signal), signal),
        }
    }

    /// To the command and, where it has a group of its own, to that: as a terminal would do.
    fn pass_on(&self, signal: Signal) {
        match self.group {
            Group::Session | Group::Own => reaper::signal_unreaped_group(self.leader, signal),
            Group::Shared => reaper::signal_unreaped(self.leader, signal),
        }
    }

    fn begin_end(&mut self, why: Why, signal: Signal) {
        self.why = self.why.or(Some(why));
        // Whoever takes it over ends it.
        let _ = self.record.append(&RecordLine::Ending);
        spare_machinery(self.ending.cage());
        let sent = self.ending.begin(signal, self.grace);
        self.note(sent);
    }

    /// Into the journal, with the reason for which the job is being ended.
    fn note(&mut self, sent: Sent) {
        let why = match self.why {
            Some(Why::Asked(_)) => domain::Why::Request,
            Some(Why::TimedOut | Why::Over) => domain::Why::Breach,
            None => domain::Why::LeftBehind,
        };
        self.receipts.sent(sent, why);
    }

    fn limit(&mut self) {
        let over = self.deadline.is_some_and(|deadline| clock::moment() >= deadline);
        if over && self.exit.is_none() && !self.ending.has_begun() {
            self.begin_end(Why::TimedOut, Signal::TERM);
        }
    }

    /// Looks at what it takes. The process that takes too much is ended, or all of the job where that is the command itself.
    fn hold_to_limits(&mut self) {
        let (wanted, most) = (self.limiter.is_due(), self.limiter.memory_limit());
        let usage = self.gauge.look_when_due(self.ending.cage(), wanted, most);
        if self.exit.is_some() || self.ending.has_begun() || !wanted {
            return;
        }
        let life = self.ending.cage().life;
        let breaches = usage.map(|usage| self.limiter.judge(&usage, self.ending.cage()));
        for breach in breaches.into_iter().flatten() {
            let culprit = breach.culprit.as_ref().filter(|_| breach.action == OnBreach::KillCulprit);
            if let Some(culprit) = culprit {
                let whole = breach.resource == Resource::Pids;
                let killed = self.ending.cage().kill_branch(culprit.process, whole);
                self.receipts.breached(life, &breach, killed);
            } else if !self.ending.has_begun() {
                self.receipts.breached(life, &breach, KillOutcome::default());
                self.begin_end(Why::Over, Signal::TERM);
            }
            self.breaches.push(breach);
        }
    }

    /// The command was stopped: this process takes the terminal back and stops as well, so that the shell sees it.
    fn heed_stop(&mut self) {
        if self.group != Group::Own || self.exit.is_some() {
            return;
        }
        if let Some(signal) = reaper::stopped(self.leader) {
            self.take_back();
            stop_self(signal);
            self.go_on();
        }
    }

    /// The shell lets this process go on; in the foreground with the terminal.
    fn go_on(&mut self) {
        if self.group != Group::Own || self.exit.is_some() {
            return;
        }
        if let Some(terminal) = self.terminal.as_ref().filter(|terminal| terminal.is_with_us()) {
            let _ = terminal.give_to(self.leader);
        }
        reaper::signal_unreaped_group(self.leader, Signal::CONT);
    }

    fn take_back(&self) {
        if let Some(terminal) = self.terminal.as_ref().filter(|terminal| terminal.is_with(self.leader)) {
            let _ = terminal.take_back();
        }
    }

    /// Reaps all that have ended; whether none is left.
    fn reap_all(&mut self) -> bool {
        self.census.stirred();
        loop {
            match reaper::ended() {
                Ok(Reaped::Child(pid, exit)) => {
                    let is_leader = self.exit.is_none() && pid == self.leader;
                    if is_leader {
                        self.leader_ended(exit);
                    }
                    self.receipts.ended(pid, exit);
                    self.gauge.reaped(reaper::reap_measured(pid));
                    if is_leader {
                        self.exit = Some((exit, clock::moment()));
                        self.leave();
                    }
                }
                Ok(Reaped::NoChild) => return true,
                Ok(Reaped::NoneYet) | Err(_) => return false,
            }
        }
    }

    /// Written down before it is reaped, while its number is its own.
    fn leader_ended(&mut self, exit: Exit) {
        self.take_back();
        let _ = self.record.append(&RecordLine::Exited { exit, at: clock::wall() });
        self.talk.tell(&FromKeeper::Exited { exit });
    }

    /// The command has ended: what it has left behind ends as well.
    fn leave(&mut self) {
        let members = self.remaining();
        if !members.is_empty() {
            self.gauge.saw(members.len() + 1);
        }
        if !self.is_being_ended() {
            self.left = members.iter().map(left).collect();
        }
    }

    /// By this process, or by a `down`, which is connected.
    fn is_being_ended(&self) -> bool {
        self.ending.has_begun() || !self.talk.peers.is_empty()
    }

    fn end_leftovers(&mut self) {
        if self.exit.is_some() && !self.is_being_ended() {
            let _ = self.record.append(&RecordLine::Ending);
            let sent = self.ending.begin(Signal::TERM, self.grace);
            self.note(sent);
        }
    }

    /// Who is there of the job.
    fn remaining(&mut self) -> Vec<Member> {
        let cage = self.ending.cage();
        spare_machinery(cage);
        let mut members = cage.census(&mut World::new(), Depth::Tree);
        members.retain(|member| !cage.spared.contains(&member.id));
        members
    }

    /// Children are left, and yet it is over: they are not the job's, or they cannot be ended.
    fn is_done(&mut self) -> bool {
        let only_others =
            !self.ending.cage().spared.is_empty() && (0..2).all(|_| self.remaining().is_empty());
        let hopeless = self.ending.killing_for().is_some_and(|since| since > HOPELESS);
        only_others || hopeless
    }

    fn end(mut self) -> Outcome {
        let survivors: Vec<Left> = self.remaining().iter().map(left).collect();
        self.receipts.emptied(&survivors.iter().map(|one| one.process).collect::<Vec<_>>());
        if survivors.is_empty() {
            let _ = self.record.append(&RecordLine::Emptied);
            self.talk.tell(&FromKeeper::Emptied);
            // Whoever has connected and was not heard yet is told the whole story.
            while self.talk.accept() {}
        }
        for survivor in survivors {
            self.left.retain(|known| known.process != survivor.process);
            self.left.push(Left { survives: true, ..survivor });
        }
        let (exit, at) = self.exit.unwrap_or((Exit::Unknown, clock::moment()));
        Outcome {
            exit,
            took: at - self.begun,
            peaks: self.gauge.peaks(),
            left: self.left,
            why: self.why,
            breaches: self.breaches,
            out_of_memory: self.limiter.out_of_memory(),
        }
    }
}

fn left(member: &Member) -> Left {
    Left { process: member.id, command: member.command(), survives: false }
}
