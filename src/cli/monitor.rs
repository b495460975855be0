//! `monitor`: what each service takes, look by look, with or without a supervisor.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::args::MonitorArgs;
use super::exit::{CliError, Code};
use super::place::{Place, Stack, block_on};
use super::reach::{self, Wake};
use super::talk::{Hangup, Interrupts};
use crate::control::Client;
use crate::domain::{Alert, Budgets, Excess, LifeUsage, PastUsage, Signal, TotalUsage};
use crate::plan::MonitorPlan;
use crate::show::event::clock as time_of_day;
use crate::show::{Block, Door, json_usage, monitor};
use crate::supervisor::{self, Measured};
use crate::sys::{clock, proc};
use crate::usage::{Alerts, Meter, Subject, Thresholds};

/// Between the two looks of `--once`: shares of the processor need two.
const ONCE: Duration = Duration::from_millis(500);

/// Runs the verb.
pub(super) fn run(place: &Place, door: &Door, args: &MonitorArgs) -> Result<Code, CliError> {
    let stack = place.stack(door)?;
    let plan = stack.file.plan.as_ref();
    let watched = plan.map(|plan| plan.monitor).unwrap_or_default();
    let interval = args.interval.unwrap_or(watched.interval);
    if args.interval.is_some_and(|interval| interval < SHORTEST) {
        return Err(CliError::Usage("--interval: 100ms is the shortest".to_owned()));
    }
    let budgets = plan.map(|plan| plan.budgets).unwrap_or_default();
    let mut watch = Watch::new(&stack, &watched, budgets);
    if args.once {
        let first = watch.look()?;
        std::thread::sleep(interval.min(ONCE));
        let mut look = watch.look()?;
        look.alerts.splice(..0, first.alerts);
        if look.lives.is_empty() {
            return Err(CliError::NotRunning { what: stack.file.name.to_string() });
        }
        let mut text = if args.json { look.json(&stack)? } else { look.table(door, &stack) };
        if !args.json {
            let zone = TimeZone::system();
            text.extend(look.alerts.iter().map(|alert| line(door, alert, &zone)));
        }
        door.answer(&text)?;
        return Ok(Code::Done);
    }
    block_on(follow(&stack, door, args.json, interval, watch))?
}

/// More often, looking would be a load of its own.
const SHORTEST: Duration = Duration::from_millis(100);

/// Looks until somebody ends it, or nobody reads any more.
async fn follow(
    stack: &Stack,
    door: &Door,
    json: bool,
    interval: Duration,
    mut watch: Watch<'_>,
) -> Result<Code, CliError> {
    let mut interrupts = Interrupts::listen(Hangup::Leave)?;
    if json
        && !past(stack, door).await?.into_iter().try_fold(true, |read, past| {
            let line = json_usage::past(&stack.file.name, &past)?;
            Ok::<bool, CliError>(read && door.stream(&line)?)
        })?
    {
        return Ok(Code::Done);
    }
    let block = Block::new(door);
    let zone = TimeZone::system();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            signal = interrupts.next() => return Ok(Code::Signal(Signal::from_number(signal))),
            _ = ticks.tick() => {}
        }
        let look = watch.look()?;
        if json {
            if !door.stream(&look.json(stack)?)? {
                return Ok(Code::Done);
            }
            continue;
        }
        for alert in &look.alerts {
            block.say(&line(door, alert, &zone))?;
        }
        if !block.show(&look.table(door, stack))? {
            return Ok(Code::Done);
        }
    }
}

/// What the supervisor remembers; nothing where none lives, or it has no reason to look.
async fn past(stack: &Stack, door: &Door) -> Result<Vec<PastUsage>, CliError> {
    let told = reach::answer(stack, door, Wake::No, async {
        Client::connect(&stack.dir.socket()).await?.get("/v1/usage").await
    });
    // One that cannot be asked, or is older than this question, has nothing to tell.
    Ok(told.await.unwrap_or_default())
}

fn line(door: &Door, alert: &Alert, zone: &TimeZone) -> String {
    let now = clock::wall();
    monitor::alert(&door.out, &time_of_day(now, now, zone), alert)
}

/// Looks at the lives of a stack, as its ledger names them.
struct Watch<'a> {
    stack: &'a Stack,
    meter: Meter,
    alerts: Alerts,
    memory_limit: Option<u64>,
    budgets: Budgets,
}

/// One look.
struct Look {
    lives: Vec<LifeUsage>,
    alerts: Vec<Alert>,
    over: Vec<Excess>,
}

impl<'a> Watch<'a> {
    fn new(stack: &'a Stack, plan: &MonitorPlan, budgets: Budgets) -> Self {
        let mut alerts = Alerts::default();
        alerts.set(Thresholds { memory: plan.memory, processes: plan.pids });
        // Beyond the lower of both it is worth the work to count what is shared once.
        let memory_limit = plan.memory.into_iter().chain(budgets.memory).min();
        Self { stack, meter: Meter::default(), alerts, memory_limit, budgets }
    }

    fn look(&mut self) -> Result<Look, CliError> {
        let measured = supervisor::measured(&self.stack.dir, &self.stack.file)?;
        let subjects: Vec<Subject<'_>> = measured.iter().map(Measured::subject).collect();
        let sample = self.meter.sample(&subjects, self.memory_limit, clock::moment());
        let alerts = self.alerts.judge(&sample, proc::command_of);
        let secrets = self.stack.file.plan.as_ref().map(|plan| plan.secrets.clone()).unwrap_or_default();
        let total = TotalUsage::of(&sample.lives);
        let over = self.budgets.stack(total.processes, total.memory);
        Ok(Look { lives: secrets.hide_in(sample.lives), alerts: secrets.hide_in(alerts), over })
    }
}

impl Look {
    fn table(&self, door: &Door, stack: &Stack) -> String {
        monitor::table(&door.out, &stack.file.name, &self.lives, &self.over)
    }

    fn json(&self, stack: &Stack) -> Result<String, CliError> {
        let Self { lives, alerts, over } = self;
        Ok(json_usage::usage(&stack.file.name, clock::wall(), lives, alerts, over)?)
    }
}
