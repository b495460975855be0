//! Holding a service: one wait for everything that can happen, until the kernel says that no child is left.

use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::FromKeeper;
use super::alone::Alone;
use super::census::Census;
use super::notify::Notify;
use super::output::Output;
use super::record::Record;
use super::talk::Talk;
use crate::domain::{Exit, Pid, Signal};
use crate::store::RecordLine;
use crate::sys::kill_point::{KillPoint, here};
use crate::sys::reaper::{self, Reaped};
use crate::sys::signals::Signals;
use crate::sys::{clock, proc};

const CHILD: Signal = Signal::from_number(libc::SIGCHLD);
const HANGUP: Signal = Signal::from_number(libc::SIGHUP);

/// A running service, as its keeper sees it.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) leader: Pid,
    pub(super) leader_lives: bool,
    pub(super) notified: bool,
    pub(super) signals: Signals,
    pub(super) output: Output,
    pub(super) notify: Option<Notify>,
    pub(super) talk: Talk,
    /// Written before anything is told: what a supervisor was told is known after it as well. On a full disk the living
    /// supervisor is told all the same.
    pub(super) record: Record,
    pub(super) census: Census,
    /// None where the service is kept without a supervisor.
    pub(super) alone: Option<Alone>,
}

/// What a wait brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Signals,
    Listener,
    Peer(usize),
    Output,
    OutputEnded,
    Notify,
}

impl Hold {
    /// Returns when nothing of the service is left, and all are told.
    pub(super) fn until_empty(mut self) {
        loop {
            let ready = self.wait();
            // First, while the indices are true; the last one first, so that they stay true.
            for what in ready.iter().rev() {
                if let Ready::Peer(index) = what {
                    self.talk.hear(*index);
                }
            }
            let signals = if ready.contains(&Ready::Signals) { self.signals.take() } else { Vec::new() };
            let stirred = signals.contains(&CHILD);
            // What a process said before it died is heard before its death is told.
            if stirred || ready.contains(&Ready::Notify) {
                self.hear_readiness();
            }
            if ready.contains(&Ready::Output) {
                self.output.breathe();
                self.output.pump();
            }
            if ready.contains(&Ready::OutputEnded) {
                self.output.end();
            }
            if signals.contains(&HANGUP) {
                // A supervisor has made anew what was swept away.
                self.talk.renew();
                self.record.renew();
            }
            if signals.contains(&Signal::TERM) {
                self.hand_on_term();
            }
            if stirred && self.reap_all() {
                return self.end();
            }
            if let Some(alone) = &mut self.alone {
                alone.act(self.talk.peers.is_empty(), stirred, &mut self.record);
            }
            if ready.contains(&Ready::Listener) {
                self.talk.accept();
            }
            self.census.look_when_due(&mut self.record);
        }
    }

    fn wait(&self) -> Vec<Ready> {
        let mut asked =
            vec![(Ready::Signals, self.signals.as_fd()), (Ready::Listener, self.talk.listener.as_fd())];
        let peers = self.talk.peers.iter().enumerate();
        asked.extend(peers.map(|(index, peer)| (Ready::Peer(index), peer.as_fd())));
        if !self.output.has_ended() {
            asked.push((Ready::Output, self.output.as_fd()));
        }
        asked.extend(self.notify.iter().map(|notify| (Ready::Notify, notify.socket.as_fd())));
        let mut fds: Vec<_> =
            asked.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let wait = self.census.wait();
        let wait = self.alone.as_ref().and_then(Alone::wait).map_or(wait, |alone| alone.min(wait));
        let timeout = timespec(wait);
        // An interrupted wait comes back with the signal's byte next time.
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let answered = asked.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        answered
            .map(|((what, _), fd)| match what {
                Ready::Output if !fd.revents().contains(PollFlags::IN) => Ready::OutputEnded,
                what => *what,
            })
            .collect()
    }

    fn hear_readiness(&mut self) {
        // The first time counts; the socket stays and is emptied, for what else a service may say.
        if self.notify.as_ref().is_some_and(Notify::take) && !self.notified {
            self.notified = true;
            let _ = self.record.append(&RecordLine::Notified);
            self.talk.tell(&FromKeeper::Notified);
        }
    }

    /// Reaps all that have ended; whether none is left.
    fn reap_all(&mut self) -> bool {
        self.census.stirred();
        loop {
            match reaper::ended() {
                Ok(Reaped::Child(pid, exit)) => {
                    let is_leader = self.leader_lives && pid == self.leader;
                    if is_leader {
                        self.leader_ended(exit);
                    }
                    reaper::reap(pid);
                    here(KillPoint::LeaderReaped);
                    // From now on its number may be anyone's.
                    self.leader_lives &= !is_leader;
                }
                Ok(Reaped::NoChild) => return true,
                Ok(Reaped::NoneYet) | Err(_) => return false,
            }
        }
    }

    /// Told before it is reaped: were this process killed in between, nobody could ask the kernel any more.
    fn leader_ended(&mut self, exit: Exit) {
        self.output.drain();
        here(KillPoint::OutputDrained);
        let _ = self.record.append(&RecordLine::Exited { exit, at: clock::wall() });
        here(KillPoint::ExitRecorded);
        self.talk.tell(&FromKeeper::Exited { exit });
        here(KillPoint::ExitTold);
    }

    fn end(mut self) {
        self.output.finish();
        let _ = self.record.append(&RecordLine::Emptied);
        here(KillPoint::EmptiedRecorded);
        self.talk.tell(&FromKeeper::Emptied);
        here(KillPoint::EmptiedTold);
        // Whoever has connected and was not heard yet is told the whole story: nobody else knows how the leader ended.
        while self.talk.accept() {}
    }

    /// SIGTERM is meant for the service: its group, as long as its leader pins the group's number; afterwards those
    /// that have become our own children, whose numbers we pin.
    fn hand_on_term(&self) {
        if self.leader_lives {
            return reaper::signal_unreaped_group(self.leader, Signal::TERM);
        }
        for child in proc::own_children() {
            reaper::signal_unreaped(child, Signal::TERM);
        }
    }
}

fn timespec(wait: Duration) -> Option<Timespec> {
    // A moment is told in milliseconds: one more, so that the deadline has passed when the wait is over.
    Timespec::try_from(wait + Duration::from_millis(1)).ok()
}
