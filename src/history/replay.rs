//! The journal played through the machine once more: what it decides, and whether what was recorded agrees with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{ProcId, Signal, UnitKind, UnitName, Why};
use crate::machine::{Action, Event, Reply, Stack, Target};
use crate::store::{Entry, Line, Outcome, Receipt};

/// What a line came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Played {
    /// It stands before the first line of a supervisor: what its machine knew by then is not in the journal.
    Unknown,
    /// A supervisor began, and with it a new machine.
    Began,
    /// The machine was told, and decided this.
    Decided(Vec<Action>),
    /// What was recorded follows from a decision.
    Agrees,
    /// It does not: why.
    Differs(String),
    /// Lines are missing here: what follows may differ.
    Gap,
}

/// The machine of the supervisor whose lines are read, and what it has asked for.
#[derive(Debug, Default)]
pub struct Replay {
    stack: Option<Stack>,
    asked: Vec<Action>,
    signalled: BTreeSet<ProcId>,
    /// The counts of what was played.
    pub tally: Tally,
}

/// How much was played, and how it came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Supervisors that began.
    pub supervisors: usize,
    /// Lines before the first of them.
    pub unknown: usize,
    /// Events that the machine was told.
    pub events: usize,
    /// Actions that it decided on.
    pub actions: usize,
    /// Receipts and outcomes that were recorded.
    pub receipts: usize,
    /// Lines that do not follow from what it decided.
    pub differ: usize,
    /// Places where lines are missing.
    pub gaps: usize,
}

impl Replay {
    /// Plays the next line.
    pub fn take(&mut self, line: &Line) -> Played {
        if let Entry::Supervisor { .. } = line.entry {
            self.tally.supervisors += 1;
            self.stack = Some(Stack::new());
            self.asked.clear();
            self.signalled.clear();
            return Played::Began;
        }
        let Some(stack) = &mut self.stack else {
            self.tally.unknown += 1;
            return Played::Unknown;
        };
        let wrong = match &line.entry {
            Entry::Event(Event::Breached { unit, .. }) if is_job(stack, unit) => None,
            Entry::Event(event) => {
                self.tally.events += 1;
                let asked_for = answered(&mut self.asked, event);
                let actions = stack.handle(event.clone(), line.moment);
                self.tally.actions += actions.len();
                self.asked.extend(actions.iter().filter(|action| awaits(action)).cloned());
                if asked_for {
                    return Played::Decided(actions);
                }
                Some("nothing that the machine decided asks for it".to_owned())
            }
            Entry::Receipt(receipt) => {
                self.tally.receipts += 1;
                self.signalled.insert(receipt.process);
                if is_of_run(stack, line, receipt.unit.as_ref()) {
                    None
                } else {
                    judge(&self.asked, stack, receipt)
                }
            }
            Entry::Outcome(outcome) => {
                self.tally.receipts += 1;
                // Its receipts may stand before the supervisor's first line.
                if is_of_run(stack, line, outcome.unit.as_ref()) {
                    return Played::Agrees;
                }
                unreceipted(&self.signalled, outcome)
            }
            Entry::Lost(_) => {
                self.tally.gaps += 1;
                return Played::Gap;
            }
            Entry::Supervisor { .. } | Entry::Alert(_) => None,
        };
        self.tally.differ += usize::from(wrong.is_some());
        wrong.map_or(Played::Agrees, Played::Differs)
    }
}

/// Whether nobody but its own `devstack run` holds it to its limits.
fn is_job(stack: &Stack, unit: &UnitName) -> bool {
    stack.unit_plan(unit).is_none_or(|plan| plan.kind == UnitKind::Job)
}

/// Whether a job's own `devstack run` has written it: it decides without the machine.
fn is_of_run(stack: &Stack, line: &Line, unit: Option<&UnitName>) -> bool {
    line.by.as_ref().is_some_and(|by| by.verb == "run") && unit.is_some_and(|unit| is_job(stack, unit))
}

/// Whether a receipt follows from what the machine has asked for and is not answered yet.
fn judge(asked: &[Action], stack: &Stack, receipt: &Receipt) -> Option<String> {
    let sent = |action: &&Action| match action {
        Action::Ask { target, signal, .. } => {
            unit(target) == receipt.unit.as_ref() && *signal == receipt.signal
        }
        Action::Kill { target } => unit(target) == receipt.unit.as_ref() && receipt.signal == Signal::KILL,
        _ => false,
    };
    let culprit = |action: &Action| match action {
        Action::Breach { unit, .. } => Some(unit) == receipt.unit.as_ref() && receipt.signal == Signal::KILL,
        _ => false,
    };
    if receipt.why == Why::Breach && asked.iter().any(culprit) {
        return None;
    }
    let Some(Action::Ask { target, .. } | Action::Kill { target }) = asked.iter().find(sent) else {
        return Some(format!("the machine did not ask for {} here", receipt.signal));
    };
    let why = stack.cause(target).why;
    let older = receipt.why == Why::Unknown;
    (!older && why != receipt.why).then(|| format!("the machine's reason is another: {why:?}"))
}

