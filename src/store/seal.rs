//! Seals: a line of the ledger counts only if this stack wrote it, for this life, in these very words.
//!
//! What stands in the ledger decides who is signalled, and a process that has cleared its environment and lost its
//! parents has no other proof. So a bare number is none: each line carries a keyed hash (SipHash-2-4, 128 bits) of itself.
//! The key comes from the random mark of the life and the place of the stack, so that a line that was changed, made up,
//! cut, or brought in from another life or another stack is as good as no line. Who can read all of a stack's state can
//! forge it: that is the same user, who needs no devstack to signal his processes.

use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::domain::Mark;

/// What a sealed line ends in: these words, the 32 digits of the seal, and [`END`].
const BEGIN: &[u8] = br#","seal":""#;
const END: &[u8] = br#""}"#;
const DIGITS: usize = 32;

/// The key by which lines are sealed and known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seal(Mark);

impl Seal {
    /// The key for what a secret and these words name together.
    #[must_use]
    pub fn of(secret: &Mark, words: &[&str]) -> Self {
        Self(hash(secret, words.iter().map(|word| word.as_bytes())))
    }

    /// A JSON document with its seal as the last entry; one that is only a word becomes an object of that name.
    #[must_use]
    pub fn close(&self, mut document: Vec<u8>) -> Vec<u8> {
        if document.first() == Some(&b'"') {
            document.insert(0, b'{');
            document.extend_from_slice(b":null}");
        }
        let tag = self.tag(&document);
        document.pop();
        document.extend_from_slice(BEGIN);
        document.extend_from_slice(tag.as_str().as_bytes());
        document.extend_from_slice(END);
        document
    }

    /// The document without its seal, if it is whole and this key's.
    #[must_use]
    pub fn open(&self, text: &[u8]) -> Option<Vec<u8>> {
        let (document, told) = split(text)?;
        (self.tag(&document) == told).then_some(document)
    }

    fn tag(&self, document: &[u8]) -> Mark {
        hash(&self.0, [document].into_iter())
    }
}

/// The document without its seal, whoever closed it: nothing in it is to be believed.
#[must_use]
pub(super) fn unverified(text: &[u8]) -> Option<Vec<u8>> {
    split(text).map(|(document, _)| document)
}

fn split(text: &[u8]) -> Option<(Vec<u8>, Mark)> {
    let text = text.trim_ascii_end();
    let rest = text.strip_suffix(END)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let mut document = rest.strip_suffix(BEGIN)?.to_vec();
    document.push(b'}');
    Some((document, Mark::parse(std::str::from_utf8(digits).ok()?)?))
}

/// Each part with its length: no two lists of parts run into the same bytes.
fn hash<'a>(key: &Mark, parts: impl Iterator<Item = &'a [u8]>) -> Mark {
    let mut hasher = SipHasher24::new_with_key(&key.bytes());
    for part in parts {
        hasher.write(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.write(part);
    }
    Mark::from_random(hasher.finish128().as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(words: &[&str]) -> Seal {
        Seal::of(&Mark::from_random([7; 16]), words)
    }

    #[test]
    fn a_sealed_document_is_json_and_opens_again() {
        for document in [r#"{"member":{"pid":17,"start":5}}"#, r#""emptied""#] {
            let closed = key(&["a"]).close(document.as_bytes().to_vec());
            let read: serde_json::Value = serde_json::from_slice(&closed).expect("JSON");
            assert_eq!(read["seal"].as_str().map(str::len), Some(DIGITS), "{read}");
            let opened = key(&["a"]).open(&closed).expect("ours");
            assert_eq!(unverified(&closed), Some(opened));
        }
        assert_eq!(key(&["a"]).close(br#""x""#.to_vec()), key(&["a"]).close(br#"{"x":null}"#.to_vec()));
    }

    #[test]
    fn another_life_another_stack_and_other_words_are_not_ours() {
        let closed = key(&["shop", "api", "1"]).close(br#"{"member":{"pid":17,"start":5}}"#.to_vec());
        for words in [&["shop", "api", "2"][..], &["shop", "api1"], &["sho", "papi", "1"], &[]] {
            assert_eq!(key(words).open(&closed), None, "{words:?}");
        }
        assert_eq!(Seal::of(&Mark::from_random([8; 16]), &["shop", "api", "1"]).open(&closed), None);
        assert_eq!(key(&["shop", "api", "1"]).open(br#"{"member":{"pid":17,"start":5}}"#), None);
    }

    proptest! {

        #![proptest_config(crate::chance::config())]

        #[test]
        fn one_changed_byte_breaks_it(at in 0_usize..200, change in 1_u8..) {
            let closed = key(&[]).close(br#"{"leader":{"boot":"b","keeper":{"pid":3,"start":9}}}"#.to_vec());
            let mut changed = closed.clone();
            changed[at % closed.len()] ^= change;
            prop_assert_eq!(key(&[]).open(&changed), None);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(key(&[]).open(&bytes), None);
            let _ = unverified(&bytes);
        }
    }
}
