//! Reaching a supervisor that may be stopped or hang: a command says so in time, and never waits for it for ever.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::exit::CliError;
use super::place::Stack;
use crate::control::ClientError;
use crate::show::Door;
use crate::store::StackDir;
use crate::supervisor::{Holder, Recalled, Standing, holder, recall, unreachable};

/// A supervisor that is well answers within milliseconds; after so long it is looked at for the first time.
const NOTICE: Duration = Duration::from_millis(250);

/// So long one that was woken, or that waits for something, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// So long a debugger may hold it.
const DEBUG_PATIENCE: Duration = Duration::from_secs(2);

/// So long one that works may take: it has much to do, or the machine has.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what it is doing.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// One that is just ending refuses its last callers: so often they try again.
pub(super) const TRIES: usize = 100;

/// Between two tries.
pub(super) const BREATH: Duration = Duration::from_millis(20);

/// What may be done about a supervisor that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// It is told to go on.
    Yes,
    /// Whoever only looks changes nothing.
    No,
}

/// Waits for an answer. [`ClientError::Silent`] where the supervisor lives and does not give one in time.
pub(super) async fn answer<T>(
    stack: &Stack,
    door: &Door,
    wake: Wake,
    asked: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    if recall(&stack.dir).await == Recalled::Deaf {
        return Err(ClientError::Silent);
    }
    let mut asked = pin!(asked);
    let begun = Instant::now();
    let (mut idle_since, mut work) = (begun, 0);
    let mut pause = NOTICE;
    loop {
        if let Ok(answer) = timeout(pause, &mut asked).await {
            return answer;
        }
        pause = LOOK;
        // Nobody to be seen: it may be loading still.
        let standing = holder(&stack.dir).and_then(|holder| Some((holder.standing()?, holder)));
        let done = standing.as_ref().map_or(0, |(_, holder)| holder.work());
        if std::mem::replace(&mut work, done) < done {
            idle_since = Instant::now();
        }
        let patience = match &standing {
            Some((Standing::Stopped, _)) if wake == Wake::No => return Err(ClientError::Silent),
            Some((Standing::Stopped, holder)) => {
                rouse(door, holder);
                PATIENCE
            }
            Some((Standing::Runs, _)) => BUSY_PATIENCE,
            Some((Standing::Traced, _)) => DEBUG_PATIENCE,
            Some((Standing::Waits, _)) | None => PATIENCE,
        };
        if idle_since.elapsed() > patience || begun.elapsed() > BUSY_PATIENCE {
            return Err(ClientError::Silent);
        }
    }
}

/// Looks whether the supervisor was stopped in the middle of a request, and wakes it then.
pub(super) fn keep_awake(stack: &Stack, door: &Door) {
    if let Some(holder) = holder(&stack.dir)
        && holder.standing() == Some(Standing::Stopped)
    {
        rouse(door, &holder);
    }
}

fn rouse(door: &Door, holder: &Holder) {
    let (who, pid) = (name(holder), holder.id.pid);
    match holder.wake() {
        Ok(()) => door.say(&format!("{who} (pid {pid}) was stopped (SIGSTOP): it is woken\n")),
        Err(error) => door.say(&format!("{who} (pid {pid}) was stopped and cannot be woken: {error}\n")),
    }
}

/// Who holds a stack and does not answer, and what it is doing: for people.
pub(super) fn who(dir: &StackDir) -> Option<(String, i32, &'static str)> {
    let holder = holder(dir)?;
    let doing = match holder.standing()? {
        Standing::Stopped => "stopped (SIGSTOP)",
        Standing::Traced => "held by a debugger",
        Standing::Runs => "busy",
        Standing::Waits => "waiting for something",
    };
    Some((name(&holder).to_owned(), holder.id.pid.get(), doing))
}

/// Said where a look goes on without the supervisor.
pub(super) fn silence(dir: &StackDir) -> String {
    let what = match who(dir) {
        Some((name, pid, doing)) => format!("{name} (pid {pid}) does not answer: it is {doing}"),
        None => "the supervisor does not answer".to_owned(),
    };
    format!(
        "{what}\nshown is what the ledger and the kernel know; `devstack up` or `devstack down` wakes it\n"
    )
}

/// Who holds the stack, as an error.
pub(super) fn held(stack: &Stack) -> CliError {
    let holder = holder(&stack.dir);
    let command = holder.as_ref().filter(|holder| !holder.is_supervisor).map(|holder| holder.command.clone());
    CliError::Held { command, pid: holder.map(|holder| holder.id.pid.get()), age_ms: None }
}

/// Ends a supervisor that does not answer: a stop must never hang on it. Its services live on until they are ended.
pub(super) fn depose(stack: &Stack, door: &Door) -> Result<(), CliError> {
    // Nobody holds the lock: whoever listens there has nothing to do with the stack, and its socket is replaced.
    let Some(holder) = holder(&stack.dir).or_else(|| unreachable(&stack.dir)) else { return Ok(()) };
    if !holder.is_supervisor {
        return Err(held(stack));
    }
    let pid = holder.id.pid;
    door.say(&format!(
        "the supervisor (pid {pid}) does not answer: it is ended; its services live on until they are ended\n"
    ));
    holder.end().map_err(|error| CliError::NotPermitted {
        what: format!("ending the supervisor (pid {pid}), which does not answer"),
        reason: error.to_string(),
    })
}

/// Whether a supervisor holds the stack and only waits: it is neither busy nor held by somebody.
pub(super) fn waits(stack: &Stack) -> bool {
    holder(&stack.dir)
        .is_some_and(|holder| holder.is_supervisor && holder.standing() == Some(Standing::Waits))
}

fn name(holder: &Holder) -> &'static str {
    if holder.is_supervisor { "the supervisor" } else { "a devstack command" }
}
