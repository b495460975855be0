//! Moments and durations; the clock itself is read elsewhere and comes in as an argument.

use std::fmt::Write as _;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds that the machine has been awake since its boot (`CLOCK_MONOTONIC`): comparable across supervisors,
/// untouched by clock changes. Asleep, no grace runs out and nothing becomes late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    /// How long ago `earlier` was; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl Sub<Moment> for Moment {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Milliseconds since the Unix epoch, for people and for the journal; never for decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallTime(pub i64);

/// A duration as people say it: `850ms`, `1.9s`, `2m05s`, `3h12m`, `2d4h`.
#[must_use]
pub fn format_duration(span: Duration) -> String {
    let millis = span.as_millis();
    let seconds = span.as_secs();
    let mut text = String::new();
    let written = if millis < 1000 {
        write!(text, "{millis}ms")
    } else if millis < 59_950 {
        write!(text, "{:.1}s", span.as_secs_f64())
    } else if seconds < 3600 {
        write!(text, "{}m{:02}s", seconds / 60, seconds % 60)
    } else if seconds < 86_400 {
        write!(text, "{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    } else {
        write!(text, "{}d{}h", seconds / 86_400, seconds % 86_400 / 3600)
    };
    debug_assert!(written.is_ok());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let texts: Vec<String> = [0, 850, 1949, 59_949, 59_950, 125_000, 11_520_000, 187_200_000]
            .map(Duration::from_millis)
            .map(format_duration)
            .to_vec();
        assert_eq!(texts, ["0ms", "850ms", "1.9s", "59.9s", "0m59s", "2m05s", "3h12m", "2d4h"]);
    }
}
