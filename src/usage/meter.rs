//! One look after the other at the trees of several lives.

use std::collections::HashMap;
use std::time::Duration;

use super::figures::{Raw, children, most, share, work};
use crate::cage::{self, Cage, Depth, Member, World};
use crate::domain::{Life, LifeUsage, Moment, Pid, ProcId, ProcessUsage, UnitName};
use crate::sys::proc::{self, RunState};

/// In a second.
const NANOS: u64 = 1_000_000_000;

/// A life that is measured.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Its processes.
    pub cage: &'a Cage,
    /// The container that it stands for, where it is one: its id and its first process.
    pub inside: Option<(String, Pid)>,
    /// Above so many bytes of resident memory the proportional share is read instead.
    pub memory_limit: Option<u64>,
    /// How many files each process may have open, where those that it has are to be counted.
    pub files: Option<u64>,
}

/// What one look brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Moment,
    /// Each life that has processes.
    pub lives: Vec<LifeUsage>,
    /// Each process.
    pub points: Vec<Point>,
}

/// One process in a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which.
    pub process: ProcId,
    /// Whose it is: a place in [`Sample::lives`].
    pub life: usize,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Its share of the processor since the look before, in thousandths of a core.
    pub cpu_milli: Option<u32>,
    /// The same with the time that it waited for one, where it could have run: who wants it all is seen also where it gets
    /// little.
    pub wanted_milli: Option<u32>,
}

/// Measures again and again, and remembers the look before.
#[derive(Debug, Default)]
pub struct Meter {
    at: Option<Moment>,
    ticks: HashMap<ProcId, u64>,
    /// Nanoseconds that those who wanted to run had waited for a core by then.
    waited: HashMap<ProcId, u64>,
    work: HashMap<(UnitName, Life), u64>,
    /// Command lines of those who stood out, with the name that they had then: it changes when another program is loaded.
    commands: HashMap<ProcId, (String, String)>,
}

impl Meter {
    /// Looks at these lives at this moment. `memory_limit` is what all of them may have together.
    pub fn sample(&mut self, subjects: &[Subject<'_>], memory_limit: Option<u64>, now: Moment) -> Sample {
        // A keeper and a process of each, at least; then as many as there were.
        let mut world = World::sized(subjects.len() + self.ticks.len().max(subjects.len()));
        let trees: Vec<Tree> = subjects.iter().map(|subject| Tree::look(subject, &mut world)).collect();
        let resident: u64 = trees.iter().map(Tree::memory).sum();
        let all_over = memory_limit.is_some_and(|limit| resident > limit);
        let mut look =
            Look { meter: self, now, ticks: HashMap::new(), waited: HashMap::new(), points: Vec::new() };
        let mut lives = Vec::with_capacity(trees.len());
        let mut works = HashMap::with_capacity(trees.len());
        for (subject, tree) in subjects.iter().zip(&trees).filter(|(_, tree)| !tree.raws.is_empty()) {
            let over = subject.memory_limit.is_some_and(|limit| tree.memory() > limit);
            lives.push(look.life(subject, tree, over || all_over, lives.len()));
            works.insert((subject.cage.unit.clone(), subject.cage.life), tree.work);
        }
        let Look { ticks, waited, points, .. } = look;
        (self.at, self.ticks, self.waited, self.work) = (Some(now), ticks, waited, works);
        let known = &self.ticks;
        self.commands.retain(|process, _| known.contains_key(process));
        Sample { at: now, lives, points }
    }
}

/// The processes of one life, and all that they have done so far.
struct Tree {
    members: Vec<Member>,
    raws: Vec<Raw>,
    work: u64,
}

impl Tree {
    fn look(subject: &Subject<'_>, world: &mut World) -> Self {
        let inside = subject.inside.iter().flat_map(|(id, first)| cage::inside(id, *first, world));
        let inside: Vec<Member> = inside.collect();
        // What stands for a container is devstack's and its engine's; and podman's containers are in that tree too.
        let is_container = !inside.is_empty();
        let mut members = if is_container { inside } else { subject.cage.census(world, Depth::Tree) };
        members.retain(|member| !subject.cage.spared.contains(&member.id));
        let keeper = subject.cage.keeper.filter(|_| !is_container).and_then(|keeper| world.alive(keeper));
        let above = keeper.map_or(0, |it| it.reaped_ticks);
        let raws: Vec<Raw> = members.iter().map(raw).collect();
        let work = work(&raws, above);
        Self { members, raws, work }
    }

