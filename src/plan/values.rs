//! Texts to values: durations, sizes, signals, ports, words. Each fault says what would have been right.

use std::time::Duration;

use crate::domain::{Signal, UnitKind};
use crate::manifest::{Code, nearest};

use super::{Condition, PullPolicy, RestartPolicy, SweepScope};

/// Why a text is not the value that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The longest duration: a year says "for ever" well enough, and no sum of these overflows.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// `500ms`, `10s`, `1m30s`, `1.5s`.
pub(super) fn duration(text: &str) -> Result<Duration, Fault> {
    let bad = || {
        let fault = Fault::new(Code::BadDuration, format!("`{text}` is no duration"));
        fault.hint("write it as `500ms`, `10s` or `1m30s`; units are ms, s, m, h and d")
    };
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        let fault = Fault::new(Code::BadDuration, format!("`{text}` has no unit"));
        return Err(
            fault.hint(format!("write `{text}s` or `{text}ms`: nobody can tell seconds from milliseconds"))
        );
    }
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(letters);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
        let number: f64 = number.parse().map_err(|_| bad())?;
        #[expect(clippy::cast_precision_loss, reason = "the units are small whole numbers")]
        let factor = *millis as f64;
        total += number * factor;
        rest = after;
    }
    if text.is_empty() {
        return Err(bad());
    }
    let span = Duration::try_from_secs_f64(total / 1000.0).unwrap_or(Duration::MAX);
    if span > LONGEST {
        let fault = Fault::new(Code::BadDuration, format!("`{text}` is longer than a year"));
        return Err(fault.hint("no duration here makes sense beyond that"));
    }
    // Whole milliseconds: that is what is kept and shown.
    Ok(Duration::from_millis(u64::try_from(span.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)))
}

/// A duration that is not zero.
pub(super) fn positive_duration(text: &str) -> Result<Duration, Fault> {
    match duration(text)? {
        Duration::ZERO => Err(Fault::new(Code::BadDuration, "this must be longer than nothing")),
        span => Ok(span),
    }
}

/// `512M`, `2G`: powers of 1024.
pub(super) fn size(text: &str) -> Result<u64, Fault> {
    let bad = || {
        let fault = Fault::new(Code::BadSize, format!("`{text}` is no size"));
        fault.hint("write it as `64K`, `512M` or `2G` (powers of 1024)")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "" => {
            let fault = Fault::new(Code::BadSize, format!("`{text}` has no unit"));
            return Err(fault.hint(format!("write `{text}M`, or `{text}B` if bytes are meant")));
        }
        _ => return Err(bad()),
    };
    number.checked_mul(1 << shift).filter(|size| *size < 1 << 60).ok_or_else(bad)
}

/// How much a log file may hold; below this it would rotate with each line.
pub(super) fn log_size(text: &str) -> Result<u64, Fault> {
    match size(text)? {
        small @ 0..1024 => Err(Fault::new(Code::BadSize, format!("{small} bytes are too few for a log"))
            .hint("give it 1K or more")),
        size => Ok(size),
    }
}

/// `SIGTERM`, `TERM` or `15`.
pub(super) fn signal(text: &str) -> Result<Signal, Fault> {
    const USUAL: [&str; 8] =
        ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGWINCH"];
    text.parse().map_err(|_| {
        let fault = Fault::new(Code::BadSignal, format!("`{text}` is no signal"));
        let upper = text.to_ascii_uppercase();
        let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
        fault.hint(match nearest(&full, USUAL) {
            Some(near) => format!("is `{near}` meant?"),
            None => "usual ones are SIGTERM, SIGINT, SIGQUIT and SIGHUP".to_owned(),
        })
    })
}

/// 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, Fault> {
    let number = text.parse::<u64>().ok();
    if let Some(port) = number.and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0) {
        return Ok(port);
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let hint = "a port is a number from 1 to 65535";
    let what = if digits { "out of range" } else { "no port" };
    Err(Fault::new(Code::BadPort, format!("`{text}` is {what}")).hint(hint))
}

/// A whole number of at least 1.
pub(super) fn count(text: &str) -> Result<u32, Fault> {
    let number = text.parse::<u32>().ok().filter(|number| (1..=1_000_000).contains(number));
    let fault = || Fault::new(Code::BadValue, format!("`{text}` is no number from 1 to 1000000"));
    number.ok_or_else(fault)
}

/// `no`, `on-failure`, `on-failure:5`, `always`.
pub(super) fn restart(text: &str) -> Result<RestartPolicy, Fault> {
    if let Some(max) = text.strip_prefix("on-failure:") {
        let max = count(max).map_err(|_| {
            let fault = Fault::new(Code::BadValue, format!("`{text}` is no restart policy"));
            fault.hint("after `on-failure:` stands a number from 1: `on-failure:5`")
        })?;
        return Ok(RestartPolicy::OnFailure { max: Some(max) });
    }
    match text {
        // An unquoted `no` is a boolean to other tools, and `false` is what they make of it.
        "no" | "false" => Ok(RestartPolicy::No),
        "on-failure" => Ok(RestartPolicy::OnFailure { max: None }),
        "always" => Ok(RestartPolicy::Always),
        "unless-stopped" => Err(Fault::new(Code::BadValue, "`unless-stopped` is no restart policy here")
            .hint("write `always`: what was stopped by hand is never started again by its policy")),
        other => Err(word(other, "restart policy", &["no", "on-failure", "always"])),
    }
}

