//! One look at the process table, read lazily and shared by all that is counted at the same moment.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use crate::cage::marks::Marks;
use crate::domain::{Mark, ProcId};
use crate::sys::proc::{self, Stat};

/// One look at the process table. Make a new one for each moment; it never refreshes itself.
#[derive(Debug, Default)]
pub struct World {
    table: HashMap<i32, Option<Seen>>,
    children: HashMap<i32, Vec<i32>>,
    whole: bool,
    marked: Option<Marked>,
    line: OnceCell<Vec<Stat>>,
}

/// So often a look goes back for those born meanwhile: each time there is less to read, and so less time to be born.
const PASSES: usize = 8;

/// Who carries which mark, of those born since.
#[derive(Debug)]
struct Marked {
    since: u64,
    by: HashMap<Mark, Vec<ProcId>>,
}

#[derive(Debug)]
struct Seen {
    stat: Stat,
    marks: Option<Marks>,
}

impl World {
    /// A look that reads only what is asked for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A look at about so many processes in trees: where they are a good part of the machine's, all are read at once,
    /// which costs less for each.
    #[must_use]
    pub fn sized(processes: usize) -> Self {
        let mut world = Self::new();
        // A line and a list of children for each, against a line alone for every process of the machine.
        if processes > 8 && processes.saturating_mul(8) > proc::count().saturating_mul(5) {
            world.read_all();
        }
        world
    }

    /// Reads the line of every process, once.
    pub fn read_all(&mut self) {
        if !std::mem::replace(&mut self.whole, true) {
            self.read_new();
        }
    }