    fn memory(&self) -> u64 {
        self.raws.iter().map(|one| one.memory).sum()
    }
}

fn raw(member: &Member) -> Raw {
    let stat = &member.stat;
    Raw {
        process: member.id,
        parent: stat.ppid,
        memory: stat.rss,
        ticks: stat.cpu_ticks,
        reaped: stat.reaped_ticks,
    }
}

struct Look<'m> {
    meter: &'m mut Meter,
    now: Moment,
    ticks: HashMap<ProcId, u64>,
    waited: HashMap<ProcId, u64>,
    points: Vec<Point>,
}

impl Look<'_> {
    fn life(&mut self, subject: &Subject<'_>, tree: &Tree, proportional: bool, at: usize) -> LifeUsage {
        let (unit, life) = (subject.cage.unit.clone(), subject.cage.life);
        let before = self.meter.work.get(&(unit.clone(), life)).copied();
        let known_life = before.is_some();
        for (one, member) in tree.raws.iter().zip(&tree.members) {
            self.ticks.insert(one.process, one.ticks);
            let cpu_milli = self.share_of(one, known_life);
            let waited = self.waited(member);
            let point = Point {
                process: one.process,
                life: at,
                memory: one.memory,
                cpu_milli,
                wanted_milli: cpu_milli.map(|share| share.saturating_add(waited)),
            };
            self.points.push(point);
        }
        let children = children(&tree.raws);
        let children_of = |one: &Raw| children.get(&one.process.pid.get()).copied().unwrap_or(0);
        let files: HashMap<ProcId, u64> =
            subject.files.map(|most| open_files(&tree.raws, most)).unwrap_or_default();
        let cpu_of = |one: &Raw| self.share_of(one, known_life).unwrap_or(0);
        let biggest = most(&tree.raws, |one| one.memory);
        let busiest = most(&tree.raws, cpu_of);
        let broadest = most(&tree.raws, children_of);
        let most_files = most(&tree.raws, |one| files.get(&one.process).copied());
        let mut told = |one: Option<&Raw>| {
            one.map(|one| ProcessUsage {
                process: one.process,
                command: self.command(&tree.members, one.process),
                memory: one.memory,
                cpu_milli: self.share_of(one, known_life),
                children: children_of(one),
                open_files: files.get(&one.process).copied(),
            })
        };
        LifeUsage {
            biggest: told(biggest),
            busiest: told(busiest),
            broadest: told(broadest),
            most_files: told(most_files),
            processes: u32::try_from(tree.raws.len()).unwrap_or(u32::MAX),
            memory: if proportional { proportional_memory(&tree.raws) } else { tree.memory() },
            proportional,
            cpu_milli: before.and_then(|before| self.share(tree.work.saturating_sub(before))),
            unit,
            life,
        }
    }

    /// How much of the span it waited for a core, in thousandths; only who wants to run at both looks is asked.
    fn waited(&mut self, member: &Member) -> u32 {
        let wants = member.stat.state == RunState::Running;
        let Some(waited) = wants.then(|| proc::waited(member.id.pid.get())).flatten() else { return 0 };
        self.waited.insert(member.id, waited);
        let since = self.meter.waited.get(&member.id).map(|before| waited.saturating_sub(*before));
        let span = self.meter.at.map_or(Duration::ZERO, |at| self.now.since(at));
        since.and_then(|nanos| share(nanos, span, NANOS)).unwrap_or(0)
    }

    fn share(&self, ticks: u64) -> Option<u32> {
        let span: Duration = self.now.since(self.meter.at?);
        share(ticks, span, proc::clock_ticks())
    }

    fn share_of(&self, one: &Raw, known_life: bool) -> Option<u32> {
        match self.meter.ticks.get(&one.process) {
            Some(before) => self.share(one.ticks.saturating_sub(*before)),
            // Born since, in a life that was looked at then: all that it has done, it did since.
            None if known_life => self.share(one.ticks),
            None => None,
        }
    }

    fn command(&mut self, members: &[Member], process: ProcId) -> String {
        let Some(member) = members.iter().find(|member| member.id == process) else { return String::new() };
        let known = self.meter.commands.get(&process).filter(|(name, _)| *name == member.stat.comm);
        if let Some((_, command)) = known {
            return command.clone();
        }
        let command = member.command();
        self.meter.commands.insert(process, (member.stat.comm.clone(), command.clone()));
        command
    }
}

/// Where the share of one may not be read, its resident memory counts.
fn proportional_memory(tree: &[Raw]) -> u64 {
    let of = |one: &Raw| proc::proportional_memory(one.process.pid.get()).unwrap_or(one.memory);
    // Pages of a process that ended meanwhile are nobody's; a number that was given away shows another's for one look.
    tree.iter().map(of).fold(0, u64::saturating_add)
}

