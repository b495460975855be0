//! Receipts: who was signalled, why, and what became of each.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use crate::cage::Signalled;
use crate::domain::{Exit, ProcId, Signal, UnitName};
use crate::machine::{Cause, Target};
use crate::store::{End, Entry, Outcome, Receipt};
use crate::sys::pidfd::Pidfd;

/// So many handles are held for each target at most: whoever has ended beyond that is told without an exit code.
const HANDLES: usize = 256;

/// Receipts that are not in the journal yet, and those whose outcome is not known yet.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    written: Vec<Entry>,
    open: BTreeMap<Target, Vec<Open>>,
    /// Those that were ended for a broken limit, of targets that live on.
    culprits: BTreeMap<Target, Vec<Open>>,
}

/// One process that was signalled.
#[derive(Debug)]
struct Open {
    process: ProcId,
    signal: Signal,
    forced: bool,
    at: Instant,
    handle: Option<Rc<Pidfd>>,
    ended: Option<Instant>,
    exit: Option<Exit>,
}

impl Receipts {
    /// What is to be written since the last call.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.written)
    }

    /// These were sent a signal.
    pub(super) fn sent(&mut self, target: &Target, signal: Signal, cause: Cause, whom: Vec<Signalled>) {
        if whom.is_empty() {
            return;
        }
        let now = Instant::now();
        let open = self.open.entry(target.clone()).or_default();
        let mut places: BTreeMap<ProcId, usize> =
            open.iter().enumerate().map(|(place, one)| (one.process, place)).collect();
        for one in whom {
            let place = *places.entry(one.process).or_insert(open.len());
            let forced = signal == Signal::KILL;
            match open.get_mut(place) {
                Some(known) => known.forced |= forced,
                None => open.push(Open::new(one.process, signal, now)),
            }
            self.written.push(receipt(target, signal, cause, one, false));
        }
    }

    /// The same where the target lives on: its other processes go on. Gives what to wait for until
    /// [`Receipts::culprits_ended`].
    pub(super) fn culprits(&mut self, target: &Target, cause: Cause, whom: Vec<Signalled>) -> Vec<Rc<Pidfd>> {
        let now = Instant::now();
        let mut handles = Vec::new();
        let open = self.culprits.entry(target.clone()).or_default();
        for one in whom {
            // Where it is gone already, that is its end.
            let handle = Pidfd::open(one.process).ok().map(Rc::new);
            handles.extend(handle.clone());
            let ended = handle.is_none().then_some(now);
            open.push(Open { handle, ended, ..Open::new(one.process, Signal::KILL, now) });
            self.written.push(receipt(target, Signal::KILL, cause, one, false));
        }
        handles
    }

    /// Culprits of this target have ended: what became of each is told.
    pub(super) fn culprits_ended(&mut self, target: &Target) {
        let Some(open) = self.culprits.get_mut(target) else { return };
        look_at(open);
        if open.iter().any(|one| one.ended.is_none()) {
            return;
        }
        let open = self.culprits.remove(target).unwrap_or_default();
        self.tell_ends(target, open);
    }

    /// These could not be signalled, or must not be.
    pub(super) fn refused(&mut self, target: &Target, signal: Signal, cause: Cause, whom: Vec<Signalled>) {
        self.written.extend(whom.into_iter().map(|one| receipt(target, signal, cause, one, true)));
    }

    /// The ends of these are awaited anyway: their handles tell when and how they ended.
    pub(super) fn watch(&mut self, target: &Target, handles: Vec<Pidfd>) -> Vec<Rc<Pidfd>> {
        let handles: Vec<Rc<Pidfd>> = handles.into_iter().map(Rc::new).collect();
        self.look(target);
        if let Some(open) = self.open.get_mut(target) {
            let by_id: BTreeMap<ProcId, &Rc<Pidfd>> =
                handles.iter().map(|handle| (handle.id(), handle)).collect();
            for one in open {
                if let Some(handle) = by_id.get(&one.process) {
                    one.handle = Some(Rc::clone(handle));
                }
            }
        }
        handles
    }

    /// Something of this target has ended.
    pub(super) fn look(&mut self, target: &Target) {
        let Some(open) = self.open.get_mut(target) else { return };
        look_at(open);
    }

    /// The leader of this target has ended, as its keeper tells.
    pub(super) fn exited(&mut self, target: &Target, leader: ProcId, exit: Exit) {
        let open = self.open.get_mut(target).into_iter().flatten();
        for one in open.filter(|one| one.process == leader) {
            one.ended.get_or_insert_with(Instant::now);
            one.exit = Some(exit);
        }
    }

    /// Nothing of this target is left: what became of each is told.
    pub(super) fn emptied(&mut self, target: &Target) {
        self.look(target);
        let mut culprits = self.culprits.remove(target).unwrap_or_default();
        look_at(&mut culprits);
        self.tell_ends(target, culprits);
        let open = self.open.remove(target).unwrap_or_default();
        self.tell_ends(target, open);
    }

    fn tell_ends(&mut self, target: &Target, open: Vec<Open>) {
        if open.is_empty() {
            return;
        }
        let now = Instant::now();
        let ends = open.into_iter().map(|one| End {
            process: one.process,
            signal: one.signal,
            forced: one.forced,
            exit: one.exit,
            after_ms: millis(one.ended.unwrap_or(now).saturating_duration_since(one.at)),
        });
        let outcome = Outcome { unit: unit(target), ends: ends.collect() };
        self.written.push(Entry::Outcome(outcome));
    }
}

