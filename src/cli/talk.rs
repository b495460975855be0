//! A request under way: its progress, its end, and what Ctrl-C does to it.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::reach::LOOK;
use crate::control::{ClientError, Lines, Told, Views};
use crate::domain::UnitView;
use crate::machine::{Reply, RequestId};
use crate::show::Progress;
use crate::supervisor::Inline;
use crate::sys::clock;
use crate::sys::signals;

/// A spinner turns so often.
const SPIN: Duration = Duration::from_millis(100);

/// Where news of a request come from.
pub(super) enum Source {
    /// A supervisor's answer.
    Remote {
        /// Its lines.
        lines: Lines,
        /// Called now and then, to see whether it was stopped in the middle of its work.
        keep_awake: Box<dyn Fn()>,
    },
    /// The same work in this process.
    Inline(Inline),
}

/// What the user wants in the middle of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Ctrl-C, Ctrl-\\ or SIGTERM, the first time.
    First,
    /// And again.
    Again,
}

/// How a request ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The answer.
    pub(super) reply: Reply,
    /// The units as told last.
    pub(super) units: Vec<UnitView>,
    /// The signal that interrupted it, if one did.
    pub(super) signal: Option<i32>,
}

/// What a terminal that closes (SIGHUP) means to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hangup {
    /// It ends the command alone: what it asked for goes on.
    Leave,
    /// The same as Ctrl-C: the command stands for its stack.
    Heed,
    /// Nothing: the command has to come to its end.
    Outlive,
}

/// The signals by which a user ends a command.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Option<Signal>,
}

impl Interrupts {
    /// From here on these signals do not end this process.
    ///
    /// The third one ends it all the same, whatever it waits for: a supervisor that hangs must not hold a terminal.
    pub(super) fn listen(hangup: Hangup) -> std::io::Result<Self> {
        let mut patience = Self::open(hangup)?;
        tokio::spawn(async move {
            for _ in 0..2 {
                patience.next().await;
            }
            let last = patience.next().await;
            std::process::exit(128 + last);
        });
        Self::open(hangup)
    }

    fn open(hangup: Hangup) -> std::io::Result<Self> {
        // Whoever was started by `nohup` is meant to outlive its terminal.
        let heeds = hangup == Hangup::Heed && !signals::is_ignored(libc::SIGHUP);
        if hangup == Hangup::Outlive {
            signals::ignore(&[libc::SIGHUP]);
        }
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup: if heeds { Some(signal(SignalKind::hangup())?) } else { None },
        })
    }

    /// Waits for the next one; returns its number.
    pub(super) async fn next(&mut self) -> i32 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.terminate.recv() => libc::SIGTERM,
            _ = self.quit.recv() => libc::SIGQUIT,
            () = hangup => libc::SIGHUP,
        }
    }
}

/// Follows a request to its end. `interrupt` is called for each signal with the request's number, as far as it is known.
pub(super) async fn follow(
    mut source: Source,
    interrupts: &mut Interrupts,
    mut progress: Progress,
    mut interrupt: impl AsyncFnMut(Interruption, Option<RequestId>),
) -> Result<Ended, ClientError> {
    let mut units: Vec<UnitView> = Vec::new();
    let (mut id, mut ended_by) = (None, None);
    let mut unheard = None;
    let mut spin = every(SPIN);
    let mut watch = every(LOOK);
    loop {
        tokio::select! {
            biased;
            signal = interrupts.next() => {
                let which = if ended_by.replace(signal).is_none() { Interruption::First } else { Interruption::Again };
                // The supervisor cannot take back what it has not numbered yet.
                if id.is_none() && matches!(source, Source::Remote { .. }) {
                    unheard = Some(which);
                } else {
                    interrupt(which, id).await;
                }
            }
            told = source.next() => match told? {
                Told::Accepted { id: given } => {
                    id = Some(given);
                    if let Some(which) = unheard.take() {
                        interrupt(which, id).await;
                    }
                }
                Told::Changed { units: changed } => {
                    take_in(&mut units, changed);
                    progress.update(&units, clock::wall());
                }
                Told::Reply(reply) => {
                    progress.finish();
                    return Ok(Ended { reply, units, signal: ended_by });
                }
            },
            _ = spin.tick(), if progress.is_live() => progress.tick(clock::wall()),
            _ = watch.tick() => source.keep_awake(),
        }
    }
}

impl Source {
    fn keep_awake(&self) {
        if let Self::Remote { keep_awake, .. } = self {
            keep_awake();
        }
    }

    async fn next(&mut self) -> Result<Told, ClientError> {
        match self {
            Self::Remote { lines, .. } => lines.next().await?.ok_or(ClientError::CutOff),
            Self::Inline(Inline { views, reply, .. }) => tokio::select! {
                biased;
                reply = reply => reply.map(Told::Reply).map_err(|_| ClientError::CutOff),
                units = changed(views) => Ok(Told::Changed { units }),
            },
        }
    }
}

async fn changed(views: &mut Views) -> Vec<UnitView> {
    if views.changed().await.is_err() {
        // The work is over; its reply is on its way.
        std::future::pending::<()>().await;
    }
    views.borrow_and_update().to_vec()
}

/// Puts changed units in their places; new ones come at the end.
pub(super) fn take_in(units: &mut Vec<UnitView>, changed: Vec<UnitView>) {
    for unit in changed {
        match units.iter_mut().find(|known| known.name == unit.name) {
            Some(known) => *known = unit,
            None => units.push(unit),
        }
    }
}

fn every(pause: Duration) -> Interval {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
