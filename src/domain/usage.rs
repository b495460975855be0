//! What processes take of the machine: measured by `usage`, judged by the machine, shown by `monitor`.

use serde::{Deserialize, Serialize};

use super::{Life, ProcId, UnitName, WallTime};

/// What one process takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// Which.
    pub process: ProcId,
    /// Its command line, or `[name]`; control characters escaped.
    pub command: String,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Its share of the processor since the look before, in thousandths of a core; none where it was not seen then.
    pub cpu_milli: Option<u32>,
    /// So many living children it has.
    pub children: u32,
    /// So many files it has open; none where nobody asked, or they may not be read.
    pub open_files: Option<u64>,
}

/// What all processes of one life take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeUsage {
    /// The unit.
    pub unit: UnitName,
    /// Its life.
    pub life: Life,
    /// How many they are.
    pub processes: u32,
    /// The sum of their resident memory in bytes: what they share is counted for each. See [`LifeUsage::proportional`].
    pub memory: u64,
    /// `memory` is their proportional share (PSS), in which shared pages count once: it was read because their resident
    /// memory was above what they may have.
    pub proportional: bool,
    /// Their share of the processor since the look before, in thousandths of a core: children that came and went in
    /// between are counted too. None at the first look.
    pub cpu_milli: Option<u32>,
    /// The one with the most memory.
    pub biggest: Option<ProcessUsage>,
    /// The one that was the longest on a core since the look before.
    pub busiest: Option<ProcessUsage>,
    /// The one with the most living children, where one has any.
    pub broadest: Option<ProcessUsage>,
    /// The one with the most open files, where that was asked for.
    pub most_files: Option<ProcessUsage>,
}

/// What several lives take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalUsage {
    /// Processes.
    pub processes: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Share of the processor in thousandths of a core; none where none is known yet.
    pub cpu_milli: Option<u32>,
}

impl TotalUsage {
    /// The sum over lives.
    #[must_use]
    pub fn of(lives: &[LifeUsage]) -> Self {
        lives.iter().fold(Self::default(), |sum, life| {
            let LifeUsage { processes, memory, cpu_milli, .. } = *life;
            sum.and(Self { processes, memory, cpu_milli })
        })
    }

    fn and(self, other: Self) -> Self {
        Self {
            processes: self.processes.saturating_add(other.processes),
            memory: self.memory.saturating_add(other.memory),
            cpu_milli: match (self.cpu_milli, other.cpu_milli) {
                (Some(one), Some(other)) => Some(one.saturating_add(other)),
                (one, other) => one.or(other),
            },
        }
    }
}

/// A look that is remembered: the figures of each life, without its processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastUsage {
    /// When it was taken.
    pub at: WallTime,
    /// What each unit took.
    pub units: Vec<(UnitName, TotalUsage)>,
}

impl PastUsage {
    /// What of a look is remembered.
    #[must_use]
    pub fn of(at: WallTime, lives: &[LifeUsage]) -> Self {
        let figures = |life: &LifeUsage| (life.unit.clone(), TotalUsage::of(std::slice::from_ref(life)));
        Self { at, units: lives.iter().map(figures).collect() }
    }

    /// What all of them took together.
    #[must_use]
    pub fn total(&self) -> TotalUsage {
        self.units.iter().fold(TotalUsage::default(), |sum, (_, one)| sum.and(*one))
    }
}

/// Bytes in powers of 1024: `640K`, `45.1M`, `2.0G`.
#[must_use]
pub fn format_bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    if count < 1024 {
        return format!("{count}B");
    }
    // Tenths of the present unit; one more unit as soon as four digits would be needed.
    let (mut tenths, mut unit) = (u128::from(count) * 10 / 1024, 1);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if unit == 1 {
        format!("{}K", tenths / 10)
    } else {
        format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit])
    }
}