impl Open {
    fn new(process: ProcId, signal: Signal, at: Instant) -> Self {
        let forced = signal == Signal::KILL;
        Self { process, signal, forced, at, handle: None, ended: None, exit: None }
    }
}

/// Notes who of these has ended by now, and how.
fn look_at(open: &mut [Open]) {
    let now = Instant::now();
    let mut held = 0;
    for one in open {
        let Some(handle) = &one.handle else { continue };
        held += 1;
        if one.ended.is_none() && handle.has_ended() {
            one.ended = Some(now);
        }
        // Told only once its parent has reaped it.
        if one.ended.is_some() && one.exit.is_none() {
            one.exit = handle.exit().ok().flatten();
        }
        if one.exit.is_some() || (one.ended.is_some() && held > HANDLES) {
            one.handle = None;
        }
    }
}

fn receipt(target: &Target, signal: Signal, cause: Cause, one: Signalled, refused: bool) -> Entry {
    let Signalled { process, command, why } = one;
    let (evidence, refused) = if refused { (String::new(), Some(why)) } else { (why, None) };
    let Cause { why, request } = cause;
    Entry::Receipt(Receipt { signal, process, command, unit: unit(target), evidence, why, request, refused })
}

fn unit(target: &Target) -> Option<UnitName> {
    match target {
        Target::Life { unit, .. } => Some(unit.clone()),
        Target::Strays => None,
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Life, Pid};

    fn process(pid: i32) -> ProcId {
        ProcId { pid: Pid::new(pid).expect("above 1"), start: 7 }
    }

    fn signalled(pids: &[i32]) -> Vec<Signalled> {
        let one = |pid: &i32| Signalled {
            process: process(*pid),
            command: format!("program {pid}"),
            why: "ours".to_owned(),
        };
        pids.iter().map(one).collect()
    }

    #[test]
    fn each_signal_has_a_receipt_and_each_process_one_end() {
        let unit = UnitName::parse("api").expect("a name");
        let target = Target::Life { unit: unit.clone(), life: Life(1) };
        let mut receipts = Receipts::default();
        receipts.sent(&target, Signal::TERM, Cause::default(), signalled(&[77, 78]));
        receipts.sent(&target, Signal::KILL, Cause::default(), signalled(&[78]));
        receipts.refused(&target, Signal::KILL, Cause::default(), signalled(&[79]));
        receipts.exited(&target, process(77), Exit::Code(3));
        receipts.emptied(&target);
        receipts.emptied(&target);
        let (mut sent, mut outcomes) = (Vec::new(), Vec::new());
        for entry in receipts.take() {
            match entry {
                Entry::Receipt(one) => sent.push((one.process, one.signal, one.refused.is_some())),
                Entry::Outcome(one) => outcomes.push(one),
                other => panic!("{other:?}"),
            }
        }
        let (term, kill) = (Signal::TERM, Signal::KILL);
        let wanted = [(77, term, false), (78, term, false), (78, kill, false), (79, kill, true)];
        assert_eq!(sent, wanted.map(|(pid, signal, refused)| (process(pid), signal, refused)));
        let [outcome] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!(outcome.unit, Some(unit));
        let ends: Vec<_> =
            outcome.ends.iter().map(|end| (end.process, end.signal, end.forced, end.exit)).collect();
        assert_eq!(
            ends,
            [(process(77), term, false, Some(Exit::Code(3))), (process(78), term, true, None)],
            "who was refused has no end"
        );
        assert!(receipts.take().is_empty());
    }
}
