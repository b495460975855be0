//! All that a fuzzer may call: each reader of what others wrote, by name, with the promises that it must keep.
//!
//! Not part of the program: compiled for tests, and for `fuzz/` (`--cfg fuzzing`). The promises stand beside the readers,
//! in the `fuzz.rs` of each module: no panic, nothing that acts on a terminal, what is written reads back the same; here
//! stands that time grows no faster than the input. `scripts/fuzz` runs them for as long as one likes.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A target: its name and what it does with any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("manifest", crate::plan::fuzz::manifest),
    ("values", crate::plan::fuzz::values),
    ("proc", crate::sys::fuzz::proc),
    ("marks", crate::cage::fuzz::marks),
    ("ledger", crate::store::fuzz::ledger),
    ("journal", crate::store::fuzz::journal),
    ("logs", crate::store::log::fuzz::logs),
    ("keeper", crate::keeper::fuzz::keeper),
    ("control", crate::control::fuzz::control),
    ("env_file", crate::cli::fuzz::env_file),
    ("when", crate::cli::fuzz::when),
    ("text", crate::show::fuzz::text),
];

/// What any input may take of a core, and what each byte of it may add: generous by a factor of ten and more, for code
/// that was not optimised; what grows with the square of its input goes far beyond.
const FLOOR: Duration = Duration::from_millis(1_500);
const EACH_BYTE: Duration = Duration::from_micros(100);

/// Gives bytes to a target.
///
/// # Panics
/// Where a promise is broken, or where it took too long (time on a core: other processes do not count).
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target `{name}`"));
    let begun = on_core();
    target(data);
    let took = on_core().saturating_sub(begun);
    let most = FLOOR + EACH_BYTE * u32::try_from(data.len()).unwrap_or(u32::MAX);
    assert!(took <= most, "{name}: {took:?} for {} bytes", data.len());
}

fn on_core() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
