//! What the journal of the stack is told by `devstack run`: the limits that its job broke, whom it signalled by itself, why, by which
//! evidence, and what became of each.

use std::collections::BTreeMap;

use crate::cage::{KillOutcome, Signalled};
use crate::domain::{Asker, Breach, Exit, Life, Moment, Pid, ProcId, Signal, UnitName, Why};
use crate::keeper::Sent;
use crate::plan::Secrets;
use crate::store::{End, Entry, Journal, Line, Outcome, Receipt, StackDir};
use crate::sys::{clock, users};

/// The journal as a job writes it: opened with the first signal.
#[derive(Debug)]
pub(super) struct Receipts {
    dir: StackDir,
    journal: Option<Journal>,
    unit: UnitName,
    secrets: Secrets,
    ends: BTreeMap<ProcId, (End, Moment)>,
}

impl Receipts {
    pub(super) fn of(dir: &StackDir, unit: &UnitName, secrets: &Secrets) -> Self {
        let (dir, unit, secrets) = (dir.clone(), unit.clone(), secrets.clone());
        Self { dir, journal: None, unit, secrets, ends: BTreeMap::new() }
    }

    /// These were sent a signal, or should have been.
    pub(super) fn sent(&mut self, sent: Sent, why: Why) {
        let now = clock::moment();
        let forced = sent.signal == Signal::KILL;
        for one in sent.heard {
            let end = End { process: one.process, signal: sent.signal, forced, exit: None, after_ms: 0 };
            self.ends.entry(one.process).or_insert((end, now)).0.forced |= forced;
            self.write(receipt(&self.unit, sent.signal, why, one, false));
        }
        for one in sent.refused {
            self.write(receipt(&self.unit, sent.signal, why, one, true));
        }
    }

    /// A limit was broken, and these were killed for it.
    pub(super) fn breached(&mut self, life: Life, breach: &Breach, killed: KillOutcome) {
        let ended = killed.forced.iter().map(|one| (one.process, one.command.clone())).collect();
        let refused = killed.survivors.iter().map(|one| (one.process, one.reason.clone())).collect();
        self.sent(Sent { signal: Signal::KILL, heard: killed.forced, refused: Vec::new() }, Why::Breach);
        self.write(Entry::breached(self.unit.clone(), life, breach.clone(), ended, refused));
    }

    /// A child has ended, whose number is its own until it is reaped.
    pub(super) fn ended(&mut self, pid: Pid, exit: Exit) {
        for (end, at) in
            self.ends.values_mut().filter(|(end, _)| end.process.pid == pid && end.exit.is_none())
        {
            end.exit = Some(exit);
            end.after_ms = clock::moment().0.saturating_sub(at.0);
        }
    }

    /// Nothing is left but these.
    pub(super) fn emptied(&mut self, survivors: &[ProcId]) {
        let now = clock::moment();
        let ends = std::mem::take(&mut self.ends).into_values();
        let ends = ends.filter(|(end, _)| !survivors.contains(&end.process)).map(|(end, at)| {
            let seen = if end.exit.is_some() { end.after_ms } else { now.0.saturating_sub(at.0) };
            End { after_ms: seen, ..end }
        });
        let ends: Vec<End> = ends.collect();
        if !ends.is_empty() {
            self.write(Entry::Outcome(Outcome { unit: Some(self.unit.clone()), ends }));
        }
    }

    fn write(&mut self, entry: Entry) {
        let by = matches!(entry, Entry::Receipt(_) | Entry::Outcome(_)).then(|| Asker {
            verb: "run".to_owned(),
            user: users::name(users::own_uid()),
            pid: i32::try_from(std::process::id()).ok(),
        });
        let entry = self.secrets.hide_in(entry);
        let journal = self.journal.get_or_insert_with(|| Journal::open(&self.dir.journal()));
        journal.write(&Line { at: clock::wall(), moment: clock::moment(), entry, by });
    }
}

fn receipt(unit: &UnitName, signal: Signal, why: Why, one: Signalled, refused: bool) -> Entry {
    let Signalled { process, command, why: reason } = one;
    let (evidence, refused) = if refused { (String::new(), Some(reason)) } else { (reason, None) };
    let unit = Some(unit.clone());
    Entry::Receipt(Receipt { signal, process, command, unit, evidence, why, request: None, refused })
}
