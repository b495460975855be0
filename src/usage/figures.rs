//! The arithmetic of a look: what grew since the look before, and who stands out. Pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::ProcId;

/// What the process table tells of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Which.
    pub process: ProcId,
    /// Its parent's number.
    pub parent: i32,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Its own time on a core, in clock ticks.
    pub ticks: u64,
    /// That of children that it has waited for.
    pub reaped: u64,
}

/// Work of so many clock ticks within a span, in thousandths of a core; none where no time has passed.
#[must_use]
pub fn share(ticks: u64, span: Duration, per_second: u64) -> Option<u32> {
    let possible = span.as_millis() * u128::from(per_second);
    // A second's ticks within a second are a whole core: 1000.
    let milli = (u128::from(ticks) * 1_000_000).checked_div(possible)?;
    Some(u32::try_from(milli).unwrap_or(u32::MAX))
}

/// All work that a tree has done so far, in clock ticks: that of the living, and of the dead whom they have waited for.
///
/// The work of a process that ends moves to whoever waits for it, so nothing is lost that came and went between two
/// looks. `above`: what the one that holds the tree has waited for; orphans end with it.
pub(super) fn work(tree: &[Raw], above: u64) -> u64 {
    tree.iter().fold(above, |sum, one| sum.saturating_add(one.ticks).saturating_add(one.reaped))
}

/// How many living children each of them has within the tree.
pub(super) fn children(tree: &[Raw]) -> HashMap<i32, u32> {
    let mut count = HashMap::new();
    for one in tree {
        *count.entry(one.parent).or_default() += 1;
    }
    count
}

/// The one that stands out most; none where nobody stands out at all. Of equals the oldest.
pub(super) fn most<K: Ord + Default>(tree: &[Raw], by: impl Fn(&Raw) -> K) -> Option<&Raw> {
    let largest = tree.iter().max_by_key(|one| (by(one), std::cmp::Reverse(one.process.start)))?;
    (by(largest) > K::default()).then_some(largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Pid;

    fn raw(pid: i32, parent: i32, memory: u64, ticks: u64, reaped: u64) -> Raw {
        let process = ProcId { pid: Pid::new(pid).expect("above 1"), start: u64::from(pid.unsigned_abs()) };
        Raw { process, parent, memory, ticks, reaped }
    }

    #[test]
    fn a_second_of_work_in_a_second_is_a_core() {
        let two = Duration::from_secs(2);
        assert_eq!(share(100, Duration::from_secs(1), 100), Some(1000));
        assert_eq!(share(100, two, 100), Some(500));
        assert_eq!(share(800, two, 100), Some(4000));
        assert_eq!(share(1, two, 100), Some(5));
        assert_eq!(share(0, two, 100), Some(0));
        assert_eq!(share(5, Duration::ZERO, 100), None);
        assert_eq!(share(u64::MAX, Duration::from_millis(1), 1), Some(u32::MAX));
    }

    #[test]
    fn work_of_a_child_that_came_and_went_counts() {
        let before = [raw(10, 9, 0, 50, 0), raw(11, 10, 0, 30, 0)];
        // 11 has ended, and so has one that was never seen and worked for 20 ticks; 10 has waited for both.
        let after = [raw(10, 9, 0, 51, 50)];
        assert_eq!(work(&after, 0) - work(&before, 0), 21);
        // Waited for by the keeper, because its own parent was gone.
        let after = [raw(10, 9, 0, 51, 0)];
        assert_eq!(work(&after, 50) - work(&before, 0), 21);
    }

    #[test]
    fn who_stands_out_is_named_and_of_equals_the_oldest() {
        let tree = [raw(10, 9, 7, 0, 0), raw(11, 10, 9, 0, 0), raw(12, 10, 9, 0, 0), raw(13, 12, 1, 0, 0)];
        let pid = |one: Option<&Raw>| one.map(|one| one.process.pid.get());
        assert_eq!(pid(most(&tree, |one| one.memory)), Some(11));
        assert_eq!(pid(most(&tree, |one| one.ticks)), None, "nobody has done anything");
        let children = children(&tree);
        assert_eq!(pid(most(&tree, |one| children.get(&one.process.pid.get()).copied())), Some(10));
        assert_eq!(pid(most(&[], |one| one.memory)), None);
    }
}