fn unreceipted(signalled: &BTreeSet<ProcId>, outcome: &Outcome) -> Option<String> {
    let stranger = outcome.ends.iter().find(|end| !signalled.contains(&end.process))?;
    Some(format!("pid {} has no receipt", stranger.process.pid))
}

fn unit(target: &Target) -> Option<&UnitName> {
    match target {
        Target::Life { unit, .. } => Some(unit),
        Target::Strays => None,
    }
}

/// Actions that one event answers.
fn awaits(action: &Action) -> bool {
    matches!(
        action,
        Action::Start { .. }
            | Action::Examine { .. }
            | Action::StopCommand { .. }
            | Action::Ask { .. }
            | Action::Kill { .. }
            | Action::Breach { .. }
            | Action::Seek { .. }
            | Action::Verify { .. }
    )
}

/// Takes the question that an event answers off the list; whether there was one, where it needs one.
fn answered(asked: &mut Vec<Action>, event: &Event) -> bool {
    let fits = |action: &Action| match (event, action) {
        (
            Event::Started { unit, life, .. } | Event::NotStarted { unit, life, .. },
            Action::Start { plan, life: of },
        ) => plan.name == *unit && life == of,
        (Event::Examined { unit, life, .. }, Action::Examine { unit: whose, life: of })
        | (Event::StopCommandEnded { unit, life, .. }, Action::StopCommand { unit: whose, life: of })
        | (Event::Breached { unit, life, .. }, Action::Breach { unit: whose, life: of, .. }) => {
            unit == whose && life == of
        }
        (Event::Asked { target, .. }, Action::Ask { target: whom, .. })
        | (Event::Killed { target, .. }, Action::Kill { target: whom }) => target == whom,
        (Event::Sought { .. }, Action::Seek { .. }) | (Event::Verified { .. }, Action::Verify { .. }) => true,
        _ => false,
    };
    if let Some(place) = asked.iter().position(fits) {
        let _ = asked.remove(place);
        return true;
    }
    !matches!(
        event,
        Event::Started { .. }
            | Event::NotStarted { .. }
            | Event::Examined { .. }
            | Event::StopCommandEnded { .. }
            | Event::Asked { .. }
            | Event::Killed { .. }
            | Event::Breached { .. }
            | Event::Sought { .. }
            | Event::Verified { .. }
    )
}

/// What the machine decided, in words: actions of one kind are told together.
#[must_use]
pub fn decision(actions: &[Action]) -> String {
    let mut told: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for action in actions {
        let (what, whom) = words(action);
        if !told.contains_key(what) {
            order.push(what);
        }
        told.entry(what).or_default().push(whom);
    }
    let each = order.into_iter().map(|what| {
        let whom = told.remove(what).unwrap_or_default().join(", ");
        if whom.is_empty() { what.to_owned() } else { format!("{what} {whom}") }
    });
    each.collect::<Vec<_>>().join("; ")
}

fn words(action: &Action) -> (&'static str, String) {
    let life = |unit: &UnitName, life: &crate::domain::Life| format!("{unit} (life {life})");
    let whom = |target: &Target| match target {
        Target::Life { unit, life: of } => life(unit, of),
        Target::Strays => "strays".to_owned(),
    };
    match action {
        Action::Start { plan, life: of } => ("start", life(&plan.name, of)),
        Action::WatchGate { unit, .. } => ("ask the gate of", unit.to_string()),
        Action::WatchHealth { unit, .. } => ("watch the health of", unit.to_string()),
        Action::Unwatch { unit, .. } => ("end the probes of", unit.to_string()),
        Action::Examine { unit, .. } => ("examine", unit.to_string()),
        Action::StopCommand { unit, .. } => ("run the stop command of", unit.to_string()),
        Action::Ask { target, signal, .. } => ("signal", format!("{} with {signal}", whom(target))),
        Action::Kill { target } => ("kill", whom(target)),
        Action::Breach { unit, .. } => ("note a broken limit of", unit.to_string()),
        Action::Confine { plan, .. } => ("have the limits held of", plan.name.to_string()),
        Action::Retire { unit, life: of } => ("retire", life(unit, of)),
        Action::Seek { .. } => ("look for strays", String::new()),
        Action::Verify { .. } => ("verify", String::new()),
        Action::Reply { reply, .. } => ("answer", reply_words(reply).to_owned()),
    }
}

fn reply_words(reply: &Reply) -> &'static str {
    match reply {
        Reply::Up(report) if report.ready => "that all is ready",
        Reply::Up(_) => "that not all is ready",
        Reply::Down(report) if report.clean => "that the stop is clean",
        Reply::Down(_) => "that the stop is not clean",
        Reply::Busy => "that the stack is being ended",
        Reply::NoSuchUnit(_) => "that there is no such service",
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
