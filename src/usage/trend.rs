//! How one process has been over the last looks: does it ever rest, does its memory ever stop growing? Pure.
//!
//! Windows are counted in looks: by the interval of 2 s that is usual, a minute for a busy loop and five for a leak.

use std::collections::VecDeque;

use crate::domain::Moment;

/// So many looks are a window for a busy loop.
const BUSY_LOOKS: usize = 30;
/// One whose mean over the window is at least this share of a core (in thousandths) does not rest.
const BUSY: u64 = 950;
/// Below this it rests again.
const RESTED: u64 = 800;

/// So many looks make a part of the window for a leak. The least memory of each part counts: between two collections of
/// garbage memory grows in every program, but it falls back to the same floor.
const PART_LOOKS: u32 = 15;
/// So many times in a row must the floor have risen.
const RISES: usize = 10;
/// Growing by less than this is not worth a word, in bytes.
const LEAST_GROWTH: u64 = 64 << 20;

/// The last looks at one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trend {
    cpu: VecDeque<(Moment, u64)>,
    busy: bool,
    looks: u32,
    floor: Option<u64>,
    floors: VecDeque<(Moment, u64)>,
    growing: bool,
}

/// What a look has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has not rested for so many milliseconds.
    Busy {
        /// The window.
        millis: u64,
    },
    /// It rests again.
    Rested,
    /// Its memory has only grown.
    Growing {
        /// Bytes at the window's begin.
        from: u64,
        /// And at its end.
        to: u64,
        /// The window.
        millis: u64,
    },
    /// It has stopped growing.
    Settled,
}

impl Trend {
    /// Takes one look in, and says what has changed by it.
    pub fn look(&mut self, at: Moment, memory: u64, cpu_milli: Option<u32>) -> Vec<Turn> {
        self.work(at, cpu_milli).into_iter().chain(self.memory(at, memory)).collect()
    }

    fn work(&mut self, at: Moment, cpu_milli: Option<u32>) -> Option<Turn> {
        // More than one core counts as one: a short burst on all of them is no loop.
        self.cpu.push_back((at, u64::from(cpu_milli?).min(1000)));
        if self.cpu.len() > BUSY_LOOKS {
            self.cpu.pop_front();
        }
        let looks = u64::try_from(BUSY_LOOKS).unwrap_or(u64::MAX);
        let mean = self.cpu.iter().map(|(_, share)| share).sum::<u64>() / looks;
        let full = self.cpu.len() == BUSY_LOOKS;
        if !self.busy && full && mean >= BUSY {
            self.busy = true;
            return Some(Turn::Busy { millis: since(self.cpu.front(), at) });
        }
        if self.busy && mean < RESTED {
            self.busy = false;
            return Some(Turn::Rested);
        }
        None
    }

    fn memory(&mut self, at: Moment, memory: u64) -> Option<Turn> {
        self.floor = Some(self.floor.map_or(memory, |floor| floor.min(memory)));
        self.looks += 1;
        if self.looks < PART_LOOKS {
            return None;
        }
        self.looks = 0;
        self.floors.push_back((at, self.floor.take()?));
        if self.floors.len() > RISES + 1 {
            self.floors.pop_front();
        }
        let rises = self.floors.iter().zip(self.floors.iter().skip(1)).all(|((_, a), (_, b))| a < b);
        let (from, to) = (self.floors.front()?.1, self.floors.back()?.1);
        let much = to.saturating_sub(from) >= LEAST_GROWTH.max(from / 4);
        if !self.growing && rises && much && self.floors.len() > RISES {
            self.growing = true;
            return Some(Turn::Growing { from, to, millis: since(self.floors.front(), at) });
        }
        if self.growing && !rises {
            self.growing = false;
            return Some(Turn::Settled);
        }
        None
    }
}

fn since(first: Option<&(Moment, u64)>, at: Moment) -> u64 {
    first.map_or(0, |(begun, _)| u64::try_from(at.since(*begun).as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// All that is said over a series, two seconds between its looks, with the number of the look.
    fn series(looks: impl IntoIterator<Item = (u64, u32)>) -> Vec<(usize, Turn)> {
        let mut trend = Trend::default();
        let told = |(at, (memory, cpu)): (usize, (u64, u32))| {
            let moment = Moment(2000 * u64::try_from(at).expect("few"));
            trend.look(moment, memory, Some(cpu)).into_iter().map(|turn| (at, turn)).collect::<Vec<_>>()
        };
        looks.into_iter().enumerate().flat_map(told).collect()
    }

    fn memory(looks: impl IntoIterator<Item = u64>) -> Vec<(usize, Turn)> {
        series(looks.into_iter().map(|memory| (memory, 0)))
    }

    #[test]
    fn a_process_that_never_rests_is_told_once_and_once_again_when_it_does() {
        let looks = [1000].repeat(100).into_iter().chain([0; 30]).map(|cpu| (MIB, cpu));
        assert_eq!(series(looks), [(29, Turn::Busy { millis: 58_000 }), (106, Turn::Rested)]);
        // Near the threshold it is neither told again and again nor taken back.
        let near = (0..300).map(|at| (MIB, if at % 2 == 0 { 1000 } else { 880 }));
        assert_eq!(series(near).len(), 0);
        let around = (0..300).map(|at| (MIB, if at < 40 || at % 3 == 0 { 1000 } else { 850 }));
        assert_eq!(series(around).len(), 1);
    }

    #[test]
    fn work_with_pauses_and_short_bursts_are_no_busy_loop() {
        assert_eq!(series([1000].repeat(29).into_iter().map(|cpu| (MIB, cpu))), []);
        let compiler = (0..200).map(|at| (MIB, if at % 20 < 18 { 1000 } else { 0 }));
        assert_eq!(series(compiler), []);
        let burst = (0..60).map(|at| (MIB, if at < 8 { 8000 } else { 10 }));
        assert_eq!(series(burst), []);
    }

    #[test]
    fn memory_that_only_grows_is_told_once_and_once_again_when_it_stops() {
        let leak = (0..400_u64).map(|at| (100 + at) * MIB).chain([300 * MIB; 40]);
        let told = memory(leak);
        assert_eq!(told[0], (164, Turn::Growing { from: 100 * MIB, to: 250 * MIB, millis: 300_000 }));
        assert_eq!((told[1].1, told.len()), (Turn::Settled, 2), "{told:?}");
    }

    #[test]
    fn a_leak_below_the_teeth_of_a_garbage_collector_is_seen_and_the_teeth_alone_are_not() {
        let teeth = |at: u64| (at % 12) * 10;
        assert_eq!(memory((0..600).map(|at| (200 + teeth(at)) * MIB)), []);
        let leak = memory((0..600).map(|at| (200 + teeth(at) + at) * MIB));
        assert!(matches!(leak[..], [(164, Turn::Growing { .. })]), "{leak:?}");
    }

    #[test]
    fn a_start_a_plateau_and_a_little_growth_are_no_leak() {
        // Loads its modules for two minutes, then stays.
        assert_eq!(memory((0..600_u64).map(|at| at.min(60) * 10 * MIB)), []);
        // A page every look: 600 kB in twenty minutes.
        assert_eq!(memory((0..600_u64).map(|at| 100 * MIB + at * 1024)), []);
        // 75 MiB in five minutes are little for one that has 4 GiB.
        assert_eq!(memory((0..600_u64).map(|at| 4096 * MIB + at * MIB / 2)), []);
    }
}
