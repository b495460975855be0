//! What a fuzzer throws at env files and at times as people give them.

use super::load::parse_env;
use super::{logs, when};

/// An env file.
pub(crate) fn env_file(data: &[u8]) {
    match parse_env(data) {
        Ok(pairs) => {
            let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(
                bytes <= (17 << 20) + data.len(),
                "{bytes} bytes of values from {} bytes of text",
                data.len()
            );
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
}

/// What follows `--since` and `--timeout`.
pub(crate) fn when(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = when::duration(text);
    let _ = when::since(text);
    let now = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let _ = logs::when::parse(text, &now);
}
