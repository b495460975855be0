//! `stand-in`: one small program that plays every part of a development stack.
//!
//! The example stack, the tests and the benchmarks need an API, agents, a database, tasks, and programs that behave
//! badly in a known way. This program plays all of them, with no dependency but the Rust toolchain; it is an example, so
//! that it is built with the crate and never installed with it. It listens on the loopback address only.

#![expect(unsafe_code, reason = "fork, setsid and signals are what the misbehaving parts are made of")]

mod badly;
mod crowds;
mod http;
#[cfg(target_os = "linux")]
mod innocent;
mod kernel;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod oddly;
mod options;
mod postgres;
mod services;
mod works;

use std::io::{self, Write};
use std::process::ExitCode;

use options::{Failure, Mode, Options, Outcome};

/// Everything that can be played.
const MODES: &[&Mode] = &[
    &services::API,
    &services::AGENT,
    &services::DATABASE,
    &services::LISTEN,
    &works::TASK,
    &works::TALK,
    &works::FLOOD,
    &works::CRASH,
    &works::NOTIFY,
    &works::WAIT,
    &badly::DEAF,
    &badly::CHILD,
    &badly::DAEMONIZE,
    &badly::TREE,
    &badly::RESPAWN,
    &badly::HOP,
    &badly::ZOMBIE,
    &crowds::CROWD,
    &crowds::STORM,
    &crowds::HOLD,
    #[cfg(target_os = "linux")]
    &oddly::THREADS,
    #[cfg(target_os = "linux")]
    &oddly::VFORK,
    #[cfg(target_os = "linux")]
    &oddly::HIDDEN,
    #[cfg(target_os = "linux")]
    &oddly::TRACED,
    #[cfg(target_os = "linux")]
    &oddly::REAPER,
    #[cfg(target_os = "linux")]
    &oddly::BECOME,
    #[cfg(target_os = "linux")]
    &oddly::HEIR,
    #[cfg(target_os = "linux")]
    &oddly::LATE,
    #[cfg(target_os = "linux")]
    &oddly::GROW,
    #[cfg(target_os = "linux")]
    &innocent::INNOCENT,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match play(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(Failure::Usage(text)) => {
            complain(&format!("{text}\n\n{}", usage()));
            ExitCode::from(2)
        }
        Err(Failure::Run(text)) => {
            complain(&text);
            ExitCode::FAILURE
        }
    }
}

fn play(arguments: &[String]) -> Outcome {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::Usage("which part shall be played?".into()));
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        say(&usage());
        return Ok(0);
    }
    let Some(mode) = MODES.iter().find(|mode| mode.name == name) else {
        return Err(Failure::Usage(format!("there is no part {name:?}")));
    };
    (mode.run)(&Options::parse(mode, rest)?)
}

/// One line per part, from the same table that the parser reads.
fn usage() -> String {
    let mut text = String::from("usage: stand-in PART [OPTION]...\n");
    for mode in MODES {
        let values: String =
            mode.values.iter().map(|(name, value)| [" --", name, " ", value].concat()).collect();
        let flags: String = mode.flags.iter().map(|flag| [" [--", flag, "]"].concat()).collect();
        text.push_str(&["  ", mode.name, &values, &flags, "\n      ", mode.about, "\n"].concat());
    }
    text
}

/// Writes a line to standard output; a reader who has gone away does not matter.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "stand-in: {text}");
}
