//! `up`, `start` and `restart`: make units run.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::args::{RestartArgs, StartArgs, UpArgs};
use super::exit::{CliError, Code};
use super::load::Loaded;
use super::place::{Place, Stack, block_on, caller, unit_names};
use super::reach::{self, Wake};
use super::talk::{Ended, Hangup, Interruption, Interrupts, Source, follow};
use super::{budget, down, fallback, look};
use crate::control::{CancelCall, Client, ClientError, UpCall};
use crate::domain::{Failure, Signal, StackView, State, UnitName, UnitOutcome, UpReport, WallTime};
use crate::machine::{Reply, UpRequest};
use crate::plan::{Plan, SelectError, select};
use crate::show::progress::Verb;
use crate::show::{Door, Progress, json, monitor, up};
use crate::supervisor::{self, LaunchError};
use crate::sys::{clock, first, signals};

/// So many last lines of its log tell of a death.
const LAST_LINES: usize = 10;

/// What the command line asks for.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the switches of the command line")]
pub(super) struct Wish {
    /// The verb, for the journal.
    verb: &'static str,
    services: Vec<UnitName>,
    profiles: BTreeSet<String>,
    attach: bool,
    timeout: Option<Duration>,
    no_deps: bool,
    recreate: bool,
    dry_run: bool,
    keep: bool,
    strict: bool,
    json: bool,
}

impl Wish {
    /// What runs, by the manifest as it is now. One that does not come back takes none of the others with it.
    pub(super) fn reload(services: Vec<UnitName>) -> Self {
        Self { verb: "reload", services, keep: true, ..Self::default() }
    }
}

impl From<&UpArgs> for Wish {
    fn from(args: &UpArgs) -> Self {
        Self {
            verb: "up",
            services: args.services.clone(),
            profiles: args.profiles.iter().cloned().collect(),
            attach: args.attach,
            timeout: args.timeout,
            no_deps: args.no_deps,
            recreate: args.recreate,
            dry_run: args.dry_run,
            keep: args.keep,
            strict: args.strict,
            json: args.json,
        }
    }
}

impl From<&StartArgs> for Wish {
    fn from(args: &StartArgs) -> Self {
        Self {
            verb: "start",
            services: args.services.clone(),
            timeout: args.timeout,
            json: args.json,
            ..Self::default()
        }
    }
}

impl From<&RestartArgs> for Wish {
    fn from(args: &RestartArgs) -> Self {
        Self {
            verb: "restart",
            services: args.services.clone(),
            timeout: args.timeout,
            json: args.json,
            no_deps: true,
            recreate: true,
            // A service that does not come back should be there to be looked at, not be taken away as well.
            keep: true,
            ..Self::default()
        }
    }
}

/// Runs the verb.
pub(super) fn run(place: &Place, door: &Door, wish: &Wish) -> Result<Code, CliError> {
    if first::is_below() && !wish.attach && !wish.dry_run {
        // What it has started would be ended by the kernel in the moment in which it says that all is ready.
        return Err(CliError::Usage(
            "devstack is process 1 here: with it the kernel ends all that it has started; use `devstack up --attach`"
                .to_owned(),
        ));
    }
    let loaded = place.load(door)?;
    let units = selected(&loaded.plan, wish)?;
    let loaded = fallback::settle(place, loaded, &units, door)?;
    if wish.dry_run {
        return dry_run(place, door, &loaded, &units, wish);
    }
    let begun = clock::wall();
    place.check_nothing_older_runs(&loaded.plan, door)?;
    let stack = place.open(&loaded)?;
    let replaced = stack.was_replaced(&loaded.plan) && stack.runs(door);
    if replaced {
        door.say("another checkout stands here since the last `up`: what runs is started anew\n");
    }
    let recreate = wish.recreate || replaced;
    let (dir, budgets) = (loaded.plan.dir.display().to_string(), loaded.plan.budgets);
    let (ended, view) = block_on(bring_up(&stack, door, loaded, units, recreate, wish))??;
    let mut report = match ended.reply {
        Reply::Up(report) => report,
        Reply::Busy => return Err(reach::held(&stack)),
        Reply::NoSuchUnit(name) => {
            return Err(CliError::NoSuchService { name: name.to_string(), known: vec![] });
        }
        Reply::Down(_) => return Err(CliError::Bug("a down was answered to an up".to_owned())),
    };
    tell_deaths(&mut report, &view, &stack);
    let remarks = budget::of_up(&stack, &budgets, &report, &view);
    if wish.json {
        door.answer(&json::up(&report, &view, &remarks)?)?;
    } else {
        let table = up::report(&door.out, &report, &view);
        door.answer(&(table + &monitor::remarks(&door.out, &remarks)))?;
    }
    if !report.ready {
        return Err(failed(report, dir, ended.signal));
    }
    if wish.strict && !remarks.over.is_empty() {
        return Err(CliError::Told(Code::Failed));
    }
    if wish.attach { attach(place, door, &stack, &view, begun) } else { Ok(Code::Done) }
}

