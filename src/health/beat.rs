//! One beat for all health checks: those that are due at about the same time are made together.
//!
//! Waking up costs as much as asking. A hundred checks each second that wake one by one cost twice what they cost in
//! a few groups.

use std::time::Duration;

use tokio::time::Instant;

/// Groups are so many milliseconds apart; each is a multiple of most before it, so that long intervals meet short ones.
const BEATS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 250, 500, 1000];

thread_local! {
    static FIRST: Instant = Instant::now();
}

/// The first beat at or after `due`; at most half of the interval later.
pub(super) fn next(due: Instant, interval: Duration) -> Instant {
    let first = FIRST.with(|first| *first);
    let beat = beat(interval);
    let passed = due.saturating_duration_since(first).as_nanos();
    let beats = passed.div_ceil(beat.as_nanos());
    first + beat.saturating_mul(u32::try_from(beats).unwrap_or(u32::MAX))
}

fn beat(interval: Duration) -> Duration {
    let most = interval.as_millis() / 2;
    let longest = BEATS.iter().rev().find(|beat| u128::from(**beat) <= most);
    Duration::from_millis(*longest.unwrap_or(&1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_at_most_half_of_the_interval() {
        let beats =
            [1, 40, 500, 1000, 2000, 5000, 60_000].map(|ms| beat(Duration::from_millis(ms)).as_millis());
        assert_eq!(beats, [1, 20, 250, 500, 1000, 1000, 1000]);
    }

    #[test]
    fn checks_that_began_at_different_times_meet() {
        let began = Instant::now() + Duration::from_secs(100);
        let interval = Duration::from_secs(1);
        let ticks: Vec<Instant> =
            (0..250).map(|ms| next(began + Duration::from_millis(ms) + interval, interval)).collect();
        let mut groups = ticks.clone();
        groups.dedup();
        assert!(groups.len() <= 2, "{} groups", groups.len());
        for (ms, tick) in (0..).zip(ticks) {
            let due = began + Duration::from_millis(ms) + interval;
            assert!(tick >= due && tick < due + Duration::from_millis(500));
            // From then on it keeps the interval.
            assert_eq!(next(tick + interval, interval), tick + interval);
        }
    }
}
