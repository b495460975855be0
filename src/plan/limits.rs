//! `limits` as values: a service's own over the defaults, and those of the stack.

use std::time::Duration;

use crate::domain::{Limits, OnBreach};
use crate::manifest::{Code, LimitKeys, Problem, Service, StackLimitKeys};

use super::StackLimits;
use super::judge::Judge;
use super::values::{self, Fault};

/// The least memory that anything can live in; engines take no less.
const LEAST_MEMORY: u64 = 6 << 20;
/// A program that may open fewer files does not even load its libraries.
const LEAST_FILES: u32 = 16;

/// What stands below one `limits`.
#[derive(Default)]
pub(super) struct Wanted {
    memory: Option<u64>,
    cpus_milli: Option<u32>,
    pids: Option<u32>,
    runtime: Option<Duration>,
    idle: Option<Duration>,
    open_files: Option<u32>,
    on_breach: Option<OnBreach>,
    sustained: Option<Duration>,
}

impl Wanted {
    pub(super) fn read(judge: &mut Judge<'_>, keys: &LimitKeys) -> Self {
        Self {
            memory: judge.maybe(keys.memory.as_ref(), memory),
            cpus_milli: judge.maybe(keys.cpus.as_ref(), cpus),
            pids: judge.maybe(keys.pids.as_ref(), values::count),
            runtime: judge.maybe(keys.runtime.as_ref(), values::positive_duration),
            idle: judge.maybe(keys.idle.as_ref(), values::positive_duration),
            open_files: judge.maybe(keys.open_files.as_ref(), files),
            on_breach: judge.maybe(keys.on_breach.as_ref(), on_breach),
            sustained: judge.maybe(keys.sustained.as_ref(), values::duration),
        }
    }

    /// These, and where they say nothing, the defaults.
    pub(super) fn over(&self, defaults: &Self) -> Limits {
        Limits {
            memory: self.memory.or(defaults.memory),
            cpus_milli: self.cpus_milli.or(defaults.cpus_milli),
            pids: self.pids.or(defaults.pids),
            runtime: self.runtime.or(defaults.runtime),
            idle: self.idle.or(defaults.idle),
            open_files: self.open_files.or(defaults.open_files).map(u64::from),
            on_breach: self.on_breach.or(defaults.on_breach).unwrap_or_default(),
            sustained: self.sustained.or(defaults.sustained).unwrap_or_default(),
        }
    }
}

/// Of a container's limits, what devstack holds itself; its engine holds the others.
pub(super) fn beside_engine(limits: &Limits) -> Limits {
    Limits {
        runtime: limits.runtime,
        on_breach: match limits.on_breach {
            // As a default; a container's own is refused.
            OnBreach::KillCulprit => OnBreach::AsKernel,
            other => other,
        },
        ..Limits::default()
    }
}

/// Nobody but its engine may end a process inside a container.
pub(super) fn contradictions(judge: &mut Judge<'_>, service: &Service) {
    let Some(text) = &service.settings.limits.on_breach else { return };
    if service.settings.container.is_some() && &*text.value == "kill-culprit" {
        let message = format!("`{}` is a container, of which no single process is ended", service.name);
        let problem = Problem::at(Code::Contradiction, text.span, message);
        judge.problems.push(problem.hint("write `warn`, `restart` or `stop`"));
    }
}

/// The limits of the stack.
pub(super) fn stack(judge: &mut Judge<'_>, keys: &StackLimitKeys) -> StackLimits {
    StackLimits {
        memory: judge.maybe(keys.memory.as_ref(), memory),
        cpus_milli: judge.maybe(keys.cpus.as_ref(), cpus),
        pids: judge.maybe(keys.pids.as_ref(), values::count),
        jobs: judge.maybe(keys.jobs.as_ref(), values::count),
        job_timeout: judge.maybe(keys.job_timeout.as_ref(), values::positive_duration),
    }
}

fn memory(text: &str) -> Result<u64, Fault> {
    match values::size(text)? {
        small @ 0..LEAST_MEMORY => {
            Err(Fault::new(Code::BadSize, format!("{small} bytes are too few to run in"))
                .hint("give it 6M or more"))
        }
        size => Ok(size),
    }
}

/// Memory as the manifest's `limits` have it: `512M`. The text says what is wrong and how it is written.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    memory(text).map_err(told)
}

/// Processors as the manifest's `limits` have them, as thousandths: `1.5` gives 1500.
pub fn parse_cpus(text: &str) -> Result<u32, String> {
    cpus(text).map_err(told)
}

/// A number of processes as the manifest's `limits` have it.
pub fn parse_pids(text: &str) -> Result<u32, String> {
    values::count(text).map_err(told)
}

fn told(fault: Fault) -> String {
    match fault.hint {
        Some(hint) => format!("{}: {hint}", fault.message),
        None => fault.message,
    }
}

/// Processors as thousandths: `1.5` gives 1500.
fn cpus(text: &str) -> Result<u32, Fault> {
    let bad = || {
        let fault = Fault::new(Code::BadValue, format!("`{text}` is no number of processors"));
        fault.hint("write it as `2` or `0.5`, to the thousandth at most")
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() < 6 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return Err(bad());
    }
    let milli: Option<u32> = format!("{whole}{part:0<3}").parse().ok();
    milli.filter(|milli| *milli >= 10).ok_or_else(bad)
}

fn files(text: &str) -> Result<u32, Fault> {
    match values::count(text)? {
        few @ 0..LEAST_FILES => {
            Err(Fault::new(Code::BadValue, format!("with {few} open files nothing runs"))
                .hint(format!("give it {LEAST_FILES} or more")))
        }
        files => Ok(files),
    }
}

fn on_breach(text: &str) -> Result<OnBreach, Fault> {
    let found = OnBreach::WORDS.iter().find(|(word, _)| *word == text);
    found
        .map(|(_, one)| *one)
        .ok_or_else(|| values::word(text, "`on_breach`", &OnBreach::WORDS.map(|(word, _)| word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_in_thousandths() {
        assert_eq!((cpus("2"), cpus("0.5"), cpus("1.125")), (Ok(2000), Ok(500), Ok(1125)));
        for text in ["", "0", ".5", "1.", "1.2345", "-1", "x", "1e3", "0.001", "9999999"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_limit_of_a_service_stands_over_the_same_default() {
        let own = Wanted { memory: Some(1 << 30), on_breach: Some(OnBreach::Warn), ..Wanted::default() };
        let defaults = Wanted {
            memory: Some(2 << 30),
            pids: Some(9),
            on_breach: Some(OnBreach::Stop),
            ..Wanted::default()
        };
        let both = own.over(&defaults);
        assert_eq!((both.memory, both.pids, both.on_breach), (Some(1 << 30), Some(9), OnBreach::Warn));
        assert!(Wanted::default().over(&Wanted::default()).is_default());
    }
}