/// `service` or `task`.
pub(super) fn kind(text: &str) -> Result<UnitKind, Fault> {
    match text {
        "service" => Ok(UnitKind::Service),
        "task" => Ok(UnitKind::Task),
        other => Err(word(other, "type", &["service", "task"])),
    }
}

/// Our words and those of Compose.
pub(super) fn condition(text: &str) -> Result<Condition, Fault> {
    match text {
        "started" | "service_started" => Ok(Condition::Started),
        "healthy" | "service_healthy" => Ok(Condition::Healthy),
        "completed" | "service_completed_successfully" => Ok(Condition::Completed),
        other => Err(word(other, "condition", &["started", "healthy", "completed"])),
    }
}

/// `stack` or `user`.
pub(super) fn scope(text: &str) -> Result<SweepScope, Fault> {
    match text {
        "stack" => Ok(SweepScope::Stack),
        "user" => Ok(SweepScope::User),
        other => Err(word(other, "scope", &["stack", "user"])),
    }
}

/// Whether an unhealthy unit is restarted.
pub(super) fn on_failure(text: &str) -> Result<bool, Fault> {
    match text {
        "restart" => Ok(true),
        "none" => Ok(false),
        other => Err(word(other, "`on_failure`", &["restart", "none"])),
    }
}

/// Whether it is ended when the supervisor is gone.
pub(super) fn on_supervisor_exit(text: &str) -> Result<bool, Fault> {
    match text {
        "keep" => Ok(false),
        "stop" => Ok(true),
        other => Err(word(other, "`on_supervisor_exit`", &["keep", "stop"])),
    }
}

/// When an image is fetched. `builds` says that the manifest tells how it is built.
pub(super) fn pull_policy(text: &str, builds: bool) -> Result<PullPolicy, Fault> {
    match text {
        "missing" | "if_not_present" => Ok(PullPolicy::Missing),
        "always" => Ok(PullPolicy::Always),
        "never" => Ok(PullPolicy::Never),
        "build" if builds => Ok(PullPolicy::Always),
        "build" => Err(Fault::new(Code::Contradiction, "there is no `build` that would make this image")
            .hint("add `build: DIRECTORY`, or write `missing`, `always` or `never`")),
        other => Err(word(other, "`pull_policy`", &["missing", "always", "never", "build"])),
    }
}

/// What a long volume says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VolumeKind {
    /// A path of this machine.
    Bind,
    /// A volume of the engine.
    Volume,
}

/// `bind` or `volume`.
pub(super) fn volume_kind(text: &str) -> Result<VolumeKind, Fault> {
    match text {
        "bind" => Ok(VolumeKind::Bind),
        "volume" => Ok(VolumeKind::Volume),
        "tmpfs" | "npipe" | "cluster" | "image" => {
            let fault = Fault::new(Code::NotYet, format!("a volume of type `{text}` is not supported yet"));
            Err(fault.hint("it can be `bind` or `volume`"))
        }
        other => Err(word(other, "type of a volume", &["bind", "volume"])),
    }
}

pub(super) fn word(text: &str, what: &str, known: &[&str]) -> Fault {
    let fault = Fault::new(Code::BadValue, format!("`{text}` is no {what}"));
    let all = known.join(", ");
    fault.hint(match nearest(&text.trim_start_matches("service_").replace('_', "-"), known.iter().copied()) {
        Some(near) => format!("is `{near}` meant? It can be {all}"),
        None => format!("it can be {all}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        let millis = |text| duration(text).map(|span| span.as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("1m30s"), Ok(90_000));
        assert_eq!(millis("1.5s"), Ok(1_500));
        assert_eq!(millis("2h"), Ok(7_200_000));
        assert_eq!(millis("0s"), Ok(0));
        for bad in ["", "10", "0", "1.5", "s", "10 s", "10x", "-1s", "1..5s", "ms10", "9e9s", "99999d", "10S"]
        {
            assert_eq!(duration(bad).map_err(|fault| fault.code), Err(Code::BadDuration), "{bad}");
        }
        assert!(duration("10").expect_err("bare").hint.expect("a reason").contains("milliseconds"));
        assert!(positive_duration("0ms").is_err());
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("4096B"), Ok(4096));
        for bad in ["", "M", "10", "1.5G", "-1M", "99999999999999999999M", "16777216T", "5X"] {
            assert_eq!(size(bad).map_err(|fault| fault.code), Err(Code::BadSize), "{bad}");
        }
        assert!(log_size("10B").is_err());
    }

    #[test]
    fn ports_and_policies() {
        assert_eq!(port("65535"), Ok(65_535));
        for bad in ["0", "65536", "-1", "http", "", "99999999999999999999", "80.0"] {
            assert_eq!(port(bad).map_err(|fault| fault.code), Err(Code::BadPort), "{bad}");
        }
        assert_eq!(restart("on-failure:5"), Ok(RestartPolicy::OnFailure { max: Some(5) }));
        assert_eq!(restart("no"), Ok(RestartPolicy::No));
        for bad in ["on-failure:0", "on-failure:", "on-failure:x", "on_failure", "unless-stopped", "yes"] {
            assert!(restart(bad).is_err(), "{bad}");
        }
        assert!(signal("SIGTREM").expect_err("unknown").hint.expect("near").contains("SIGTERM"));
    }
}
