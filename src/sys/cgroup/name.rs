//! What the cgroup of a life is called.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::domain::{Life, UnitName};

/// What the name of a life's cgroup begins with.
pub const LEAF_PREFIX: &str = "unit-";

/// So much of a name is told by a cgroup's; with four bytes each they are still far from the 255 of a file name.
const LEAF_CHARS: usize = 50;

/// The name of a life's cgroup.
#[must_use]
pub fn leaf_name(unit: &UnitName, life: Life) -> String {
    format!("{}.{life}", name_of(unit))
}

/// A unit's name as a cgroup's: never one of the kernel's own file names (`cgroup.procs`, `memory.max`), and never that of
/// another unit: the second of two would run without a cgroup. No name holds a plus sign.
fn name_of(name: &UnitName) -> String {
    let text = name.as_str().replace(' ', "+");
    if text.chars().count() <= LEAF_CHARS {
        return format!("{LEAF_PREFIX}{text}");
    }
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    let begin: String = text.chars().take(LEAF_CHARS).collect();
    format!("{LEAF_PREFIX}{begin}++{:016x}", hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_has_a_cgroup_name_of_its_own() {
        let name = |text: &str| name_of(&UnitName::parse(text).expect("a name"));
        let long = "x".repeat(60);
        let names =
            ["a b", "a-b", "a.b", &long, &format!("{long}1"), &format!("{long}2"), &"ü".repeat(50)].map(name);
        for (at, one) in names.iter().enumerate() {
            assert!(!names[..at].contains(one), "{one} twice");
        }
        assert_eq!(name("a b"), "unit-a+b");
        // The number of a life comes behind.
        assert!(name(&"\u{10400}".repeat(100)).len() + ".4294967295".len() <= 255);
    }
}
