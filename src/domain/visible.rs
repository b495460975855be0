//! Which characters act on a terminal, or make a line read as another: decided here, once, for everything that is shown.

/// Whether a character does something instead of being seen: control characters (C0, DEL, C1), marks that turn or hide
/// the direction of writing, line and paragraph separators, and what has no width at all and so makes two names look the same.
#[must_use]
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// For tests and fuzzers: only line feeds may be among what a text does.
///
/// # Panics
/// Where anything else is in it.
#[cfg(any(test, fuzzing))]
pub(crate) fn assert_nothing_acts(text: &str) {
    let found = text.chars().find(|c| *c != '\n' && acts(*c));
    assert!(found.is_none(), "{found:?} in {text:?}");
}

#[cfg(test)]
mod tests {
    use super::acts;

    #[test]
    fn what_is_seen_does_not_act_and_what_acts_is_not_seen() {
        for c in ['a', ' ', 'ß', '日', '✓', '\u{301}', '🦀'] {
            assert!(!acts(c), "{c:?}");
        }
        for c in
            ['\0', '\u{1b}', '\r', '\n', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}']
        {
            assert!(acts(c), "{c:?}");
        }
    }
}
