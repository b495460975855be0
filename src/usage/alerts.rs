//! What needs an eye in a row of samples: each sign is told once when it is seen, and once when it is over. Pure.

use std::collections::{BTreeMap, HashMap};

use super::meter::{Point, Sample};
use super::trend::{Trend, Turn};
use crate::domain::{Alert, ProcId, Sign, Suspect, TotalUsage};

/// What a stack may have before somebody is told; none: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes.
    pub processes: Option<u32>,
}

/// The signs that are seen now, and the trends by which they are.
#[derive(Debug, Default)]
pub struct Alerts {
    thresholds: Thresholds,
    memory: Option<Sign>,
    processes: Option<Sign>,
    trends: HashMap<ProcId, Trend>,
    /// Whether it grows, of which process.
    suspects: BTreeMap<(ProcId, bool), Sign>,
}

impl Alerts {
    /// New thresholds count from the next sample on.
    pub fn set(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// All signs that are seen now.
    pub fn standing(&self) -> impl Iterator<Item = &Sign> {
        self.memory.iter().chain(&self.processes).chain(self.suspects.values())
    }

    /// What a sample changes; `command` gives the command line of a process.
    pub fn judge(&mut self, sample: &Sample, command: impl Fn(ProcId) -> String) -> Vec<Alert> {
        let total = TotalUsage::of(&sample.lives);
        let memory = self.thresholds.memory.map(|threshold| Sign::Memory {
            bytes: total.memory,
            threshold,
            most: most_memory(sample),
        });
        let processes = self.thresholds.processes.map(|threshold| Sign::Processes {
            count: total.processes,
            threshold,
            most: most_processes(sample),
        });
        let level =
            |threshold: Option<u64>, now: u64| threshold.map_or(Level::Under, |it| Level::of(now, it));
        let memory_level = level(self.thresholds.memory, total.memory);
        let processes_level = level(self.thresholds.processes.map(u64::from), u64::from(total.processes));
        let mut told = Vec::new();
        told.extend(cross(&mut self.memory, memory_level, memory));
        told.extend(cross(&mut self.processes, processes_level, processes));
        self.trends(sample, &command, &mut told);
        told
    }

    fn trends(&mut self, sample: &Sample, command: &impl Fn(ProcId) -> String, told: &mut Vec<Alert>) {
        let mut trends = std::mem::take(&mut self.trends);
        for point in &sample.points {
            let mut trend = trends.remove(&point.process).unwrap_or_default();
            for turn in trend.look(sample.at, point.memory, point.wanted_milli) {
                told.extend(self.turn(turn, point, sample, command));
            }
            self.trends.insert(point.process, trend);
        }
        // Those that are left were not seen any more.
        self.suspects.retain(|(process, _), sign| {
            let gone = trends.contains_key(process);
            if gone {
                told.push(Alert { sign: sign.clone(), over: true });
            }
            !gone
        });
    }

    fn turn(
        &mut self,
        turn: Turn,
        point: &Point,
        sample: &Sample,
        command: &impl Fn(ProcId) -> String,
    ) -> Option<Alert> {
        let process = point.process;
        let who = || {
            let unit = sample.lives.get(point.life)?.unit.clone();
            Some(Suspect { unit, process, command: command(process) })
        };
        let (grows, sign) = match turn {
            Turn::Busy { millis } => (false, Some(Sign::Busy { who: who()?, millis })),
            Turn::Growing { from, to, millis } => {
                (true, Some(Sign::Growing { who: who()?, from, to, millis }))
            }
            Turn::Rested => (false, None),
            Turn::Settled => (true, None),
        };
        match sign {
            Some(sign) => {
                self.suspects.insert((process, grows), sign.clone());
                Some(Alert { sign, over: false })
            }
            None => self.suspects.remove(&(process, grows)).map(|sign| Alert { sign, over: true }),
        }
    }
}

/// Where a figure stands to its threshold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Over,
    /// Under it by less than a tenth: nothing changes, or a figure at the threshold would be told again and again.
    Near,
    Under,
}

impl Level {
    fn of(now: u64, threshold: u64) -> Self {
        if now > threshold {
            Self::Over
        } else if u128::from(now) * 10 > u128::from(threshold) * 9 {
            Self::Near
        } else {
            Self::Under
        }
    }
}

/// Keeps what is seen up to date, and tells when it begins and ends.
fn cross(seen: &mut Option<Sign>, level: Level, now: Option<Sign>) -> Option<Alert> {
    match (level, seen.is_some()) {
        (Level::Over, known) => {
            seen.clone_from(&now);
            now.filter(|_| !known).map(|sign| Alert { sign, over: false })
        }
        (Level::Under, true) => {
            *seen = None;
            // Where its threshold is gone from the manifest, there is nothing to tell.
            now.map(|sign| Alert { sign, over: true })
        }
        (Level::Near | Level::Under, _) => None,
    }
}

fn most_memory(sample: &Sample) -> Option<(Suspect, u64)> {
    let biggest = sample.lives.iter().filter_map(|life| Some((life, life.biggest.as_ref()?)));
    let (life, one) = biggest.max_by_key(|(_, one)| one.memory)?;
    let who = Suspect { unit: life.unit.clone(), process: one.process, command: one.command.clone() };
    Some((who, one.memory))
}

