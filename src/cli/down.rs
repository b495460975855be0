//! `down` and `stop`: end units, sweep, and prove that nothing is left.

use std::time::Duration;

use tokio::sync::oneshot;

use super::args::{DownArgs, StopArgs};
use super::exit::{CliError, Code};
use super::place::{Place, Stack, block_on, caller, check_names, path};
use super::reach::{self, Wake};
use super::talk::{Ended, Hangup, Interrupts, Source, follow};
use super::{budget, volumes};
use crate::control::{Answers, Call, Client, ClientError, DownCall, Lines, Peer};
use crate::domain::{DownReport, Excess, UnitName};
use crate::engine::label;
use crate::machine::{DownRequest, Reply};
use crate::plan::Plan;
use crate::show::down::Volumes;
use crate::show::progress::Verb;
use crate::show::{Door, Progress, down, json, monitor};
use crate::supervisor::{self, Claim};

/// What the command line asks for.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(super) struct Wish {
    /// The verb, for the journal.
    verb: &'static str,
    services: Vec<UnitName>,
    force: bool,
    timeout: Option<Duration>,
    /// Of what is named, or of all, only services in containers.
    containers: bool,
    /// Named volumes too.
    volumes: bool,
    /// Without a question.
    yes: bool,
    strict: bool,
    dry_run: bool,
    json: bool,
}

impl Wish {
    /// The whole stack, gracefully, for this verb.
    pub(super) fn whole(verb: &'static str) -> Self {
        Self { verb, ..Self::default() }
    }

    /// Whether all of the stack is ended, whatever is known of it.
    fn ends_all(&self) -> bool {
        self.services.is_empty() && !self.containers && !self.dry_run
    }
}

impl From<&DownArgs> for Wish {
    fn from(args: &DownArgs) -> Self {
        Self {
            verb: "down",
            services: args.services.clone(),
            force: args.force,
            timeout: args.timeout,
            containers: args.containers,
            volumes: args.volumes,
            yes: args.yes,
            strict: args.strict,
            dry_run: args.dry_run,
            json: args.json,
        }
    }
}

impl From<&StopArgs> for Wish {
    fn from(args: &StopArgs) -> Self {
        Self {
            verb: "stop",
            services: args.services.clone(),
            force: args.force,
            timeout: args.timeout,
            json: args.json,
            ..Self::default()
        }
    }
}

/// Runs the verb.
pub(super) fn run(place: &Place, door: &Door, wish: &Wish) -> Result<Code, CliError> {
    let loaded = place.load(door);
    if let (false, Ok(loaded)) = (wish.ends_all(), &loaded) {
        place.check_record(&loaded.plan)?;
    }
    let known = place.find()?;
    let stack = match (known, &loaded) {
        (Some(stack), _) => stack,
        (None, Ok(loaded)) => place.open(loaded)?,
        (None, Err(_)) => return loaded.map(|_| Code::Done),
    };
    if let Err(error) = &loaded {
        // A manifest that was broken since `up` must not keep its processes alive.
        door.say(&error.render(&door.err));
        door.say("the manifest cannot be used: what the last `up` recorded is ended\n");
    }
    let loaded = loaded.ok();
    if let Some(plan) = stack.file.plan.as_ref().or(loaded.as_ref().map(|loaded| &loaded.plan)) {
        let now = loaded.as_ref().map(|loaded| &loaded.plan);
        let unknown =
            |name: &&UnitName| !now.is_some_and(|now| now.units.iter().any(|unit| unit.name == **name));
        let doubtful: Vec<UnitName> = wish.services.iter().filter(unknown).cloned().collect();
        check_names(plan, &doubtful)?;
    }
    let plans = [stack.file.plan.clone(), loaded.as_ref().map(|loaded| loaded.plan.clone())];
    let plans: Vec<&Plan> = plans.iter().flatten().collect();
    let Some(units) = units(wish, &plans) else {
        door.say("no service in a container is meant: nothing to do\n");
        let nothing = DownReport { clean: true, ..DownReport::default() };
        return tell(door, wish, nothing, &Volumes::default(), &[]);
    };
    if wish.dry_run {
        let mut view = stack.view(door)?;
        if wish.containers {
            view.services.retain(|unit| unit.container.is_some());
            view.strays.clear();
        }
        door.answer(&down::dry_run(&door.out, &view))?;
        return Ok(Code::Done);
    }
    // Before anything is ended: whoever says no has lost nothing.
    let owner = label::owner(&stack.file.secret);
    let found = if wish.volumes { Some(block_on(volumes::Found::of(&owner, &plans))??) } else { None };
    if let Some(found) = &found
        && !found.agreed(door, wish.yes, wish.json)?
    {
        door.say("nothing was done\n");
        return Err(CliError::Told(Code::Failed));
    }
    let request = DownRequest { units, force: wish.force, grace: wish.timeout, strays: false };
    let verb = wish.verb.to_owned();
    let plan = loaded.map(|loaded| loaded.plan);
    let call = DownCall { request, plan, caller: caller(), verb, path: path() };
    let ended = block_on(end(stack, door, call, Verb::Down))??;
    match ended.reply {
        Reply::Down(report) => {
            let volumes = match found {
                // What may still run may still write.
                Some(found) if !report.clean => found.left("the stop is not clean"),
                Some(found) => block_on(found.remove())?,
                None => volumes::kept(&report, &plans),
            };
            // As the manifest says now; where it cannot be used, as it said at the last `up`.
            let budgets = plans.last().map(|plan| plan.budgets).unwrap_or_default();
            let over = budget::of_down(&budgets, report.seconds);
            tell(door, wish, report, &volumes, &over)
        }
        Reply::NoSuchUnit(name) => Err(CliError::NoSuchService { name: name.to_string(), known: vec![] }),
        Reply::Up(_) | Reply::Busy => Err(CliError::Bug("an up was answered to a down".to_owned())),
    }
}

