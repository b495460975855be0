//! Budgets, and what is usual: when a start, a stop or a stack takes more than it should.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{UnitName, format_bytes, format_duration};

/// What a stack should take at most; of each, none means: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budgets {
    /// How long `up` may take.
    pub up: Option<Duration>,
    /// How long `down` may take.
    pub down: Option<Duration>,
    /// Bytes of memory of all its processes.
    pub memory: Option<u64>,
    /// Processes.
    pub processes: Option<u32>,
}

/// A budget that is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// `up` has taken longer.
    Up {
        /// How long.
        took: Duration,
        /// The budget.
        budget: Duration,
    },
    /// `down` has taken longer.
    Down {
        /// How long.
        took: Duration,
        /// The budget.
        budget: Duration,
    },
    /// The stack has more memory.
    Memory {
        /// Bytes.
        bytes: u64,
        /// The budget.
        budget: u64,
    },
    /// The stack has more processes.
    Processes {
        /// How many.
        count: u32,
        /// The budget.
        budget: u32,
    },
}

impl Budgets {
    /// There are none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What an `up` that took so long has exceeded.
    #[must_use]
    pub fn up(&self, took: Duration) -> Option<Excess> {
        self.up.filter(|budget| took > *budget).map(|budget| Excess::Up { took, budget })
    }

    /// What a `down` that took so long has exceeded.
    #[must_use]
    pub fn down(&self, took: Duration) -> Option<Excess> {
        self.down.filter(|budget| took > *budget).map(|budget| Excess::Down { took, budget })
    }

    /// What a stack exceeds that has so many processes with so much memory.
    #[must_use]
    pub fn stack(&self, count: u32, bytes: u64) -> Vec<Excess> {
        let memory = self.memory.filter(|budget| bytes > *budget);
        let processes = self.processes.filter(|budget| count > *budget);
        let memory = memory.map(|budget| Excess::Memory { bytes, budget });
        let processes = processes.map(|budget| Excess::Processes { count, budget });
        memory.into_iter().chain(processes).collect()
    }
}

impl Excess {
    /// The budget's word in the manifest.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Up { .. } => "up",
            Self::Down { .. } => "down",
            Self::Memory { .. } => "memory",
            Self::Processes { .. } => "processes",
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |span: &Duration| format_duration(*span);
        match self {
            Self::Up { took, budget } => {
                write!(f, "up took {}, its budget is {}", span(took), span(budget))
            }
            Self::Down { took, budget } => {
                write!(f, "down took {}, its budget is {}", span(took), span(budget))
            }
            Self::Memory { bytes, budget } => {
                write!(f, "memory {}, the budget is {}", format_bytes(*bytes), format_bytes(*budget))
            }
            Self::Processes { count, budget } => write!(f, "{count} processes, the budget is {budget}"),
        }
    }
}

/// A start that was far slower than usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowStart {
    /// Which unit.
    pub unit: UnitName,
    /// Milliseconds until its gate held.
    pub took: u64,
    /// The median of the starts before.
    pub usual: u64,
}

impl fmt::Display for SlowStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |millis| format_duration(Duration::from_millis(millis));
        write!(f, "{} took {} to be ready, usual is {}", self.unit, span(self.took), span(self.usual))
    }
}

/// What is to be said beside the answer of an `up`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Budgets that are exceeded.
    pub over: Vec<Excess>,
    /// Starts that were far slower than usual.
    pub slow: Vec<SlowStart>,
}

/// So many starts are needed before any is usual.
const STARTS: usize = 3;

/// What is usual by these starts, where this one was far slower: more than twice the median, and a second at least.
#[must_use]
pub fn far_slower(before: &[u64], took: u64) -> Option<u64> {
    let mut sorted = before.to_vec();
    sorted.sort_unstable();
    let (low, high) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    let median = sorted[low].midpoint(sorted[high]);
    let slow = took > median.saturating_mul(2) && took >= median.saturating_add(1000);
    (before.len() >= STARTS && slow).then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_far_slower_than_the_median_by_twice_and_a_second() {
        assert_eq!(far_slower(&[900, 1000, 5000], 2001), Some(1000));
        assert_eq!(far_slower(&[900, 1000, 5000], 2000), None, "not more than twice");
        assert_eq!(far_slower(&[100, 100, 100], 1099), None, "less than a second more");
        assert_eq!(far_slower(&[100, 100, 100], 1100), Some(100));
        assert_eq!(far_slower(&[100, 100], 60_000), None, "two starts make nothing usual");
        assert_eq!(far_slower(&[], 60_000), None);
        assert_eq!(far_slower(&[4000, 100, 2000, 100], 3000), Some(1050), "between the two in the middle");
        assert_eq!(far_slower(&[u64::MAX; 3], u64::MAX), None);
    }

    #[test]
    fn a_budget_that_is_met_exactly_is_kept() {
        let second = Duration::from_secs(1);
        let budgets =
            Budgets { up: Some(second), down: Some(second), memory: Some(1 << 30), processes: Some(9) };
        let later = second + Duration::from_millis(1);
        assert_eq!((budgets.up(second), budgets.down(second)), (None, None));
        assert_eq!(budgets.stack(9, 1 << 30), []);
        let told = [budgets.up(later), budgets.down(later)];
        let mut told: Vec<String> = told.iter().flatten().map(ToString::to_string).collect();
        told.extend(budgets.stack(10, 3 << 29).iter().map(ToString::to_string));
        let words = ["up took 1.0s, its budget is 1.0s", "down took 1.0s, its budget is 1.0s"];
        let stack = ["memory 1.5G, the budget is 1.0G", "10 processes, the budget is 9"];
        assert_eq!(told, [words, stack].concat());
        assert_eq!(Budgets::default().stack(u32::MAX, u64::MAX), []);
        assert_eq!(Budgets::default().up(Duration::MAX), None);
    }
}
