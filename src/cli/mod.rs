//! The command line: what can be asked, one file per verb, and how each command ends.

pub mod args;
mod budget;
mod doctor;
mod down;
pub mod error;
mod events;
mod exec;
pub mod exit;
mod fallback;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hook;
mod init;
pub mod load;
pub mod logs;
mod look;
mod monitor;
mod place;
mod reach;
mod reload;
mod run;
mod setup;
mod sweep;
mod talk;
mod up;
mod volumes;
mod wait;
pub mod when;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use self::args::{Cli, Verb};
use self::exit::{CliError, Code};
use self::place::Place;
use crate::show::{ColorChoice, Door};
use crate::supervisor;
use crate::sys::clock;

/// Runs the program with the arguments that it was given.
#[must_use]
pub fn run() -> ExitCode {
    // Not a verb for people: neither the help nor the completions shall name it.
    let words: Vec<OsString> = std::env::args_os().skip(1).take(3).collect();
    if let [word, state, runtime] = words.as_slice()
        && word == "__supervise"
    {
        return supervise(state, runtime);
    }
    if let [word, manifest] = words.as_slice()
        && word == supervisor::RELOAD
    {
        return reload::run(manifest);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap knows whether it is help (standard output, 0) or a mistake (standard error, 2).
            let door = Door::open(ColorChoice::default());
            let text = |colours: bool| match error.render() {
                styled if colours => styled.ansi().to_string(),
                plain => plain.to_string(),
            };
            if error.use_stderr() {
                door.say(&text(door.err.colours()));
            } else if door.answer(&text(door.out.colours())).is_err() {
                return ExitCode::FAILURE;
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let door = Door::open(cli.global.color.into());
    match verb(&cli, &door) {
        Ok(code) => code.into(),
        Err(error) => {
            door.say(&error.render(&door.err));
            // Who reads it by program finds one document, whatever happened.
            if let Some(document) = error.json().filter(|_| cli.verb.json()) {
                let _ = door.answer(&document);
            }
            error.code().into()
        }
    }
}

fn verb(cli: &Cli, door: &Door) -> Result<Code, CliError> {
    if !matches!(cli.verb, Verb::Check(_) | Verb::Config(_) | Verb::Completions(_) | Verb::Version(_)) {
        let what = "processes cannot be told apart here".to_owned();
        clock::check().map_err(|source| CliError::Io { what, source })?;
    }
    let place = Place::new(cli)?;
    match &cli.verb {
        Verb::Up(args) => up::run(&place, door, &up::Wish::from(args)),
        Verb::Start(args) => up::run(&place, door, &up::Wish::from(args)),
        Verb::Restart(args) => up::run(&place, door, &up::Wish::from(args)),
        Verb::Down(args) => down::run(&place, door, &down::Wish::from(args)),
        Verb::Stop(args) => down::run(&place, door, &down::Wish::from(args)),
        Verb::Ps(args) => look::ps(&place, door, args),
        Verb::Status(args) => look::status(&place, door, args),
        Verb::Ls(args) => look::ls(&place, door, args),
        Verb::Logs(args) => look::logs(&place, door, args),
        Verb::Events(args) => events::run(&place, door, args),
        Verb::Monitor(args) => monitor::run(&place, door, args),
        Verb::Wait(args) => wait::run(&place, door, args),
        Verb::Port(args) => setup::port(&place, door, args),
        Verb::Url(args) => setup::url(&place, door, args),
        Verb::Exec(args) => exec::run(&place, door, args),
        Verb::Run(args) => run::run(&place, door, cli, args),
        Verb::Sweep(args) => sweep::run(&place, door, args),
        Verb::Doctor(args) => doctor::run(&place, door, args),
        Verb::Init(args) => init::run(&place, door, args),
        Verb::Check(_) => setup::check(&place, door),
        Verb::Config(args) => setup::config(&place, door, args),
        Verb::Completions(args) => setup::completions(door, args),
        Verb::Version(args) => setup::version(door, args),
    }
}

fn supervise(state: &OsString, runtime: &OsString) -> ExitCode {
    match supervisor::run_daemon(state.into(), runtime.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the supervisor has failed");
            ExitCode::FAILURE
        }
    }
}
