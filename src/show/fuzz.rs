//! What a fuzzer throws at the rules for text: nothing that acts on a terminal may come through.

use super::text::{escape, shorten_home, tame, truncate, width};

/// Any text that a foreign process may have chosen.
pub(crate) fn text(data: &[u8]) {
    let raw = String::from_utf8_lossy(data);
    let safe = escape(&raw);
    crate::domain::assert_nothing_acts(&safe);
    assert!(!safe.contains('\n'), "a name is one line");
    assert_eq!(escape(&safe), safe);
    let tamed = tame(&raw);
    let plain = tamed.replace("\u{1b}[", "").replace('\t', "");
    assert!(!plain.chars().any(|c| c != '\n' && crate::domain::acts(c)), "{tamed:?}");
    for columns in [0, 1, 7, 80] {
        assert!(width(&truncate(&safe, columns, "…")) <= columns);
    }
    let _ = shorten_home(&safe, "/home/dev");
}
