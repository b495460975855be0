//! The life of a shim: a container is obtained, followed, asked to end when that is wanted, and its end told.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::follow::End;
use super::state::State;
use super::{NotHad, REFUSED, ShimSpec, is_before};
use crate::domain::{ContainerState, ContainerStep, OwnHealth, WallTime};
use crate::engine::{Client, Ended, Engine as _, Events, Happened, Health, TroubleKind};
use crate::plan::{ContainerPlan, EngineKind};
use crate::store::read_whole;
use crate::sys::clock;

/// The exit code of one that was asked to end before it had a container: as of a process that SIGTERM ended.
const ASKED: u8 = 143;

/// A stop that the engine did not take is asked for again after this.
const STOP_AGAIN: Duration = Duration::from_millis(500);

/// There where systemd runs (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";
/// How often a health check is asked that says nothing of it, as engines have it.
const CHECK_EACH: Duration = Duration::from_secs(30);

/// One shim.
pub(super) struct Shim<'s> {
    pub(super) spec: &'s ShimSpec,
    pub(super) plan: &'s ContainerPlan,
    pub(super) client: Client,
    state: RefCell<State>,
    /// When it was asked to end.
    asked: watch::Receiver<Option<Instant>>,
    /// How long that may take.
    grace: Cell<Duration>,
}

/// Lives to the end of the container; gives the exit code of the process.
pub(super) async fn live(spec: &ShimSpec) -> u8 {
    let Some(plan) = spec.unit.container.as_deref() else { return REFUSED };
    let state = RefCell::new(State::new(spec.state.clone()));
    let grace = Cell::new(spec.unit.stop.grace);
    let shim = Shim { spec, plan, client: Client::of(plan), state, asked: listen(), grace };
    let code = match shim.obtain().await {
        Ok(id) => shim.hold(&id).await,
        Err(NotHad::Asked) => {
            shim.tell(|state| state.step = ContainerStep::Ended);
            ASKED
        }
        Err(NotHad::Trouble(trouble)) => {
            shim.tell(|state| {
                state.step = ContainerStep::Ended;
                state.trouble = Some(trouble);
            });
            REFUSED
        }
    };
    debug_assert!(!is_before(&shim.state.borrow().now().step));
    code
}

/// SIGTERM asks; a second one, and Ctrl-C, which is the terminal's matter, say nothing new.
fn listen() -> watch::Receiver<Option<Instant>> {
    let (tell, asked) = watch::channel(None);
    let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    tokio::spawn(async move {
        let _int = int;
        let Ok(mut term) = term else { return pending().await };
        while term.recv().await.is_some() {
            tell.send_if_modified(|asked| {
                let first = asked.is_none();
                asked.get_or_insert_with(Instant::now);
                first
            });
        }
    });
    asked
}

