//! The loop: select an event, ask the machine, perform its actions, publish the view.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::closing::{Closing, spared};
use super::look::{dated, steady};
use super::orphans::Orphans;
use super::performer::Performer;
use super::sampler::Sampler;
use crate::control::{Answers, Call, Peer, Views};
use crate::domain::{
    Asker, ContainerState, ContainerStep, Moment, Signal, StackView, UnitName, UnitView, WallTime,
};
use crate::machine::{Action, Answer, DownRequest, Event, Reply, Request, RequestId, Stack};
use crate::plan::{Secrets, masked};
use crate::store::{Entry, Journal, Line, StackDir, StackFile, write_whole};
use crate::sys::kill_point::{KillPoint, here};
use crate::sys::{clock, users};

/// So many turns of the runtime bring the head of an answer onto the wire, and in what others have said.
const TURNS: usize = 4;

/// The supervisor of one stack.
pub(super) struct Driver {
    stack: Stack,
    performer: Performer,
    calls: mpsc::UnboundedReceiver<Call>,
    facts: mpsc::UnboundedReceiver<super::life::Fact>,
    journal: Journal,
    views: watch::Sender<Arc<Vec<UnitView>>>,
    dir: StackDir,
    waiting: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    /// Who asked for what is in work.
    askers: BTreeMap<RequestId, Asker>,
    last_request: RequestId,
    /// The view differs from what was published.
    stale: bool,
    /// A whole stack was ended (or an `up` left nothing): at rest, the supervisor is not needed any more.
    ending: bool,
    /// It works in a command's own process, which ends with its request: nothing may be started from here.
    only_ending: bool,
    orphans: Orphans,
    sampler: Box<Sampler>,
    /// As long as the whole stack is being ended no job begins.
    closing: Closing,
}

impl Driver {
    /// Opens the state of a stack and takes over what lives of it. `inherits`: orphans of the stack land on this process.
    /// A command that does not inherit ends units, starts none, and is done when all who asked are answered.
    pub(super) fn new(
        dir: StackDir,
        stack: StackFile,
        calls: mpsc::UnboundedReceiver<Call>,
        inherits: bool,
    ) -> io::Result<Self> {
        let (facts_in, facts) = mpsc::unbounded_channel();
        let mut journal = Journal::open(&dir.journal());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let began = Entry::Supervisor { pid: std::process::id(), version };
        journal.write(&Line { at: clock::wall(), moment: clock::moment(), by: None, entry: began });
        // What was said of an earlier end is history from now on.
        let _ = std::fs::remove_file(dir.last_view());
        let mut performer = Performer::new(dir.clone(), stack, facts_in, inherits);
        let taken = super::recover::take_over(&mut performer)?;
        let mut driver = Self {
            stack: Stack::new(),
            performer,
            calls,
            facts,
            journal,
            views: watch::Sender::new(Arc::new(Vec::new())),
            dir,
            waiting: BTreeMap::new(),
            askers: BTreeMap::new(),
            last_request: 0,
            stale: true,
            ending: false,
            only_ending: !inherits,
            orphans: Orphans::default(),
            sampler: Box::default(),
            closing: Closing::default(),
        };
        for event in taken.events {
            driver.step(event);
        }
        // As was begun by the last supervisor, or by their keepers.
        driver.end_unasked(taken.to_end);
        Ok(driver)
    }

    /// Ends units; nobody waits for the answer.
    fn end_unasked(&mut self, units: Vec<UnitName>) {
        if !units.is_empty() {
            let request = DownRequest { units: Some(units), ..DownRequest::default() };
            self.step(Event::Requested { id: 0, request: Request::Down(request) });
        }
    }

    /// Ends jobs whose `devstack run` was killed.
    fn end_leftovers(&mut self) {
        let mut units = Vec::new();
        for event in super::recover::enlist_jobs(&mut self.performer, false) {
            if let Event::Adopted(adopted) = &event {
                units.push(adopted.plan.name.clone());
            }
            self.step(event);
        }
        self.end_unasked(units);
    }

    /// The present view of all units, as it changes.
    pub(super) fn views(&self) -> Views {
        self.views.subscribe()
    }

