//! Small rules for text: what a line may hold, how wide it is, how figures are written.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub use crate::domain::format_bytes as bytes;
use crate::domain::{acts, format_duration};

/// Makes control characters visible, so that no name or command line can act on a terminal or break a line.
///
/// Marks that turn the direction of writing count too: they make a line read as something that it is not.
#[must_use]
pub fn escape(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' => {
                let written = write!(safe, "\\x{:02x}", u32::from(c));
                debug_assert!(written.is_ok());
            }
            _ if acts(c) => {
                let written = write!(safe, "\\u{{{:x}}}", u32::from(c));
                debug_assert!(written.is_ok());
            }
            _ => safe.push(c),
        }
    }
    safe
}

/// The last look at a text that leaves the program: what acts is written as `\uXXXX`, which is right in JSON as well. Line
/// feeds, tabs and colours are our own.
#[must_use]
pub fn tame(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| acts(c) && !matches!(c, '\n' | '\t')) {
        return text.into();
    }
    let mut tamed = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = colour_length(rest);
        let (taken, behind) = rest.split_at(if colour > 0 { colour } else { c.len_utf8() });
        if colour > 0 || !acts(c) || matches!(c, '\n' | '\t') {
            tamed.push_str(taken);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let written = write!(tamed, "\\u{unit:04x}");
                debug_assert!(written.is_ok());
            }
        }
        rest = behind;
    }
    tamed.into()
}

/// The length of a sequence for colour (`ESC [ 1 ; 31 m`) that a text begins with.
fn colour_length(text: &str) -> usize {
    let Some(inside) = text.strip_prefix("\u{1b}[") else { return 0 };
    let digits = inside.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if inside.as_bytes().get(digits) == Some(&b'm') { digits + 3 } else { 0 }
}

/// Puts `~` in place of the home directory wherever a path begins with it.
#[must_use]
pub fn shorten_home(text: &str, home: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(home) {
        let (before, found) = rest.split_at(at);
        let after = &found[home.len()..];
        short.push_str(before);
        // `/home/dev` is neither in `/home/developer` nor in `/mnt/home/dev`; and a shell takes a quoted `~` literally.
        let begins =
            !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '\''));
        let ends = !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
        short.push_str(if begins && ends { "~" } else { home });
        rest = after;
    }
    short.push_str(rest);
    short
}

/// Our own marks in ASCII; all other characters stay as they are.
#[must_use]
pub(super) fn to_ascii_marks(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '→' => plain.push_str("->"),
            '…' => plain.push_str("..."),
            '·' => plain.push('|'),
            '–' => plain.push('-'),
            '×' => plain.push('x'),
            _ => plain.push(c),
        }
    }
    plain
}

/// Columns that the text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text cut to at most so many columns, with `ellipsis` where something was cut off.
#[must_use]
pub fn truncate(text: &str, columns: usize, ellipsis: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(ellipsis));
    let mut taken = 0;
    let kept = text.chars().take_while(|c| {
        taken += c.width().unwrap_or(0);
        taken <= room
    });
    let mut short: String = kept.collect();
    if width(ellipsis) <= columns {
        short.push_str(ellipsis);
    }
    short
}

/// A span as it is told: `58ms`, `0.1s`, `1.9s`, `2m05s`, `3h12m`.
#[must_use]
pub fn span(millis: u64) -> String {
    match millis {
        0..100 => format!("{millis}ms"),
        100..59_950 => {
            let tenths = (millis + 50) / 100;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        59_950..60_000 => format_duration(Duration::from_secs(60)),
        _ => format_duration(Duration::from_millis(millis)),
    }
}

/// The same for a span in seconds.
#[must_use]
pub fn span_of_seconds(seconds: f64) -> String {
    span(
        Duration::try_from_secs_f64(seconds)
            .map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
    )
}

/// A span in its largest unit: `2h`, `3d`, `40s`; for "started … ago".
#[must_use]
pub fn rough_span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}min", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A number with its noun: `1 process`, `2 processes`.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The name by which a person knows a command line: the program, or the script that an interpreter runs.
#[must_use]
pub fn program(command: &str) -> String {
    const INTERPRETERS: [&str; 9] =
        ["node", "nodejs", "python", "python3", "ruby", "perl", "deno", "bun", "tsx"];
    /// Options of node that take the next word for themselves: `tsx` and vitest put them before the script.
    const WITH_VALUE: [&str; 7] =
        ["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"];
    let base = |word: &str| word.rsplit('/').find(|part| !part.is_empty()).unwrap_or(word).to_owned();
    let mut words = command.split_whitespace();
    let Some(first) = words.next() else { return "?".to_owned() };
    let first = base(first);
    if !INTERPRETERS.contains(&first.as_str()) {
        return first;
    }
    let mut script = None;
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word) {
            words.next();
        } else if !word.starts_with('-') {
            script = Some(base(word));
            break;
        }
    }
    let name = script.and_then(|script| {
        let stem = script.rsplit_once('.').map_or(script.as_str(), |(stem, _)| stem).to_owned();
        (!stem.is_empty() && !matches!(stem.as_str(), "index" | "main" | "cli" | "server")).then_some(stem)
    });
    name.unwrap_or(first)
}

