//! Places in a text: bytes to lines and columns, and spans that a caret can show.

use super::Span;

/// A span of bytes, cut to its first line without trailing blanks, so that a caret stays readable.
/// `line` and `column` count from 1.
pub(super) fn on_one_line(text: &str, start: usize, end: usize, line: usize, column: usize) -> Span {
    let start = floor(text, start);
    let raw = &text[start..floor(text, end.max(start))];
    let first = raw.split(['\n', '\r']).next().unwrap_or_default();
    let shown = if raw.len() > first.len() { first.trim_end() } else { first };
    Span { start: small(start), end: small(start + shown.len()), line: small(line), column: small(column) }
}

/// A span of bytes whose line must be counted: for the few places that only a byte offset tells.
pub(super) fn locate(text: &str, start: usize, end: usize) -> Span {
    let start = floor(text, start);
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    on_one_line(text, start, end, line, before[line_start..].chars().count() + 1)
}

/// The last place at or before `at` where a character begins.
pub(super) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Span {
    /// A part of a text that stands in the file byte by byte: `from..to` are bytes of `value`.
    pub(crate) fn part(self, value: &str, verbatim: Option<u32>, from: usize, to: usize) -> Self {
        let (Some(begin), Some(before)) = (verbatim, value.get(..from)) else { return self };
        // What came in by an alias stands before the place that it is used at.
        let Some(skipped) = begin.checked_sub(self.start) else { return self };
        let column = self.column + skipped + small(before.chars().count());
        Self { start: begin + small(from), end: begin + small(to), line: self.line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_cut_at_the_line_end() {
        let text = "a: b\nü: x  \n  y\n";
        let span = locate(text, 9, 15);
        assert_eq!((span.line, span.column), (2, 4));
        assert_eq!(&text[span.start as usize..span.end as usize], "x");
        assert_eq!(locate(text, 999, 9999).start as usize, text.len());
    }
}
