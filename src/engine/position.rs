//! Where a container's log is gone on with later, so that no line is lost and none is told twice.
//!
//! An engine can be asked for what was written since a time, and gives it in the order in which it keeps it. That is not
//! quite the order of the times: lines of standard output and of standard error are stamped apart. So the time that is
//! asked for lies somewhat back, and the lines since then that were seen are counted.

use std::collections::BTreeMap;

/// A place in the log of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// From when on the log is asked for, RFC 3339.
    pub at: String,
    /// Lines with this time or a later one that were seen.
    pub seen: u32,
}

/// So many tenths of a second are looked back to.
const TENTHS: usize = 10;

/// What was seen of a log.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Where it was gone on with.
    from: Option<LogPosition>,
    /// Lines that are still to be passed over.
    skip: u32,
    /// Lines by the tenth of a second in which they were written; the newest ones.
    tenths: BTreeMap<String, u32>,
}

impl Seen {
    pub(super) fn new(from: Option<LogPosition>) -> Self {
        let skip = from.as_ref().map_or(0, |from| from.seen);
        Self { from, skip, tenths: BTreeMap::new() }
    }

    /// A line of this time comes; whether it is new.
    pub(super) fn hear(&mut self, at: &str) -> bool {
        *self.tenths.entry(tenth(at)).or_default() += 1;
        if self.tenths.len() > TENTHS {
            self.tenths.pop_first();
        }
        let is_new = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        is_new
    }

    /// Where to go on later; none before the first line.
    pub(super) fn position(&self) -> Option<LogPosition> {
        match self.tenths.first_key_value() {
            Some((at, _)) if self.skip == 0 => {
                Some(LogPosition { at: at.clone(), seen: self.tenths.values().sum() })
            }
            _ => self.from.clone(),
        }
    }
}

/// The tenth of a second that a time lies in, as a time. Those of one engine have one zone: they are in order as texts.
fn tenth(at: &str) -> String {
    let (second, rest) = at.split_at_checked("2026-11-21T10:57:44".len()).unwrap_or((at, ""));
    let fraction = rest.strip_prefix('.').unwrap_or("0");
    let tenth = fraction.chars().next().filter(char::is_ascii_digit).unwrap_or('0');
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    format!("{second}.{tenth}{zone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an engine would tell of these lines.
    fn told<'a>(log: &[&'a str], from: Option<&LogPosition>) -> Vec<&'a str> {
        let since = |line: &&&str| from.is_none_or(|from| **line >= from.at.trim_end_matches('Z'));
        log.iter().filter(since).copied().collect()
    }

    /// A log that is left after each line in turn, and once more after the next one, is told whole.
    fn is_told_whole(log: &[&str]) {
        for left in 1..log.len() {
            let mut told_so_far = 0;
            let mut from = None;
            for until in [left, left + 1] {
                let mut seen = Seen::new(from.clone());
                for line in told(log, from.as_ref()) {
                    if told_so_far == until {
                        break;
                    }
                    if seen.hear(line) {
                        assert_eq!(line, log[told_so_far], "left after {left}");
                        told_so_far += 1;
                    }
                }
                assert_eq!(told_so_far, until, "left after {left}");
                from = seen.position();
            }
        }
    }

    #[test]
    fn lines_that_were_stamped_in_another_order_are_not_lost() {
        is_told_whole(&[
            "2026-11-21T10:57:44.100000002Z",
            "2026-11-21T10:57:44.100000009Z",
            "2026-11-21T10:57:44.100000003Z",
            "2026-11-21T10:57:44.100000003Z",
            "2026-11-21T10:57:44.200000000Z",
            "2026-11-21T10:57:44.199999999Z",
        ]);
    }

    #[test]
    fn a_long_log_is_told_whole() {
        let log: Vec<String> = (0..400)
            .map(|n| format!("2026-11-21T10:57:{:02}.{:02}0000000Z", 10 + n / 100, n % 100))
            .collect();
        is_told_whole(&log.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn a_position_stays_while_what_was_seen_is_passed_over() {
        let from = LogPosition { at: "2026-11-21T10:57:44.1Z".into(), seen: 2 };
        let mut seen = Seen::new(Some(from.clone()));
        assert!(!seen.hear("2026-11-21T10:57:44.1Z"));
        assert_eq!(seen.position(), Some(from));
        assert!(!seen.hear("2026-11-21T10:57:44.3Z"));
        assert!(seen.hear("2026-11-21T10:57:44.4Z"));
        assert_eq!(seen.position(), Some(LogPosition { at: "2026-11-21T10:57:44.1Z".into(), seen: 3 }));
    }

    #[test]
    fn times_are_understood_as_engines_write_them() {
        assert_eq!(tenth("2026-11-21T10:57:44.139373748+01:00"), "2026-11-21T10:57:44.1+01:00");
        assert_eq!(tenth("2026-11-21T10:57:44Z"), "2026-11-21T10:57:44.0Z");
        assert_eq!(tenth("rubbish"), "rubbish.0");
    }
}