/// A path as a word for the shell: `~/x` where it can be, quoted where it must be.
#[must_use]
pub fn shell_path(path: &str, home: Option<&str>) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | ':');
    if path.chars().all(safe) && !path.is_empty() {
        return home.map_or_else(|| path.to_owned(), |home| shorten_home(path, home));
    }
    if path.chars().any(char::is_control) {
        return format!("$'{}'", escape(path).replace('\'', "\\'"));
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_passes() {
        assert_eq!(
            escape("a\x1b[31mb\x07\r\n\tc\u{9b}2J\u{202e}d\x7f"),
            "a\\x1b[31mb\\x07\\r\\n\\tc\\u{9b}2J\\u{202e}d\\x7f"
        );
        assert_eq!(escape("Проект 数据"), "Проект 数据");
    }

    #[test]
    fn home_is_a_tilde_only_where_it_is_home() {
        let short = |text| shorten_home(text, "/home/dev");
        assert_eq!(short("in /home/dev/shop, not /home/developer"), "in ~/shop, not /home/developer");
        assert_eq!(short("/mnt/home/dev (/home/dev)"), "/mnt/home/dev (~)");
        assert_eq!(short("cd '/home/dev/my shop'"), "cd '/home/dev/my shop'");
    }

    #[test]
    fn cutting_counts_columns() {
        assert_eq!(truncate("数据库服务", 7, "…"), "数据库…");
        assert_eq!(truncate("数据库服务", 6, "…"), "数据…");
        assert_eq!(truncate("postgres", 8, "…"), "postgres");
        assert_eq!(truncate("postgres", 2, "..."), "");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [0, 99, 100, 1949, 59_949, 59_950, 125_000].map(span),
            ["0ms", "99ms", "0.1s", "1.9s", "59.9s", "1m00s", "2m05s"]
        );
        assert_eq!([0, 59_000, 7_200_000, 200_000_000].map(rough_span), ["0s", "59s", "2h", "2d"]);
        let sizes = [12, 1024, 655_360, 1_048_576, 47_300_000, 2 << 30].map(bytes);
        assert_eq!(sizes, ["12B", "1K", "640K", "1.0M", "45.1M", "2.0G"]);
        assert_eq!(bytes(u64::MAX), "16777215.9T");
    }

    #[test]
    fn a_command_line_has_a_short_name() {
        let names = [
            "node /x/node_modules/.bin/vitest run",
            "/usr/bin/esbuild --service=0.1",
            "node server.js",
            "python3 -u app.py",
            "node -e 1",
            "node --require /x/preflight.cjs --import file:///x/loader.mjs src/api.ts",
            "",
        ];
        assert_eq!(names.map(program), ["vitest", "esbuild", "node", "app", "1", "api", "?"]);
    }

    #[test]
    fn a_path_can_be_pasted_into_a_shell() {
        let home = Some("/home/dev");
        assert_eq!(shell_path("/home/dev/shop", home), "~/shop");
        assert_eq!(shell_path("/home/dev/my shop's", home), "'/home/dev/my shop'\\''s'");
        assert_eq!(shell_path("/tmp/a\x1bb", home), "$'/tmp/a\\x1bb'");
    }
}
