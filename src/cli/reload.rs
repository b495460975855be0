//! What a supervisor runs on SIGUSR2: `up` of what runs now, by the manifest as it is now. Its words go into the
//! supervisor's log.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::Parser as _;

use super::args::Cli;
use super::exit::{CliError, Code};
use super::place::Place;
use super::up;
use crate::domain::State;
use crate::show::{ColorChoice, Door};

/// Runs it for the stack of this manifest.
pub(super) fn run(manifest: &OsStr) -> ExitCode {
    let door = Door::open(ColorChoice::Never);
    let ended = reload(manifest, &door);
    if let Err(error) = &ended {
        door.say(&error.render(&door.err));
        door.say("reload: nothing was changed that is not told above\n");
    }
    ended.map_or_else(|error| error.code().into(), Into::into)
}

fn reload(manifest: &OsStr, door: &Door) -> Result<Code, CliError> {
    let words = [OsStr::new("devstack"), OsStr::new("-f"), manifest, OsStr::new("up")];
    let cli = Cli::try_parse_from(words).map_err(|error| CliError::Bug(error.to_string()))?;
    let place = Place::new(&cli)?;
    let plan = place.load(door)?.plan;
    let view = place.stack(door)?.view(door)?;
    let runs = |state: State| !matches!(state, State::Stopped | State::Stopping);
    let services = view.services.into_iter().filter(|unit| runs(unit.state)).map(|unit| unit.name);
    let services: Vec<_> = services.filter(|name| plan.units.iter().any(|unit| unit.name == *name)).collect();
    if services.is_empty() {
        door.say("reload: nothing of the manifest runs\n");
        return Ok(Code::Done);
    }
    up::run(&place, door, &up::Wish::reload(services))
}