fn selected(plan: &Plan, wish: &Wish) -> Result<Vec<UnitName>, CliError> {
    select(plan, &wish.services, &wish.profiles, !wish.no_deps).map_err(|error| match error {
        SelectError::Unknown { name, .. } => {
            CliError::NoSuchService { name: name.to_string(), known: unit_names(plan) }
        }
    })
}

async fn bring_up(
    stack: &Stack,
    door: &Door,
    loaded: Loaded,
    units: Vec<UnitName>,
    recreate: bool,
    wish: &Wish,
) -> Result<(Ended, StackView), CliError> {
    let hangup = if wish.attach { Hangup::Heed } else { Hangup::Leave };
    let mut interrupts = Interrupts::listen(hangup)?;
    let recreate = match (recreate, wish.services.is_empty()) {
        (false, _) => Vec::new(),
        (true, true) => units.clone(),
        (true, false) => wish.services.clone(),
    };
    let call = UpCall {
        request: UpRequest {
            plan: Arc::new(loaded.plan),
            units,
            recreate,
            no_deps: wish.no_deps,
            keep: wish.keep,
            timeout: wish.timeout,
        },
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        auto_ports: loaded.auto_ports,
        caller: caller(),
        verb: wish.verb.to_owned(),
    };
    let lines = ask(stack, door, &call).await?;
    let progress = Progress::new(door, Verb::Up);
    let take_back = async |which, id| {
        if let Some(id) = id {
            let call = CancelCall { id, force: which == Interruption::Again };
            cancel(stack, call).await;
        }
    };
    let (awake, aloud) = (stack.clone(), door.clone());
    let keep_awake = Box::new(move || reach::keep_awake(&awake, &aloud));
    let ended = follow(Source::Remote { lines, keep_awake }, &mut interrupts, progress, take_back).await;
    let ended = ended.map_err(|error| stack.client_error(error))?;
    let view = reach::answer(stack, door, Wake::Yes, async {
        Client::connect(&stack.dir.socket()).await?.get("/v1/stack").await
    });
    let view = view.await.ok();
    // After a roll-back the supervisor is gone: what it told last is shown.
    let view = view.unwrap_or_else(|| StackView {
        stack: stack.file.name.clone(),
        dir: call.request.plan.dir.display().to_string(),
        supervisor: None,
        services: ended.units.clone(),
        strays: Vec::new(),
        warnings: Vec::new(),
        alerts: Vec::new(),
    });
    Ok((ended, view))
}

async fn ask(stack: &Stack, door: &Door, call: &UpCall) -> Result<crate::control::Lines, CliError> {
    let mut last = ClientError::Absent;
    for _ in 0..reach::TRIES {
        supervisor::ensure(&stack.dir).await.map_err(|error| not_launched(stack, error))?;
        let asked = reach::answer(stack, door, Wake::Yes, async {
            Client::connect(&stack.dir.socket()).await?.ask("/v1/up", call).await
        });
        match asked.await {
            Ok(lines) => return Ok(lines),
            // It waits for something that does not come, or another one has the lock and no socket: what lives is taken
            // over by the next.
            Err(ClientError::Silent) if reach::waits(stack) => {
                reach::depose(stack, door)?;
                last = ClientError::Silent;
            }
            Err(error @ (ClientError::Absent | ClientError::Broken(_) | ClientError::Refused(503, _))) => {
                last = error;
                tokio::time::sleep(reach::BREATH).await;
            }
            Err(error) => return Err(stack.client_error(error)),
        }
    }
    Err(stack.client_error(last))
}

fn not_launched(stack: &Stack, error: LaunchError) -> CliError {
    match error {
        LaunchError::Held => reach::held(stack),
        LaunchError::Deaf => stack.client_error(ClientError::Silent),
        LaunchError::Socket(source) => {
            CliError::Io { what: "the supervisor's lock and socket cannot be made".to_owned(), source }
        }
        LaunchError::Spawn { error, crowd } if !crowd.is_empty() => {
            CliError::NoProcess { reason: error.to_string(), crowd }
        }
        error @ LaunchError::Spawn { .. } => {
            CliError::Io { what: "starting the supervisor".to_owned(), source: std::io::Error::other(error) }
        }
    }
}

