//! `sweep`: find what is left of stacks outside of what runs, show the evidence for each, end it, and verify.
//!
//! A stack that runs is asked to sweep beside its services. Of one that nobody holds any more all is left over: it is
//! ended as `down` ends it, by the rules that its services were started by.

mod lost;

use std::collections::BTreeSet;
use std::time::Instant;

use super::args::SweepArgs;
use super::down::end;
use super::exit::{CliError, Code};
use super::place::{Place, Stack, block_on, caller, path};
use crate::control::DownCall;
use crate::domain::{DownReport, Ended, Fate, ProcId, SweepReport, SweepRow, Trace};
use crate::machine::{DownRequest, Reply};
use crate::plan::{Plan, SweepPlan};
use crate::show::progress::Verb;
use crate::show::{Door, sweep};
use crate::supervisor::{self, Outlook, Whose, holder};

/// A stack that is swept.
struct Target {
    stack: Stack,
    /// The manifest as it is now, where it can be read.
    plan: Option<Plan>,
    whose: Whose,
    outlook: Outlook,
}

/// Runs the verb.
pub(super) fn run(place: &Place, door: &Door, args: &SweepArgs) -> Result<Code, CliError> {
    let begun = Instant::now();
    let targets = targets(place, door, args)?;
    let mut report = SweepReport { dry_run: args.dry_run, ..SweepReport::default() };
    report.rows = targets.iter().flat_map(Target::rows).collect();
    if !args.json {
        door.answer(&sweep::found(&door.out, &report))?;
    }
    report.clean = report.to_end() == 0;
    let mut stops = DownReport { clean: true, ..DownReport::default() };
    if !args.dry_run && !report.clean {
        for target in targets.into_iter().filter(|target| !target.outlook.strays.is_empty()) {
            take_in(&mut stops, target.end(place, door, args)?);
        }
        tell_fates(&mut report, stops.clone());
    }
    report.seconds = begun.elapsed().as_secs_f64();
    let text = if args.json { sweep::json(&report)? } else { sweep::summary(&door.out, &report) };
    door.answer(&text)?;
    match (report.clean, args.dry_run) {
        (true, _) => Ok(Code::Done),
        (false, true) => Err(CliError::Told(Code::Degraded)),
        (false, false) if args.json => Err(CliError::Told(Code::NotClean)),
        (false, false) => Err(CliError::NotClean(Box::new(stops))),
    }
}

/// How many strays of the stack here may be ended, and whose they are; for those who only look.
pub(super) fn seen_here(place: &Place, door: &Door) -> Option<(Stack, usize)> {
    let loaded = place.load(door).ok();
    let stack = match place.find().ok()? {
        Some(stack) => stack,
        None => place.unmade(&loaded.as_ref()?.plan).ok()?,
    };
    let target = Target::look(stack, loaded.map(|loaded| loaded.plan), Whose::Strays).ok()?;
    let count = target.outlook.strays.len();
    (count > 0).then_some((target.stack, count))
}

fn targets(place: &Place, door: &Door, args: &SweepArgs) -> Result<Vec<Target>, CliError> {
    let mut found = Vec::new();
    let here = match here(place, door) {
        // Of all stacks: none need be here.
        Err(CliError::NoManifest { named: false, .. }) if args.all_stacks => None,
        other => Some(other?),
    };
    let own = here.as_ref().map(|(stack, _)| stack.dir.hash.clone());
    if let Some((stack, plan)) = here {
        found.push(Target::look(stack, plan, Whose::Strays)?);
    }
    if !args.all_stacks {
        return Ok(found);
    }
    let all = place.all()?;
    for stack in all.iter().filter(|stack| Some(&stack.dir.hash) != own.as_ref()) {
        let gone = !stack.file.dir().exists();
        if holder(&stack.dir).is_some() {
            continue;
        }
        // Without its checkout no `up` will ever take over what its keepers hold.
        let whose = if gone { Whose::All } else { Whose::Strays };
        let mut plan = stack.file.plan.clone();
        if !gone {
            // A person may work in the checkout of a stack that is down: only what is proven to be its own is ended.
            plan = plan.map(|plan| Plan { sweep: SweepPlan::default(), ..plan });
        }
        let mut target = Target::look(stack.clone(), plan, whose)?;
        if target.outlook.runs && !gone {
            continue;
        }
        // What only resembles a stack that is not asked about is not worth a word.
        target.outlook.left_alone.clear();
        found.push(target);
    }
    for stack in lost::stacks(&place.home, &all) {
        found.push(Target::look(stack, None, Whose::Strays)?);
    }
    Ok(found)
}

