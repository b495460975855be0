//! The parts' options: read by a table, with an error that names what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// Exit code, or why there is none.
pub(crate) type Outcome = Result<u8, Failure>;

/// Why a part could not be played.
pub(crate) enum Failure {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// The world is: exit code 1.
    Run(String),
}

impl Failure {
    /// What was attempted, and how it failed.
    pub(crate) fn run(what: impl Display, why: impl Display) -> Self {
        Self::Run(format!("{what}: {why}"))
    }
}

/// One part: what it takes, and what plays it.
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    /// Options with a value, and the value's name.
    pub(crate) values: &'static [(&'static str, &'static str)],
    pub(crate) flags: &'static [&'static str],
    /// Whether bare words may follow (they do nothing, but are seen in the command line).
    pub(crate) words: bool,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Options) -> Outcome,
}

/// The options of one call.
pub(crate) struct Options {
    mode: &'static str,
    values: BTreeMap<String, String>,
    flags: BTreeSet<String>,
}

impl Options {
    /// Reads `--name value`, `--name=value` and `--flag`.
    pub(crate) fn parse(mode: &Mode, arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self { mode: mode.name, values: BTreeMap::new(), flags: BTreeSet::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some(option) = argument.strip_prefix("--") else {
                if mode.words {
                    continue;
                }
                return Err(options.wrong(format!("{argument:?} is one word too many")));
            };
            let (name, inline) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            if mode.flags.contains(&name) && inline.is_none() {
                options.flags.insert(name.to_owned());
            } else if mode.values.iter().any(|(known, _)| *known == name) {
                let value = inline.or_else(|| rest.next().cloned());
                let value = value.ok_or_else(|| options.wrong(format!("--{name} needs a value")))?;
                options.values.insert(name.to_owned(), value);
            } else {
                return Err(options.wrong(format!("it has no option {argument:?}")));
            }
        }
        Ok(options)
    }

    /// Whether a flag was given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flags.contains(name)
    }

    /// A value as written.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A value without which the part cannot be played.
    pub(crate) fn need<T: FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.read(name)?.ok_or_else(|| self.wrong(format!("--{name} is missing")))
    }

    /// A value, or what holds without it.
    pub(crate) fn or<T: FromStr>(&self, name: &str, otherwise: T) -> Result<T, Failure> {
        Ok(self.read(name)?.unwrap_or(otherwise))
    }

    /// A value in milliseconds; none is no time at all.
    pub(crate) fn millis(&self, name: &str) -> Result<Duration, Failure> {
        self.or(name, 0).map(Duration::from_millis)
    }

    fn read<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.values.get(name) else { return Ok(None) };
        let value = text.parse().map_err(|_| self.wrong(format!("--{name} cannot be {text:?}")))?;
        Ok(Some(value))
    }

    fn wrong(&self, text: impl Display) -> Failure {
        Failure::Usage(format!("{}: {text}", self.mode))
    }
}