    /// Runs until the stack was ended as a whole and nothing of it lives.
    ///
    /// Gives what is wrong with the files of the stack.
    pub(super) async fn run(mut self) -> io::Result<Vec<String>> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        let mut tell_state = signal(SignalKind::user_defined1())?;
        let mut reload = signal(SignalKind::user_defined2())?;
        let mut child_ended = signal(SignalKind::child())?;
        while !self.is_done() {
            let deadline = self.stack.next_deadline();
            self.performer.since = Instant::now();
            tokio::select! {
                biased;
                Some(call) = self.calls.recv() => {
                    if let Some(event) = self.call(call) {
                        // Who asked is told that he was heard before the work begins: a crowd takes its time.
                        for _ in 0..TURNS {
                            tokio::task::yield_now().await;
                        }
                        self.step(event);
                    }
                }
                Some(fact) = self.facts.recv() => {
                    for event in self.performer.understand(fact) {
                        self.step(event);
                    }
                    self.note_receipts(clock::moment());
                }
                () = until(deadline) => {
                    self.step(Event::Tick);
                    // A hundred ladders climb at once: what keepers have said meanwhile must be heard before the next rung.
                    for _ in 0..TURNS {
                        tokio::task::yield_now().await;
                    }
                }
                _ = terminate.recv() => self.end_stack(Signal::TERM, false),
                _ = interrupt.recv() => self.end_stack(Signal::INT, false),
                _ = quit.recv() => self.end_stack(Signal::QUIT, true),
                _ = tell_state.recv() => super::signals::tell(&self.view()),
                // A command that does the supervisor's work only ends what runs.
                _ = reload.recv(), if !self.only_ending => self.performer.reload(),
                _ = child_ended.recv() => {
                    self.performer.leaving.reap();
                    self.performer.helpers.reap();
                    self.orphans.stirred();
                }
                () = until(self.orphans.due()) => self.orphans.reap(),
                () = at(self.sampler.due()) => self.sample(),
                // Births take a millisecond each: facts of the lives before must not wait for all of them.
                () = std::future::ready(()), if self.performer.has_births() => self.performer.bear_one(),
                () = std::future::ready(()), if self.stale => self.publish(),
            }
        }
        self.publish();
        let view = self.hide(self.performer.look(&self.stack));
        // Only what `status` says of a stack that has ended hangs on this file.
        let _ = write_whole(&self.dir.last_view(), &view);
        self.performer.bury();
        here(KillPoint::Buried);
        Ok(self.warnings())
    }

    fn is_done(&self) -> bool {
        let answered = self.waiting.is_empty();
        (answered && self.ending && self.stack.at_rest())
            || (answered && self.only_ending && self.last_request > 0)
    }

    /// What the machine must be told of a call.
    fn call(&mut self, call: Call) -> Option<Event> {
        match call {
            Call::Up(_, _, answers) if self.only_ending => {
                self.last_request += 1;
                // One who has gone needs no answer.
                let _ = answers.accepted.send(Ok(self.last_request));
                let _ = answers.reply.send(Reply::Busy);
                None
            }
            Call::Up(mut call, peer, answers) => {
                if let Err(error) = self.performer.learn(&mut call) {
                    // What could not be recorded could not be ended by the next one either: nothing is begun.
                    let _ = answers.accepted.send(Err(error.to_string()));
                    self.ending |= self.stack.at_rest();
                    return None;
                }
                self.ending = false;
                self.end_leftovers();
                let by = asker(std::mem::take(&mut call.verb), peer);
                Some(self.request(Request::Up(call.request), by, answers))
            }
            Call::Down(mut call, peer, answers) => {
                self.ending |= call.request.units.is_none();
                self.performer.learn_end(&mut call);
                match &mut call.request.units {
                    None => self.close(),
                    Some(units) => self.performer.part_unmet(units, &self.stack),
                }
                let by = asker(std::mem::take(&mut call.verb), peer);
                Some(self.request(Request::Down(call.request), by, answers))
            }
            Call::Cancel(cancel) => Some(Event::Cancelled { id: cancel.id, force: cancel.force }),
            Call::Restore(done) => {
                self.performer.restore();
                let _ = done.send(());
                None
            }
            Call::View(answer) => {
                let _ = answer.send(self.view());
                None
            }
            Call::Usage(answer) => {
                let _ = answer.send(self.sampler.past());
                None
            }
        }
    }

    /// The whole stack is about to be ended, by the next request: jobs end with it, and none begins any more.
    fn close(&mut self) {
        self.closing.begin(&self.dir, self.last_request + 1);
        for event in super::recover::enlist_jobs(&mut self.performer, true) {
            self.step(event);
        }
    }

    /// Looks at what all lives take, and tells what needs an eye.
    fn sample(&mut self) {
        let (lives, alerts) = self.sampler.sample(&self.performer.lives.borrow());
        for alert in alerts {
            let alert = self.hide(alert);
            tracing::warn!("{alert}");
            self.note(clock::moment(), None, Entry::Alert(alert));
        }
        self.step(Event::Sampled { lives });
    }

    /// The stack with its processes, as it may be shown.
    fn view(&self) -> StackView {
        let mut view = self.performer.look(&self.stack);
        view.alerts = self.sampler.standing();
        let mut view = self.hide(view);
        view.warnings = self.warnings();
        // A command that does its work is no supervisor.
        view.supervisor = view.supervisor.filter(|_| !self.only_ending);
        view
    }

    /// What is wrong with the files of this stack, and what keeps its processes from being seen.
    fn warnings(&self) -> Vec<String> {
        let lost = self
            .journal
            .lost()
            .map(|lost| format!("{} lines of the journal could not be written: {}", lost.lines, lost.reason));
        let blind = crate::sys::descriptors::can_open(1)
            .err()
            .map(|error| format!("not all processes can be shown: no file can be opened any more ({error})"));
        self.performer.warnings.iter().cloned().chain(lost).chain(blind).collect()
    }

    fn request(&mut self, request: Request, by: Asker, answers: Answers) -> Event {
        self.last_request += 1;
        let id = self.last_request;
        // The client may be gone already; what it asked for is done all the same.
        let _ = answers.accepted.send(Ok(id));
        self.waiting.insert(id, answers.reply);
        self.askers.insert(id, by);
        here(KillPoint::RequestHeard);
        Event::Requested { id, request }
    }

    /// The supervisor was asked to end by a signal: with it ends its stack.
    fn end_stack(&mut self, by: Signal, force: bool) {
        self.ending = true;
        // No client asked: no job is the ground that one stands on.
        let spared = std::mem::take(&mut self.performer.spared);
        self.close();
        self.performer.spared = spared;
        self.last_request += 1;
        self.askers.insert(self.last_request, Asker { verb: by.to_string(), ..ourselves() });
        let request = Request::Down(DownRequest { force, ..DownRequest::default() });
        self.step(Event::Requested { id: self.last_request, request });
    }

    fn step(&mut self, event: Event) {
        if let Event::Sampled { lives } = &event {
            for beside in self.performer.beside(lives) {
                self.step(beside);
            }
        }
        let before = matches!(event, Event::Sampled { .. }).then(|| self.stack.overruns());
        let now = clock::moment();
        // Why it could not be started names its command, and goes into every view from here on.
        let event = if matches!(event, Event::NotStarted { .. }) { self.hide(event) } else { event };
        let known = self.stack.knows(&event);
        let begins = matches!(event, Event::Requested { .. } | Event::Started { .. } | Event::Adopted(_));
        let line = journalled(&event);
        let actions = self.stack.handle(event, now);
        // What leads to a breach, and what ends it, is worth a line as well: a replay would decide otherwise without.
        let counts = before.is_some_and(|before| before != self.stack.overruns());
        if !actions.is_empty() || !self.is_routine(&line, known) || counts {
            let by = match &line {
                Event::Requested { id, .. } | Event::Cancelled { id, .. } => Some(self.asker_of(Some(*id))),
                _ => None,
            };
            self.note(now, by, Entry::Event(line));
        }
        self.stale |= !known || counts || !actions.is_empty();
        let mut answered = Vec::new();
        for action in actions {
            if let Action::Reply { id, reply } = action {
                answered.push(id);
                self.reply(id, reply);
            } else {
                self.performer.perform(action, &self.stack);
            }
        }
        if begins {
            self.sampler.consider(self.performer.stack.plan.as_ref(), &self.performer.lives.borrow());
        }
        self.note_receipts(now);
        for id in answered {
            self.askers.remove(&id);
        }
    }

    /// Who was signalled, and what became of whom.
    fn note_receipts(&mut self, now: Moment) {
        for entry in self.performer.receipts() {
            let by = match &entry {
                Entry::Receipt(receipt) => Some(self.asker_of(receipt.request)),
                _ => None,
            };
            self.note(now, by, entry);
        }
    }

    /// What comes many times a second, and from which nothing follows, now or later: a replay needs all else.
    fn is_routine(&self, event: &Event, known: bool) -> bool {
        match event {
            Event::Stirred { target } => !self.stack.is_stirred(target),
            Event::Checked { answer: Answer::Good, .. } => known,
            Event::Sampled { .. } | Event::Idle { .. } | Event::Gated { answer: Answer::Bad { .. }, .. } => {
                true
            }
            // How far a pull is, many times a second.
            Event::Contained { state: ContainerState { step, trouble: None, .. }, .. } => {
                matches!(step, ContainerStep::Pulling(_) | ContainerStep::Building(_))
            }
            _ => false,
        }
    }

    /// Who asked for it: the supervisor itself where no request did, or one that an earlier supervisor had heard.
    fn asker_of(&self, request: Option<RequestId>) -> Asker {
        let asker = request.and_then(|id| self.askers.get(&id));
        asker.cloned().unwrap_or_else(|| Asker { pid: Peer::own().pid, ..ourselves() })
    }

    /// Into the journal, without what is secret in a command line; by the moment that the machine was told.
    fn note(&mut self, moment: Moment, by: Option<Asker>, entry: Entry) {
        let entry = if has_text(&entry) { self.hide(entry) } else { entry };
        self.journal.write(&Line { at: clock::wall(), moment, by, entry });
    }

    fn hide<T: Serialize + DeserializeOwned>(&self, told: T) -> T {
        let none = Secrets::default();
        self.performer.stack.plan.as_ref().map_or(&none, |plan| &plan.secrets).hide_in(told)
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        let mut reply = self.hide(reply);
        let whole = self.closing.end(id);
        if let (Reply::Down(report), true) = (&mut reply, whole) {
            report.spared = spared(&self.performer.apart);
        }
        if let Reply::Up(report) = &reply {
            // Nothing was started, or all of it was rolled back: there is nothing left to supervise.
            self.ending |= !report.ready && self.stack.at_rest();
        }
        // Refused because the whole stack is being ended: that goes on, and with it this supervisor.
        self.ending |= reply == Reply::Busy;
        self.publish();
        here(KillPoint::Replying);
        if let Some(answer) = self.waiting.remove(&id) {
            let _ = answer.send(reply);
        }
        here(KillPoint::Replied);
    }

    fn publish(&mut self) {
        self.stale = false;
        let mut view = dated(self.stack.view(clock::moment(), boot_time()));
        steady(&mut view, &self.views.borrow());
        self.performer.note_ready(&view);
        self.views.send_replace(Arc::new(view));
    }
}