    /// Reads the lines of those born since they were listed, until nobody is new.
    ///
    /// A chain of forks is always somewhere else: its process may end between the list and its line, and the next one is
    /// not in the list. A look that let it go would find nobody.
    fn read_new(&mut self) {
        for _ in 0..PASSES {
            let new: Vec<i32> =
                proc::pids().into_iter().filter(|pid| !self.table.contains_key(pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                self.stat(pid);
            }
        }
        self.children.clear();
        for seen in self.table.values().flatten() {
            self.children.entry(seen.stat.ppid).or_default().push(seen.stat.pid);
        }
    }

    /// Whether every process was read: only then does absence mean anything.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The line of the process that has this number.
    pub fn stat(&mut self, pid: i32) -> Option<&Stat> {
        let seen = self.table.entry(pid);
        seen.or_insert_with(|| proc::stat(pid).map(|stat| Seen { stat, marks: None }))
            .as_ref()
            .map(|it| &it.stat)
    }

    /// The line of exactly this process, if it still runs.
    pub fn alive(&mut self, id: ProcId) -> Option<&Stat> {
        self.stat(id.pid.get()).filter(|stat| stat.start == id.start && !stat.is_gone())
    }

    /// Every process that was read and runs, kernel threads left out.
    pub fn all(&self) -> impl Iterator<Item = &Stat> {
        let stats = self.table.values().flatten().map(|seen| &seen.stat);
        stats.filter(|stat| !stat.kernel && !stat.is_gone())
    }

    /// The children of a process that were born within its life and run.
    pub(super) fn children(&mut self, parent: ProcId) -> Vec<ProcId> {
        let pid = parent.pid.get();
        // The number may be another's by now, and its children are younger than both.
        let Some(stat) = self.alive(parent).cloned() else { return Vec::new() };
        if !self.whole && !self.children.contains_key(&pid) {
            match proc::children(&stat) {
                Some(list) => {
                    self.children.insert(pid, list);
                }
                None => self.read_all(),
            }
        }
        let listed = self.children.get(&pid).cloned().unwrap_or_default();
        let born_here = |world: &mut Self, child: i32| {
            let stat = world.stat(child)?;
            // A number that was given away again shows as a child that is older than its parent, or not its child.
            let its_child = stat.ppid == pid && stat.start >= parent.start && !stat.is_gone();
            its_child.then(|| stat.id()).flatten()
        };
        listed.into_iter().filter_map(|child| born_here(self, child)).collect()
    }

    /// All living descendants of these processes, these left out.
    pub(super) fn descendants(&mut self, roots: &[ProcId]) -> BTreeSet<ProcId> {
        let mut found = BTreeSet::new();
        let mut open = roots.to_vec();
        while let Some(parent) = open.pop() {
            for child in self.children(parent) {
                if found.insert(child) {
                    open.push(child);
                }
            }
        }
        found
    }

    /// The marks that a process carries, as far as they may be read.
    pub(super) fn marks(&mut self, pid: i32) -> Marks {
        self.stat(pid);
        let Some(Some(seen)) = self.table.get_mut(&pid) else { return Marks::default() };
        seen.marks.get_or_insert_with(|| Marks::read(&seen.stat)).clone()
    }

    /// Those born since this moment (in clock ticks of the machine) that carry a mark, of all that were read.
    pub(super) fn marked_with(&mut self, mark: &Mark, since: u64) -> Vec<ProcId> {
        if self.marked.as_ref().is_none_or(|marked| marked.since > since) {
            self.marked = Some(Marked { since, by: self.read_marks(since) });
        }
        let known = self.marked.as_ref().and_then(|marked| marked.by.get(mark)).cloned().unwrap_or_default();
        known.into_iter().filter(|id| id.start >= since).collect()
    }

    /// Reads the marks of all born since, those included that are born while this reads.
    fn read_marks(&mut self, since: u64) -> HashMap<Mark, Vec<ProcId>> {
        let (mut by, mut read) = (HashMap::<Mark, Vec<ProcId>>::new(), BTreeSet::new());
        for _ in 0..PASSES {
            let young = self.all().filter(|stat| stat.start >= since).filter_map(Stat::id);
            let new: Vec<ProcId> = young.filter(|id| !read.contains(id)).collect();
            if new.is_empty() {
                break;
            }
            for id in new {
                read.insert(id);
                for told in self.marks(id.pid.get()).told() {
                    by.entry(told.clone()).or_default().push(id);
                }
            }
            if self.whole {
                self.read_new();
            }
        }
        by
    }

    /// This process and its ancestors: shell, terminal, editor, CI.
    pub(super) fn own_line(&self) -> &[Stat] {
        self.line.get_or_init(|| {
            let me = i32::try_from(std::process::id()).unwrap_or(0);
            let ancestors = proc::ancestors(me);
            let own = std::iter::once(me).chain(ancestors.into_iter().map(|id| id.pid.get()));
            own.filter_map(proc::stat).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lazy_and_a_whole_look_see_the_same_tree() {
        let mut shell = std::process::Command::new("/bin/sh")
            .args(["-c", "sleep 63.1 & echo; wait"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("sh exists");
        let mut line = String::new();
        let mut out = std::io::BufReader::new(shell.stdout.take().expect("piped"));
        std::io::BufRead::read_line(&mut out, &mut line).expect("the shell says when its child runs");
        let pid = i32::try_from(shell.id()).ok().and_then(crate::domain::Pid::new).expect("a pid");
        let root = proc::identify(pid).expect("it runs");
        let lazy = World::new().descendants(&[root]);
        let mut world = World::new();
        world.read_all();
        assert_eq!(world.descendants(&[root]), lazy);
        assert_eq!(lazy.len(), 1);
        // A parent that was born after its child is another process with the same number.
        let later = ProcId { start: lazy.first().expect("the child").start + 1, ..root };
        assert!(world.descendants(&[later]).is_empty());
        // One that was born before and has ended: its number is the shell's now, the shell's children are not its.
        let earlier = ProcId { start: root.start - 1, ..root };
        assert!(world.descendants(&[earlier]).is_empty());
        // The shell first: it would end by itself when its child does.
        for id in [root].into_iter().chain(lazy) {
            let handle = crate::sys::pidfd::Pidfd::open(id).expect("it runs");
            handle.send(crate::domain::Signal::KILL).expect("it is ours");
        }
        shell.wait().expect("it can be reaped");
    }
}
