//! Bytes of unknown origin as text that is safe to show in a message.

use crate::domain::acts;

/// The text of a line without what would act on a terminal: colour and cursor sequences are dropped, other control
/// characters are escaped, invalid UTF-8 is replaced, and what is longer than `most` characters is cut.
#[must_use]
pub fn printable(line: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown = String::with_capacity(text.len().min(most * 4));
    let plain = without_escapes(&text);
    let plain = plain.trim_end();
    for (count, c) in plain.chars().enumerate() {
        if count == most {
            shown.push('…');
            break;
        }
        match c {
            '\t' => shown.push(' '),
            c if acts(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// A text without its escape sequences (ECMA-48 CSI, OSC and two-character ones).
#[must_use]
pub fn without_escapes(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 1..];
        let behind = match sequence.as_bytes().first() {
            Some(b'[') => sequence[1..].find(|c: char| ('@'..='~').contains(&c)).map(|end| end + 2),
            Some(b']') => {
                let ended = sequence.find(['\u{7}', '\u{1b}']);
                ended.map(|end| end + if sequence[end..].starts_with("\u{1b}\\") { 2 } else { 1 })
            }
            Some(byte) if byte.is_ascii() => Some(1),
            _ => Some(0),
        };
        rest = behind.map_or("", |end| &sequence[end..]);
    }
    plain.push_str(rest);
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_is_left() {
        assert_eq!(printable(b"\x1b[31mred\x1b[0m\tx\r\n", 100), "red x");
        assert_eq!(printable(b"\x1b]0;title\x07text\x1b]8;;u\x1b\\l", 100), "textl");
        assert_eq!(printable(b"a\x08b\xff", 100), "a\\u{8}b\u{fffd}");
        assert_eq!(printable("a\u{202e}b".as_bytes(), 100), "a\\u{202e}b");
        assert_eq!(printable(b"\x1b[12;", 100), "");
        assert_eq!(printable("ä\u{1b}üö".as_bytes(), 100), "äüö");
        assert_eq!(printable("äöü".as_bytes(), 2), "äö…");
    }
}
