//! Spans and moments as people write them.

use std::time::Duration;

use crate::domain::WallTime;

/// A point in time as people give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(WallTime),
}

/// Reads `500ms`, `10s`, `1m30s`, `2h`, `1d`; says what is missing where a bare number stands.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write it like 500ms, 10s or 1m30s");
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` has no unit: write {text}s for seconds or {text}ms for milliseconds"));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut largest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let millis: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        // `5s10m` and `5s5s` are slips of the pen.
        if millis >= largest {
            return Err(wrong());
        }
        largest = millis;
        rest = &rest[letters..];
        let part = number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// Reads a duration (so long ago) or an RFC 3339 time.
pub fn since(text: &str) -> Result<Since, String> {
    let as_duration = duration(text);
    if let Ok(span) = as_duration {
        return Ok(Since::Ago(span));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(stamp) => Ok(Since::At(WallTime(stamp.as_millisecond()))),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => as_duration.map(Since::Ago),
        Err(_) => {
            Err(format!("`{text}` is neither a duration like 10m nor a time like 2025-11-20T14:03:22Z"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_sense() {
        let good = [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d1ms", 86_400_001),
            ("0s", 0),
        ];
        for (text, millis) in good {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "5s5s",
            "5s1m",
            "10 s",
            "10S",
            "99999999999999999999s",
            "9999999999999999d",
            "é",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn since_is_a_span_or_a_time() {
        assert_eq!(since("10m"), Ok(Since::Ago(Duration::from_secs(600))));
        assert_eq!(since("2025-11-20T14:03:22Z"), Ok(Since::At(WallTime(1_763_647_402_000))));
        assert!(since("10").expect_err("no unit").contains("no unit"));
        assert!(since("yesterday").expect_err("not a time").contains("neither"));
    }
}
