//! The labels by which a container or a volume is known as one of a stack.

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::domain::Mark;

/// The hash of the manifest's path, for people: two machines that use one engine may have the same.
pub const STACK: &str = "devstack.stack";
/// Whose it is: what the stack's random secret makes of these words. Recovery and the proof of a stop ask for it.
pub const OWNER: &str = "devstack.owner";
/// The stack's name, for people.
pub const NAME: &str = "devstack.name";
/// The service.
pub const SERVICE: &str = "devstack.service";
/// The life in which it was made.
pub const LIFE: &str = "devstack.life";
/// The definition that it was made by.
pub const DEFINITION: &str = "devstack.definition";
/// The volume's name in the manifest.
pub const VOLUME: &str = "devstack.volume";

/// The owner that a stack writes on what it makes. The secret itself is a proof, and everybody may read a label: it cannot be
/// found by its owner.
#[must_use]
pub fn owner(secret: &Mark) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(secret.as_str().as_bytes());
    hasher.write(OWNER.as_bytes());
    format!("{:032x}", hasher.finish128().as_u128())
}

/// What all that belongs to this owner carries, as engines are asked for it.
#[must_use]
pub fn of_owner(owner: &str) -> String {
    format!("{OWNER}={owner}")
}

/// What all that was made for a manifest with this hash carries, whoever made it.
#[must_use]
pub fn of_stack(hash: &str) -> String {
    format!("{STACK}={hash}")
}

/// Whether what carries these labels was made for this service of this owner, in whatever life.
#[must_use]
pub fn is_of(labels: &BTreeMap<String, String>, owner: &str, service: &str) -> bool {
    let is = |label: &str, value: &str| labels.get(label).is_some_and(|one| one == value);
    is(OWNER, owner) && is(SERVICE, service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_known_again_and_tells_nobody_the_secret() {
        let (one, other) = (Mark::from_random([1; 16]), Mark::from_random([2; 16]));
        assert_eq!(owner(&one), owner(&one));
        assert_ne!(owner(&one), owner(&other));
        assert_ne!(owner(&one), one.as_str());
        assert_eq!(of_owner("x"), "devstack.owner=x");
    }

    #[test]
    fn what_is_ours_carries_our_owner_and_the_service() {
        let labels = |owner: &str, service: &str| {
            BTreeMap::from([(OWNER.to_owned(), owner.to_owned()), (SERVICE.to_owned(), service.to_owned())])
        };
        assert!(is_of(&labels("we", "db"), "we", "db"));
        assert!(!is_of(&labels("they", "db"), "we", "db"));
        assert!(!is_of(&labels("we", "api"), "we", "db"));
        assert!(!is_of(&BTreeMap::new(), "we", "db"));
    }
}