impl Shim<'_> {
    /// Changes what is told of the container.
    pub(super) fn tell(&self, change: impl FnOnce(&mut ContainerState)) {
        self.state.borrow_mut().set(change);
    }

    /// Tells how far something is.
    pub(super) fn progress(&self, step: ContainerStep) {
        self.state.borrow_mut().progress(step);
    }

    /// Waits for this, and tells meanwhile what was held back of the progress.
    pub(super) async fn telling<T>(&self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        loop {
            let due = self.state.borrow().due();
            tokio::select! {
                biased;
                done = &mut awaited => return done,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.state.borrow_mut().tell_held();
                }
            }
        }
    }

    /// Waits until it is asked to end.
    pub(super) async fn asked_to_end(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(Option::is_some).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Holds a container that runs, to its end.
    async fn hold(&self, id: &str) -> u8 {
        let asks_own = self.spec.asks_own_health();
        self.tell(|state| {
            state.id = Some(id.to_owned());
            // Until it is known whether the image brings one.
            state.health = if asks_own { OwnHealth::Starting } else { OwnHealth::None };
        });
        let mut beside = pin!(async {
            tokio::join!(self.watch(id, asks_own), self.stop_when_asked(id));
        });
        let mut follow = pin!(self.follow(id));
        let end = tokio::select! {
            end = &mut follow => end,
            // All is said and done, but it has not ended yet.
            () = &mut beside => follow.await,
        };
        self.tell_end(end)
    }

    /// Tells that it runs and what its own health check says, as long as it does.
    async fn watch(&self, id: &str, asks_own: bool) {
        let begun = clock::wall();
        let Some(found) = self.comes_to_run(id, asks_own).await else { return };
        if !asks_own || found.health.is_none() {
            return;
        }
        if self.plan.engine == EngineKind::Podman && !Path::new(SYSTEMD).exists() {
            return self.ask_health(id, found.check_interval, asks_own).await;
        }
        // From before the look on: what changed since is told again, and nothing is missed.
        let Ok(mut events) = self.client.health(id, WallTime(begun.0 - 1)) else { return };
        self.watch_health(id, &mut events).await;
    }

    /// Podman leaves its health checks to timers of systemd: where that does not run, nobody but us asks them.
    async fn ask_health(&self, id: &str, interval: Option<Duration>, asks_own: bool) {
        let interval = interval.filter(|interval| !interval.is_zero()).unwrap_or(CHECK_EACH);
        loop {
            // One that has ended, or an engine that went away, is seen by who follows the log.
            let _ = self.client.check(id).await;
            if self.comes_to_run(id, asks_own).await.is_none() {
                return;
            }
            tokio::time::sleep(interval).await;
        }
    }

    async fn watch_health(&self, id: &str, events: &mut Events) {
        // An engine that goes away is seen by who follows the log.
        while let Ok(event) = events.next().await {
            match event.what {
                Happened::Health { healthy: true } => self.tell(|state| state.health = OwnHealth::Healthy),
                Happened::Health { healthy: false } => {
                    if let Ok(found) = self.client.inspect(id).await {
                        self.tell(|state| state.health = own(found.health.as_ref()));
                    }
                }
                _ => {}
            }
        }
    }

    /// Has the engine end it within its grace.
    async fn stop_when_asked(&self, id: &str) {
        self.asked_to_end().await;
        self.grace.set(self.ordered_grace());
        self.tell(|state| state.step = ContainerStep::Stopping);
        // What comes of it is seen by who follows the log: it ends, or the engine does not answer.
        while let Err(trouble) = self.client.stop(id, self.grace.get()).await {
            if trouble.kind == TroubleKind::NoSuchContainer {
                return;
            }
            tokio::time::sleep(STOP_AGAIN).await;
        }
    }

    /// How long it may take: as whoever asked said, or its own.
    fn ordered_grace(&self) -> Duration {
        let ordered = read_whole(&self.spec.state.with_extension("grace")).ok();
        let ordered = ordered.and_then(|text| serde_json::from_slice(&text).ok());
        ordered.map_or(self.spec.unit.stop.grace, Duration::from_millis)
    }

    fn tell_end(&self, end: End) -> u8 {
        match end {
            End::Exited(ended) => {
                let forced = self.was_forced(&ended);
                self.tell(|state| {
                    state.step = ContainerStep::Ended;
                    state.pid = None;
                    state.exit = Some(ended.code);
                    state.out_of_memory = ended.out_of_memory;
                    state.forced = forced;
                });
                u8::try_from(ended.code).unwrap_or(REFUSED)
            }
            End::Trouble(trouble) => {
                self.tell(|state| {
                    state.step = ContainerStep::Ended;
                    state.pid = None;
                    state.trouble = Some(trouble);
                });
                REFUSED
            }
        }
    }

    /// The engine killed it because it did not end in time. One that somebody else killed was not forced by us.
    fn was_forced(&self, ended: &Ended) -> bool {
        let waited = self.asked.borrow().is_some_and(|asked| asked.elapsed() >= self.grace.get());
        waited && ended.was_killed() && !ended.out_of_memory
    }
}

pub(super) fn own(health: Option<&Health>) -> OwnHealth {
    match health {
        None => OwnHealth::None,
        Some(Health::Starting) => OwnHealth::Starting,
        Some(Health::Healthy) => OwnHealth::Healthy,
        Some(Health::Unhealthy { last, .. }) => OwnHealth::Unhealthy(
            last.as_ref().map(|check| check.output.trim().to_owned()).unwrap_or_default(),
        ),
    }
}