fn open_files(tree: &[Raw], most: u64) -> HashMap<ProcId, u64> {
    let of = |one: &Raw| Some((one.process, proc::open_files(one.process.pid.get(), most)?));
    tree.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::domain::{Mark, Signal};
    use crate::sys::{clock, pidfd::Pidfd};

    /// A shell with two children, one of which works without pause.
    struct Family(Child);

    impl Family {
        fn new() -> Self {
            Self::of(&["/bin/sh", "-c", "sleep 63.2 & while :; do :; done & echo; wait"])
        }

        /// A program that says a line when its children run.
        fn of(words: &[&str]) -> Self {
            let mut shell = Command::new(words[0]);
            let mut shell = shell.args(&words[1..]).stdout(Stdio::piped()).spawn().expect("sh exists");
            let mut out = std::io::BufReader::new(shell.stdout.take().expect("piped"));
            out.read_line(&mut String::new()).expect("the shell says when its children run");
            Self(shell)
        }

        fn cage(&self) -> Cage {
            let pid = i32::try_from(self.0.id()).ok().and_then(Pid::new).expect("a pid");
            let (mark, stack) = (Mark::from_random([1; 16]), Mark::from_random([2; 16]));
            let leader = proc::identify(pid).expect("it runs");
            Cage::new(UnitName::parse("family").expect("a name"), Life(1), mark, stack, None, leader)
        }
    }

    impl Drop for Family {
        fn drop(&mut self) {
            for member in self.cage().census(&mut World::new(), Depth::Tree) {
                let _ = Pidfd::open(member.id).and_then(|handle| handle.send(Signal::KILL));
            }
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_tree_is_summed_and_who_stands_out_is_named() {
        let family = Family::new();
        let cage = family.cage();
        let subject = |memory_limit, files: bool| {
            let files = files.then_some(1024);
            Subject { cage: &cage, inside: None, memory_limit, files }
        };
        let mut meter = Meter::default();
        let first = meter.sample(&[subject(None, false)], None, clock::moment());
        let life = first.lives.first().expect("it runs");
        assert_eq!((life.processes, life.cpu_milli, life.proportional), (3, None, false));
        assert_eq!(first.points.len(), 3);
        assert_eq!(life.memory, first.points.iter().map(|point| point.memory).sum::<u64>());
        assert!(life.busiest.is_none() && life.most_files.is_none());
        let broadest = life.broadest.as_ref().expect("the shell has children");
        assert_eq!((broadest.process, broadest.children), (cage.leader, 2));
        // Until its work shows; it never pauses.
        let (busy, second) = loop {
            std::thread::sleep(Duration::from_millis(20));
            let sample = meter.sample(&[subject(Some(1), true)], None, clock::moment());
            let busiest = sample.lives.first().and_then(|life| life.busiest.clone());
            if let Some(busy) = busiest {
                break (busy, sample);
            }
        };
        assert!(busy.process != cage.leader && busy.command.contains("while :"), "{busy:?}");
        let life = second.lives.first().expect("it runs");
        assert!(life.cpu_milli >= busy.cpu_milli && life.proportional, "{life:?}");
        assert!(life.memory > 0 && life.memory < first.lives[0].memory, "a share is less than the whole");
        assert!(life.most_files.as_ref().and_then(|one| one.open_files) >= Some(2), "{life:?}");
    }

    /// Three loops on one core get a third of it each, and want it all.
    #[test]
    fn who_wants_all_of_a_core_is_seen_also_where_it_gets_little() {
        let script = "for i in 1 2 3; do while :; do :; done & done; echo; wait";
        let family = Family::of(&["taskset", "-c", "0", "/bin/sh", "-c", script]);
        let cage = family.cage();
        let subject = || Subject { cage: &cage, inside: None, memory_limit: None, files: None };
        let mut meter = Meter::default();
        let mut looks = 0..100;
        loop {
            assert!(looks.next().is_some(), "nobody wanted all of it");
            let sample = meter.sample(&[subject()], None, clock::moment());
            let crowded = |point: &Point| {
                point.cpu_milli.is_some_and(|got| got < 600) && point.wanted_milli.is_some_and(|it| it >= 900)
            };
            if sample.points.iter().filter(|point| crowded(point)).count() >= 3 {
                let rests = |point: &Point| point.process == cage.leader && point.wanted_milli < Some(900);
                assert!(sample.points.iter().any(rests), "the shell only waits: {sample:?}");
                break;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    #[test]
    fn a_life_that_is_over_is_not_told() {
        let cage = Family::new().cage();
        let subject = Subject { cage: &cage, inside: None, memory_limit: None, files: Some(1024) };
        let sample = Meter::default().sample(&[subject], Some(0), clock::moment());
        assert_eq!((sample.lives.len(), sample.points.len()), (0, 0));
    }
}