/// The wall time of the machine's boot, as the clocks stand now.
pub(super) fn boot_time() -> WallTime {
    let since = i64::try_from(clock::moment().0).unwrap_or(i64::MAX);
    WallTime(clock::wall().0.saturating_sub(since))
}

/// Sleeps until a moment; for ever where there is none.
async fn until(deadline: Option<Moment>) {
    match deadline {
        None => std::future::pending().await,
        Some(deadline) => {
            let now = clock::moment();
            if deadline > now {
                // Moments are whole milliseconds: one more, or the tick comes just before its deadline.
                tokio::time::sleep(deadline.since(now) + Duration::from_millis(1)).await;
            }
        }
    }
}

/// Sleeps until then; for ever where nothing is due.
async fn at(due: Option<tokio::time::Instant>) {
    match due {
        None => std::future::pending().await,
        Some(due) => tokio::time::sleep_until(due).await,
    }
}

/// A client, by its verb and its connection.
fn asker(verb: String, peer: Peer) -> Asker {
    // One of an older devstack, or `curl`, names no verb.
    let verb = if verb.is_empty() { "client".to_owned() } else { verb };
    Asker { verb, user: users::name(peer.uid), pid: peer.pid }
}

/// The supervisor where it decides by itself.
fn ourselves() -> Asker {
    Asker { verb: "supervisor".to_owned(), user: users::name(users::own_uid()), pid: None }
}

/// Whether an entry may hold a command line or what a service wrote: most do not, and need no second look.
fn has_text(entry: &Entry) -> bool {
    !matches!(
        entry,
        Entry::Event(
            Event::Tick
                | Event::Started { .. }
                | Event::Gated { answer: Answer::Good, .. }
                | Event::Checked { answer: Answer::Good, .. }
                | Event::Emptied { .. }
                | Event::Asked { .. }
                | Event::Stirred { .. }
                | Event::Remembered { .. }
        ) | Entry::Outcome(_)
    )
}

/// An event as the journal may hold it: values of environments are secrets.
fn journalled(event: &Event) -> Event {
    let mut event = event.clone();
    if let Event::Requested { request: Request::Up(up), .. } = &mut event {
        let plan = Arc::make_mut(&mut up.plan);
        plan.units.iter_mut().for_each(hide);
        *plan = masked(plan.clone(), false);
    }
    if let Event::Adopted(adopted) = &mut event {
        hide(&mut adopted.plan);
    }
    event
}

fn hide(unit: &mut crate::plan::UnitPlan) {
    unit.environment.values_mut().for_each(|value| "…".clone_into(value));
}
