//! Times as people give them: `10m`, `14:30`, `2026-08-02`, RFC 3339.

use jiff::civil::{DateTime, Time};
use jiff::{Timestamp, Zoned};

use crate::domain::WallTime;

/// A time relative to `now`: so long ago, today at, or exactly then.
pub(in crate::cli) fn parse(text: &str, now: &Zoned) -> Option<WallTime> {
    let text = text.trim();
    if let Some(millis) = millis(text) {
        return Some(WallTime(now.timestamp().as_millisecond().saturating_sub(millis)));
    }
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(WallTime(exact.as_millisecond()));
    }
    let local = if text.contains('-') {
        text.parse::<DateTime>().ok()?
    } else if text.contains(':') {
        now.date().to_datetime(text.parse::<Time>().ok()?)
    } else {
        return None;
    };
    let zoned = local.to_zoned(now.time_zone().clone()).ok()?;
    Some(WallTime(zoned.timestamp().as_millisecond()))
}

/// A duration such as `90s`, `1h30m` or `500ms`, in milliseconds.
fn millis(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::{Offset, TimeZone};

    fn at(text: &str) -> Option<String> {
        let zone = TimeZone::fixed(Offset::constant(2));
        let now = "2026-08-02T10:00:00Z".parse::<Timestamp>().expect("a time").to_zoned(zone);
        let time = parse(text, &now)?;
        Some(Timestamp::from_millisecond(time.0).expect("in range").to_string())
    }

    #[test]
    fn every_usual_form_is_understood() {
        for (text, time) in [
            ("10m", "2026-08-02T09:50:00Z"),
            ("1h30m", "2026-08-02T08:30:00Z"),
            ("500ms", "2026-08-02T09:59:59.5Z"),
            ("2d", "2026-07-31T10:00:00Z"),
            ("2026-08-02T09:00:00+02:00", "2026-08-02T07:00:00Z"),
            ("2026-08-02T09:00:00.25Z", "2026-08-02T09:00:00.25Z"),
            ("14:30", "2026-08-02T12:30:00Z"),
            ("14:30:05", "2026-08-02T12:30:05Z"),
            ("2026-08-01", "2026-07-31T22:00:00Z"),
            ("2026-08-01T14:30", "2026-08-01T12:30:00Z"),
            ("2026-08-01 14:30:01", "2026-08-01T12:30:01Z"),
        ] {
            assert_eq!(at(text).as_deref(), Some(time), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "10", "ten", "10x", "25:00", "m", "-5m", "99999999999999999999s"] {
            assert_eq!(at(text), None, "{text:?}");
        }
    }
}