/// Takes a request back; a supervisor that is gone has nothing to take back.
async fn cancel(stack: &Stack, call: CancelCall) {
    if let Ok(mut client) = Client::connect(&stack.dir.socket()).await {
        let _ = client.post("/v1/cancel", &call).await;
    }
}

/// What has no gate counts as ready as soon as it runs: one that has ended between the answer and the look is no success.
fn tell_deaths(report: &mut UpReport, view: &StackView, stack: &Stack) {
    for (name, outcome) in &mut report.units {
        let died = view.services.iter().find(|unit| unit.name == *name && unit.state == State::Failed);
        let good = matches!(outcome, UnitOutcome::Started | UnitOutcome::Recreated | UnitOutcome::Unchanged);
        if let (true, Some(exit)) = (good, died.and_then(|unit| unit.exit)) {
            let tail = crate::store::log::tail(&stack.dir.log(name), LAST_LINES);
            *outcome = UnitOutcome::Failed(Failure::Exited { exit, was_ready: true, tail });
            report.ready = false;
        }
    }
}

fn failed(report: UpReport, dir: String, signal: Option<i32>) -> CliError {
    match signal {
        Some(signal) if signal != libc::SIGINT => CliError::Interrupted(Signal::from_number(signal)),
        _ => CliError::NotUp { report: Box::new(report), dir },
    }
}

/// Stays with the stack: shows its logs, and ends it on Ctrl-C.
fn attach(
    place: &Place,
    door: &Door,
    stack: &Stack,
    view: &StackView,
    since: WallTime,
) -> Result<Code, CliError> {
    let units = view.services.iter().map(|unit| unit.name.clone());
    let files = units.map(|unit| (unit.clone(), stack.dir.log(&unit))).collect();
    let colour = door.out.colours();
    let on_terminal = std::io::stdout().is_terminal() && !signals::is_ignored(libc::SIGHUP);
    let (unread, reader_gone) = oneshot::channel();
    // It shows what is written while the stack ends, too; the end of this process ends it.
    std::thread::spawn(move || {
        look::follow_logs(files, since, colour);
        let _ = unread.send(());
    });
    let interrupted = block_on(async {
        let mut interrupts = Interrupts::listen(Hangup::Heed)?;
        tokio::select! {
            _ = interrupts.next() => Ok::<bool, CliError>(true),
            () = end_of(stack) => Ok(false),
            // A terminal that closes is told twice, as a signal and as an error: either may come first.
            _ = reader_gone => Ok(on_terminal),
        }
    })??;
    if interrupted { down::run(place, door, &down::Wish::whole("up --attach")) } else { Ok(Code::Done) }
}

/// Waits until the stack's supervisor has ended.
async fn end_of(stack: &Stack) {
    if let Ok(mut client) = Client::connect(&stack.dir.socket()).await
        && let Ok(mut lines) = client.watch("/v1/watch").await
    {
        while let Ok(Some(_)) = lines.next().await {}
    }
}

fn dry_run(
    place: &Place,
    door: &Door,
    loaded: &Loaded,
    units: &[UnitName],
    wish: &Wish,
) -> Result<Code, CliError> {
    let view = place.find()?.map(|stack| stack.view(door)).transpose()?;
    let running = |name: &UnitName| {
        let unit = view.iter().flat_map(|view| &view.services).find(|unit| unit.name == *name);
        unit.is_some_and(|unit| {
            matches!(unit.state, State::Ready | State::Completed | State::Starting | State::Unhealthy)
        })
    };
    let planned = loaded.plan.units.iter().filter(|unit| units.contains(&unit.name));
    let steps: Vec<up::Step> = planned
        .map(|unit| {
            let needs: Vec<&str> = unit.depends_on.iter().map(|need| need.unit.as_str()).collect();
            let (action, note) = match (running(&unit.name), wish.recreate) {
                (true, true) => ("recreate", String::new()),
                (true, false) => ("keep", "it runs, if its definition has not changed".to_owned()),
                (false, _) if needs.is_empty() => ("start", String::new()),
                (false, _) => ("start", format!("after {}", needs.join(", "))),
            };
            let instead = unit.instead_of.as_ref().map(|image| format!("instead of {image}"));
            let notes: Vec<String> =
                instead.into_iter().chain([note]).filter(|note| !note.is_empty()).collect();
            let note = notes.join("; ");
            up::Step { name: unit.name.clone(), action, note }
        })
        .collect();
    door.answer(&up::dry_run(&door.out, &steps))?;
    Ok(Code::Done)
}
