//! What a fuzzer throws at the marks: only whole ones under whole names may count.

use super::marks::Marks;
use super::{ENV_LIFE, ENV_STACK_ID};
use crate::domain::Mark;

/// An environment, and names of memfds behind the first line feed.
pub(crate) fn marks(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (environ, names) = data.split_at(at);
    let held: Vec<String> =
        names.split(|byte| *byte == b'\n').map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let marks = Marks::parse(environ, &held);
    for mark in marks.told() {
        assert_eq!(Mark::parse(mark.as_str()).as_ref(), Some(mark), "half a mark proves nothing");
        let written = |hay: &[u8]| hay.windows(32).any(|part| part == mark.as_str().as_bytes());
        assert!(written(environ) || written(names));
    }
    // Marks that are nobody's are nobody's whatever stands beside them.
    assert!(!matches!(marks.belongs(|_| false), super::marks::Belongs::Ours));
    let told = [ENV_LIFE, ENV_STACK_ID].iter().any(|word| contains(environ, word.as_bytes()));
    assert!(told || marks.told().next().is_none() || contains(names, b"devstack:"));
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|part| part == needle)
}
