//! `devstack logs`: what the services wrote, from the files alone.

mod print;
mod stream;
pub(super) mod when;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use jiff::Zoned;
use regex::bytes::Regex;

use self::print::{Look, Printer};
use self::stream::{Merge, raw};
use crate::domain::{UnitName, WallTime};
use crate::store::log::Wanted;
use crate::sys::watch::exit_on_interrupt;

/// Show what services wrote.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LogsArgs {
    /// Only these services
    #[arg(value_name = "SVC")]
    pub services: Vec<String>,
    /// Only this service (may be repeated)
    #[arg(long = "service", value_name = "NAME")]
    pub service: Vec<String>,
    /// Go on showing what is written
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines of each service
    #[arg(short = 'n', long = "tail", value_name = "N")]
    pub lines: Option<u64>,
    /// Only lines since a time: 10m, 14:30, 2026-08-02T14:30:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only lines until a time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Show the time of each line
    #[arg(short, long)]
    pub timestamps: bool,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// One JSON document per line
    #[arg(long)]
    pub json: bool,
}

impl LogsArgs {
    /// The services asked for, in order, each once; empty means all.
    #[must_use]
    pub fn wanted(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.services.iter().chain(&self.service) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// Why logs could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// `--grep` is not a regular expression (usage, exit 2).
    #[error("--grep: {0}")]
    Grep(#[from] regex::Error),
    /// `--since` or `--until` is not a time (usage, exit 2).
    #[error("{option}: {text:?} is not a time: use 10m, 14:30 or 2026-08-02T14:30:00Z")]
    Time {
        /// Which option.
        option: &'static str,
        /// What was given.
        text: String,
    },
    /// A log cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Standard output cannot be written (a reader that went away is no error).
    #[error("cannot write the output: {0}")]
    Write(io::Error),
}

/// The verb: as [`show`], and Ctrl-C while following ends the process with code 130.
pub fn run(
    args: &LogsArgs,
    files: Vec<(UnitName, PathBuf)>,
    out: &mut (impl Write + AsFd),
    colour: bool,
) -> Result<(), LogsError> {
    if args.follow {
        // There is nothing to tidy up, so the shortest way out is the right one.
        exit_on_interrupt(130).map_err(LogsError::Write)?;
    }
    show(args, files, out, colour)
}

/// Writes the logs of these units as the arguments say. Lines carry a prefix where there are several units. Ends
/// without an error when the reader of `out` goes away, which is also noticed while nothing is written.
pub fn show(
    args: &LogsArgs,
    files: Vec<(UnitName, PathBuf)>,
    out: &mut (impl Write + AsFd),
    colour: bool,
) -> Result<(), LogsError> {
    let prefix = files.len() > 1;
    let look = Look {
        json: args.json,
        timestamps: args.timestamps,
        prefix,
        colour,
        lossy: prefix || out.as_fd().is_terminal(),
    };
    let now = Zoned::now();
    let wanted = Wanted {
        since: time("--since", args.since.as_ref(), &now)?,
        until: time("--until", args.until.as_ref(), &now)?,
        last: args.lines,
        pattern: args.grep.as_deref().map(Regex::new).transpose()?,
        timed: prefix || args.timestamps || args.json,
        live: args.follow,
    };
    let (units, mut paths): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    let mut printer = Printer::new(out, units, look);
    let bare = !wanted.timed && wanted.until.is_none() && wanted.pattern.is_none();
    let done = match paths.pop() {
        Some(only) if bare && paths.is_empty() => raw(&only, &wanted, &mut printer),
        last => {
            paths.extend(last);
            Merge::open(paths, &wanted).and_then(|merge| merge.print(&mut printer))
        }
    };
    match done {
        Err(LogsError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn time(option: &'static str, text: Option<&String>, now: &Zoned) -> Result<Option<WallTime>, LogsError> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || LogsError::Time { option, text: text.clone() };
    when::parse(text, now).map(Some).ok_or_else(wrong)
}
