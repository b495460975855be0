//! Moments and single events as lines.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::paint::{Paint, Tone};
use super::text;
use crate::domain::{UnitName, WallTime};

/// RFC 3339 in UTC with milliseconds, for scripts: `2025-11-20T14:03:22.123Z`.
#[must_use]
pub fn rfc3339(at: WallTime) -> String {
    match Timestamp::from_millisecond(at.0) {
        Ok(stamp) => format!("{stamp:.3}"),
        Err(_) => format!("@{}", at.0),
    }
}

/// The time of the day, for people: `14:03:22.123`; with the date where `today` is another day.
#[must_use]
pub fn clock(at: WallTime, today: WallTime, zone: &TimeZone) -> String {
    let (Ok(stamp), Ok(today)) = (Timestamp::from_millisecond(at.0), Timestamp::from_millisecond(today.0))
    else {
        return format!("@{}", at.0);
    };
    let (then, now) = (stamp.to_zoned(zone.clone()), today.to_zoned(zone.clone()));
    let form = if then.date() == now.date() { "%H:%M:%S.%3f" } else { "%Y-%m-%d %H:%M:%S.%3f" };
    then.strftime(form).to_string()
}

/// One event: when, of which unit, what happened. `names` is the width of the longest unit name.
#[must_use]
pub fn line(
    paint: &Paint,
    when: &str,
    unit: Option<&UnitName>,
    names: usize,
    tone: Tone,
    what: &str,
) -> String {
    let name = unit.map(UnitName::as_str).unwrap_or_default();
    let fill = names.saturating_sub(text::width(name)) + 2;
    let when = paint.tone(Tone::Dim, when);
    let what = paint.clean(what);
    let room = paint.width().map(|columns| columns.saturating_sub(names + 18).max(20));
    let what = room.map_or_else(|| what.clone(), |room| text::truncate(&what, room, paint.marks().ellipsis));
    format!(
        "{when}  {}{:fill$}{}\n",
        paint.tone(Tone::Strong, &paint.clean(name)),
        "",
        paint.tone(tone, &what)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_for_scripts_and_for_people() {
        let at = WallTime(1_763_647_402_123);
        assert_eq!(rfc3339(at), "2025-11-20T14:03:22.123Z");
        assert_eq!(rfc3339(WallTime(1_763_647_402_000)), "2025-11-20T14:03:22.000Z");
        assert_eq!(rfc3339(WallTime(i64::MAX)), "@9223372036854775807");
        assert_eq!(clock(at, at, &TimeZone::UTC), "14:03:22.123");
        assert_eq!(clock(at, WallTime(at.0 + 86_400_000), &TimeZone::UTC), "2025-11-20 14:03:22.123");
    }
}
