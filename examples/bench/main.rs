//! `scripts/bench`: measures devstack against a bare launcher that forks, executes and polls the same services.
//!
//! Both do the same work in the same run, one after the other in turns; a figure is the median of its runs. All state
//! lies below one temporary directory, all services listen on the loopback address, and whatever happens the stack is
//! taken down at the end.

#![expect(
    unsafe_code,
    reason = "pidfds tell the moment of an exit, which nothing in the standard library does"
)]

mod bare;
mod containers;
mod crowd;
mod events;
mod look;
mod monitor;
mod parts;
mod pitchfork;
mod report;
mod run;
mod stack;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Why a measurement could not be made.
type Trouble = Box<dyn std::error::Error>;

const USAGE: &str = "usage: scripts/bench [PART]... [OPTION]...
parts: up down ps memory idle monitor logs events crowd run containers pitchfork (all of them where none is named)
  --runs N        runs for each figure, 10 where nothing is said
  --seconds N     length of the idle phase, 60
  --bytes N       size of the log, 500000000
  --after MS      services listen so long after their start, 0
  --http          health by HTTP; without it by TCP
  --json FILE     where the figures go, target/bench.json
  --strict        exit code 1 where a goal is missed";

/// What was asked for.
struct Wanted {
    parts: Vec<String>,
    runs: usize,
    seconds: u64,
    bytes: u64,
    after: u64,
    http: bool,
    json: PathBuf,
    strict: bool,
}

impl Wanted {
    fn part(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| part == name)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == bare::MODE) {
        return bare::play(&arguments[1..]);
    }
    let wanted = match read(&arguments) {
        Ok(wanted) => wanted,
        Err(text) => {
            tell(&format!("{text}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    look::heed_interrupts();
    match parts::measure(&wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(u8::from(wanted.strict)),
        Err(trouble) => {
            tell(&format!("bench: {trouble}"));
            ExitCode::FAILURE
        }
    }
}

fn read(arguments: &[String]) -> Result<Wanted, String> {
    const PARTS: [&str; 12] = [
        "up",
        "down",
        "ps",
        "memory",
        "idle",
        "monitor",
        "logs",
        "events",
        "crowd",
        "run",
        "containers",
        "pitchfork",
    ];
    let mut wanted = Wanted {
        parts: Vec::new(),
        runs: 10,
        seconds: 60,
        bytes: 500_000_000,
        after: 0,
        http: false,
        json: "target/bench.json".into(),
        strict: false,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || -> Result<u64, String> {
            let value = rest.next().and_then(|value| value.parse().ok());
            value.ok_or_else(|| format!("{argument} needs a number"))
        };
        match argument.as_str() {
            "--runs" => wanted.runs = usize::try_from(number()?).unwrap_or(10).max(1),
            "--seconds" => wanted.seconds = number()?.max(1),
            "--bytes" => wanted.bytes = number()?,
            "--after" => wanted.after = number()?,
            "--http" => wanted.http = true,
            "--strict" => wanted.strict = true,
            "--json" => wanted.json = rest.next().ok_or("--json needs a file")?.into(),
            part if PARTS.contains(&part) => wanted.parts.push(part.to_owned()),
            other => return Err(format!("{other:?} is not known")),
        }
    }
    Ok(wanted)
}

/// Progress and errors.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The answer.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