/// The stack here, and its manifest where it can be read.
fn here(place: &Place, door: &Door) -> Result<(Stack, Option<Plan>), CliError> {
    let loaded = place.load(door);
    match (place.find()?, loaded) {
        (Some(stack), Ok(loaded)) => Ok((stack, Some(loaded.plan))),
        // To look leaves no trace.
        (None, Ok(loaded)) => Ok((place.unmade(&loaded.plan)?, Some(loaded.plan))),
        (Some(stack), Err(error)) => {
            // A manifest that was broken since `up` must not keep strays alive.
            door.say(&error.render(&door.err));
            door.say("the manifest cannot be used: the last `up` says what is swept\n");
            Ok((stack, None))
        }
        (None, Err(error)) => Err(error),
    }
}

impl Target {
    fn look(stack: Stack, plan: Option<Plan>, whose: Whose) -> Result<Self, CliError> {
        let known = plan.as_ref().or(stack.file.plan.as_ref());
        let sweep: SweepPlan = known.map(|plan| plan.sweep.clone()).unwrap_or_default();
        let spared: BTreeSet<ProcId> = caller().into_iter().collect();
        let mut outlook = supervisor::outlook(&stack.dir, &stack.file, &sweep, spared, whose)?;
        if let Some(plan) = known {
            let hidden = |traces: Vec<Trace>| plan.secrets.hide_in(traces);
            outlook.strays = hidden(outlook.strays);
            outlook.left_alone = hidden(outlook.left_alone);
        }
        Ok(Self { stack, plan, whose, outlook })
    }

    fn rows(&self) -> Vec<SweepRow> {
        let row = |fate: Fate| {
            move |trace: &Trace| SweepRow {
                stack: self.stack.file.name.clone(),
                dir: self.stack.file.dir().display().to_string(),
                trace: trace.clone(),
                fate,
            }
        };
        let strays = self.outlook.strays.iter().map(row(Fate::End));
        strays.chain(self.outlook.left_alone.iter().map(row(Fate::Leave))).collect()
    }

    fn end(self, place: &Place, door: &Door, args: &SweepArgs) -> Result<DownReport, CliError> {
        let stack = place.made(self.stack)?;
        let ask = |beside: bool| {
            let units = beside.then(Vec::new);
            let request = DownRequest { units, force: args.force, grace: args.timeout, strays: beside };
            let (plan, verb) = (self.plan.clone(), "sweep".to_owned());
            let call = DownCall { request, plan, caller: caller(), verb, path: path() };
            block_on(end(stack.clone(), door, call, Verb::Sweep))?
        };
        let ended = match ask(self.outlook.runs && self.whose == Whose::Strays) {
            // Somebody has begun to work on it since the look: what runs now is not meant.
            Err(CliError::Held { .. }) if !self.outlook.runs => ask(true),
            ended => ended,
        };
        match ended?.reply {
            Reply::Down(report) => Ok(named(report, self.outlook.strays)),
            reply => Err(CliError::Bug(format!("{reply:?} was answered to a sweep"))),
        }
    }
}

/// A whole stop counts lives, not their processes: those that were shown and live no more have ended.
fn named(mut report: DownReport, known: Vec<Trace>) -> DownReport {
    let deaf: Vec<ProcId> =
        report.units.iter().flat_map(|unit| &unit.deaf).map(|(process, _)| *process).collect();
    for Trace { process, command, evidence, .. } in known {
        let swept = report.swept.iter().map(|one| one.process);
        if !swept.chain(report.survivors.iter().map(|one| one.process)).any(|told| told == process) {
            let forced = deaf.contains(&process);
            report.swept.push(Ended { process, command, evidence, forced });
        }
    }
    report
}

/// What became of each process that was shown, and of those that were born since.
fn tell_fates(report: &mut SweepReport, stops: DownReport) {
    for row in report.rows.iter_mut().filter(|row| row.fate == Fate::End) {
        let is = |process: &ProcId| *process == row.trace.process;
        let swept = stops.swept.iter().find(|one| is(&one.process));
        row.fate = match swept.map(|one| one.forced) {
            _ if stops.survivors.iter().any(|one| is(&one.process)) => Fate::Survived,
            Some(true) => Fate::Killed,
            Some(false) | None => Fate::Ended,
        };
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    report.ended = count(stops.swept.len());
    report.forced = count(stops.swept.iter().filter(|one| one.forced).count());
    report.clean = stops.clean;
    report.survivors = stops.survivors;
}

fn take_in(all: &mut DownReport, one: DownReport) {
    // A port that a stranger holds is no stray: `down` tells of it.
    let held = one.ports.iter().any(|port| !port.free);
    let gone = one.containers.as_ref().is_none_or(|proof| proof.is_clean());
    all.clean &= one.clean || (held && gone && one.survivors.is_empty());
    all.swept.extend(one.swept);
    all.survivors.extend(one.survivors);
    all.containers = all.containers.take().or(one.containers.filter(|proof| !proof.is_clean()));
}