fn most_processes(sample: &Sample) -> Option<(crate::domain::UnitName, u32)> {
    let life = sample.lives.iter().max_by_key(|life| life.processes)?;
    Some((life.unit.clone(), life.processes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Life, LifeUsage, Moment, Pid, ProcessUsage, UnitName};

    const MIB: u64 = 1 << 20;

    fn process(pid: i32) -> ProcId {
        ProcId { pid: Pid::new(pid).expect("above 1"), start: 7 }
    }

    fn life(unit: &str, pid: i32, processes: u32, memory: u64) -> LifeUsage {
        let biggest = ProcessUsage {
            process: process(pid),
            command: format!("serve {unit}"),
            memory: memory / 2,
            cpu_milli: None,
            children: 0,
            open_files: None,
        };
        LifeUsage {
            unit: UnitName::parse(unit).expect("a name"),
            life: Life(1),
            processes,
            memory,
            proportional: false,
            cpu_milli: None,
            biggest: Some(biggest),
            busiest: None,
            broadest: None,
            most_files: None,
        }
    }

    fn sample(at: u64, lives: Vec<LifeUsage>, points: &[(i32, usize, u64, u32)]) -> Sample {
        let point = |(pid, life, memory, cpu): &(i32, usize, u64, u32)| Point {
            process: process(*pid),
            life: *life,
            memory: *memory,
            cpu_milli: Some(*cpu / 2),
            wanted_milli: Some(*cpu),
        };
        Sample { at: Moment(2000 * at), lives, points: points.iter().map(point).collect() }
    }

    fn told(alerts: &mut Alerts, sample: &Sample) -> Vec<String> {
        let told = alerts.judge(sample, |process| format!("loop {}", process.pid));
        told.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_threshold_is_told_once_when_crossed_and_once_when_it_is_kept_again() {
        let mut alerts = Alerts::default();
        alerts.set(Thresholds { memory: Some(100 * MIB), processes: Some(10) });
        let mut at = 0;
        let mut look = |web: (u32, u64), db: (u32, u64)| {
            at += 1;
            let lives = vec![life("web", 40, web.0, web.1 * MIB), life("db", 50, db.0, db.1 * MIB)];
            let said = told(&mut alerts, &sample(at, lives, &[]));
            (said, alerts.standing().count())
        };
        assert_eq!(look((2, 40), (3, 60)), (vec![], 0), "at the threshold is not above it");
        let memory = "memory 110.0M, more than 100.0M; most of it: 35.0M serve db (pid 50, db)";
        assert_eq!(look((2, 40), (3, 70)), (vec![memory.to_owned()], 1));
        assert_eq!(look((2, 40), (3, 90)), (vec![], 1));
        assert_eq!(look((2, 31), (3, 60)), (vec![], 1), "a little below is not over");
        assert_eq!(look((2, 41), (3, 60)), (vec![], 1), "and above again nothing new");
        let over = "memory 90.0M, no longer more than 100.0M";
        assert_eq!(look((2, 30), (3, 60)), (vec![over.to_owned()], 0));
        let processes = "12 processes, more than 10; most of them: 9 of web";
        assert_eq!(look((9, 30), (3, 60)), (vec![processes.to_owned()], 1));
        assert_eq!(look((6, 30), (3, 60)).0, ["9 processes, no longer more than 10"]);
        assert_eq!(look((9, 30), (3, 80)).0.len(), 2);
    }

    #[test]
    fn without_thresholds_nothing_is_too_much_and_one_that_is_taken_away_is_forgotten() {
        let mut alerts = Alerts::default();
        let huge = |at| sample(at, vec![life("web", 40, 1000, u64::MAX / 2)], &[]);
        assert_eq!(told(&mut alerts, &huge(1)), [""; 0]);
        alerts.set(Thresholds { memory: None, processes: Some(10) });
        assert_eq!(told(&mut alerts, &huge(2)).len(), 1);
        alerts.set(Thresholds::default());
        assert_eq!(told(&mut alerts, &huge(3)), [""; 0]);
        assert_eq!(alerts.standing().count(), 0);
    }

    #[test]
    fn a_busy_loop_is_told_with_its_command_line_and_is_over_when_it_is_gone() {
        let mut alerts = Alerts::default();
        let lives = || vec![life("web", 40, 2, MIB)];
        let mut all = Vec::new();
        for at in 0..40 {
            // One that never rests, beside one that hardly works.
            all.extend(told(&mut alerts, &sample(at, lives(), &[(41, 0, MIB, 1000), (40, 0, MIB, 20)])));
        }
        assert_eq!(all, ["a busy loop? loop 41 (pid 41, web) has not rested for 58.0s"]);
        let suspects: Vec<_> = alerts.standing().filter_map(Sign::suspect).map(|who| who.process).collect();
        assert_eq!(suspects, [process(41)]);
        let gone = told(&mut alerts, &sample(40, lives(), &[(40, 0, MIB, 20)]));
        assert_eq!(gone, ["loop 41 (pid 41, web) is no longer busy without a rest"]);
        assert_eq!((alerts.standing().count(), alerts.trends.len()), (0, 1));
    }

    #[test]
    fn a_leak_is_told_with_what_it_grew_by() {
        let mut alerts = Alerts::default();
        let mut all = Vec::new();
        for at in 0..300_u64 {
            let leak = (100 + at.min(200)) * MIB;
            let points = [(41, 0, leak, 10), (40, 0, 300 * MIB, 10)];
            all.extend(told(&mut alerts, &sample(at, vec![life("web", 40, 2, MIB)], &points)));
        }
        let grows = "the memory of loop 41 (pid 41, web)";
        let leak = format!("a leak? {grows} has only grown for 5m00s: 100.0M to 250.0M");
        assert_eq!(all, [leak, format!("{grows} no longer grows")]);
    }
}