/// The units to be ended: none for the whole stack, nothing where nothing is meant.
#[expect(clippy::option_option, reason = "the inner one is the request's own word for the whole stack")]
fn units(wish: &Wish, plans: &[&Plan]) -> Option<Option<Vec<UnitName>>> {
    if !wish.containers {
        return Some((!wish.services.is_empty()).then(|| wish.services.clone()));
    }
    let meant = |name: &UnitName| wish.services.is_empty() || wish.services.contains(name);
    let units = plans.iter().flat_map(|plan| &plan.units).filter(|unit| unit.container.is_some());
    let mut names: Vec<UnitName> = units.map(|unit| unit.name.clone()).filter(meant).collect();
    names.sort();
    names.dedup();
    // An empty list would mean the whole stack.
    (!names.is_empty()).then_some(Some(names))
}

fn tell(
    door: &Door,
    wish: &Wish,
    report: DownReport,
    volumes: &Volumes,
    over: &[Excess],
) -> Result<Code, CliError> {
    if wish.json {
        door.answer(&json::down(&report, volumes, over)?)?;
    } else {
        let told = [
            down::report(&door.out, &report),
            monitor::excesses(&door.out, over),
            down::volumes(&door.out, volumes),
        ];
        door.answer(&told.concat())?;
    }
    match (report.clean, wish.json) {
        (true, _) if volumes.left.is_empty() && wish.strict && !over.is_empty() => {
            Err(CliError::Told(Code::Failed))
        }
        (true, _) if volumes.left.is_empty() => Ok(Code::Done),
        (true, _) | (false, true) => Err(CliError::Told(Code::NotClean)),
        (false, false) => Err(CliError::NotClean(Box::new(report))),
    }
}

/// Has it done by the supervisor, or does it where there is none, and follows it to its end.
pub(super) async fn end(stack: Stack, door: &Door, call: DownCall, verb: Verb) -> Result<Ended, CliError> {
    let mut interrupts = Interrupts::listen(Hangup::Outlive)?;
    let harder = DownCall {
        request: DownRequest { force: true, ..call.request.clone() },
        plan: None,
        caller: call.caller.clone(),
        verb: call.verb.clone(),
        path: call.path.clone(),
    };
    let (asked, progress) = (ask(&stack, door, &call, verb).await?, Progress::new(door, verb));
    let ended = match asked {
        Worker::Supervisor(lines) => {
            let by_force = async |_, _| {
                if let Ok(mut client) = Client::connect(&stack.dir.socket()).await {
                    // The first request gives the answer for both: these lines are not read.
                    let _ = client.ask("/v1/down", &harder).await;
                }
            };
            let (awake, aloud) = (stack.clone(), door.clone());
            let keep_awake = Box::new(move || reach::keep_awake(&awake, &aloud));
            follow(Source::Remote { lines, keep_awake }, &mut interrupts, progress, by_force).await
        }
        Worker::Myself(claim) => {
            let ended = supervisor::down(claim, stack.file.clone(), call, async |inline| {
                let calls = inline.calls.clone();
                let by_force = async |_, _| {
                    let answers = Answers { accepted: oneshot::channel().0, reply: oneshot::channel().0 };
                    let _ = calls.send(Call::Down(Box::new(harder.clone()), Peer::own(), answers));
                };
                follow(Source::Inline(inline), &mut interrupts, progress, by_force).await
            });
            let (ended, warnings) = ended.await?;
            door.warn(&warnings);
            ended
        }
    };
    ended.map_err(|error| stack.client_error(error))
}

/// Who does the work.
enum Worker {
    /// The supervisor, by its answer.
    Supervisor(Lines),
    /// This process: no supervisor lives, or none that answers.
    Myself(Claim),
}

/// Asks the supervisor; where none lives or answers, takes its place. A sweep is no reason to end one that is silent.
async fn ask(stack: &Stack, door: &Door, call: &DownCall, verb: Verb) -> Result<Worker, CliError> {
    if verb == Verb::Sweep && call.request.units.is_none() {
        // What is left of a stack that nobody holds: whoever has brought it up since must not be ended with it.
        let claim = supervisor::claim(&stack.dir, false).await?;
        return claim.map(Worker::Myself).ok_or_else(|| reach::held(stack));
    }
    for _ in 0..reach::TRIES {
        let asked = reach::answer(stack, door, Wake::Yes, async {
            Client::connect(&stack.dir.socket()).await?.ask("/v1/down", call).await
        });
        let mute = match asked.await {
            Ok(lines) => return Ok(Worker::Supervisor(lines)),
            // No supervisor, or one that is just ending.
            Err(ClientError::Absent | ClientError::Broken(_) | ClientError::Refused(503, _)) => false,
            Err(ClientError::Silent) if verb != Verb::Sweep => {
                reach::depose(stack, door)?;
                true
            }
            Err(error) => return Err(stack.client_error(error)),
        };
        if let Some(claim) = supervisor::claim(&stack.dir, mute).await? {
            return Ok(Worker::Myself(claim));
        }
        // Somebody has come by the socket or the lock meanwhile: he is asked.
        tokio::time::sleep(reach::BREATH).await;
    }
    Err(reach::held(stack))
}
