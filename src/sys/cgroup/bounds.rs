//! What the kernel holds a life to: controllers of cgroup v2 in the life's own leaf, or leaves of the same name in the trees
//! of v1, where a machine has its controllers there.
//!
//! Each leaf lies in a directory of its stack, so that the stack's own limit holds for all that is in it, services and
//! jobs. Whoever starts a life makes its [`Bounds`] first, lets the process enter [`Bounds::to_enter`] before its first
//! instruction (that in v2 it is born in), and gives them back when the life is proven empty:
//!
//! ```text
//! let grounds = Grounds::find(hash);
//! let bounds = grounds.make("unit-web.1", &limits.ceiling(), &plan.limits.ceiling(), leaf.as_ref());
//! spec.bounds = bounds.to_enter();      // the keeper writes the leader's number there while it waits
//! bounds.holds(Controller::Memory)      // else it must be measured
//! bounds.remove();
//! ```
//!
//! **The kernel counts threads where people say processes.** So `pids.max` leaves room for them, as a net below what is
//! measured: it keeps a fork bomb from filling the machine until the next look.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags};

use super::leaf::{Leaf, stack_name};
use super::place::{own_cgroups, place};
use crate::domain::Ceiling;

/// What the kernel can hold a cgroup to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Time on processors.
    Cpu,
    /// Tasks: processes and threads.
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// As the kernel calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    fn wanted(self, ceiling: &Ceiling) -> bool {
        match self {
            Self::Memory => ceiling.memory.is_some(),
            Self::Cpu => ceiling.cpus_milli.is_some(),
            Self::Pids => ceiling.pids.is_some(),
        }
    }
}

/// Where a controller can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// In the v2 tree, below this directory.
    Unified(PathBuf),
    /// In a v1 tree of its own, below this directory.
    Own(PathBuf),
}

/// Where this process may have the kernel hold the limits of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    stack: String,
    found: Vec<(Controller, Ground)>,
}

impl Grounds {
    /// Looks where each controller may be used, for the stack of this hash. A controller is in one tree only.
    #[must_use]
    pub fn find(hash: &str) -> Self {
        let place = place().ok();
        let offered = |dir: &Path| fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        let unified = place.map(|dir| (offered(&dir), dir));
        let ground = |controller: Controller| {
            let of_v2 = unified.as_ref().filter(|(offered, dir)| {
                let has = |text: &str| text.split_ascii_whitespace().any(|one| one == controller.name());
                has(offered) && (has(&enabled(dir)) || may_hand_on(dir, controller))
            });
            let own = || {
                let dirs = own_cgroups(Some(controller.name())).into_iter().flatten();
                dirs.map(Ground::Own).find(Ground::is_writable)
            };
            of_v2.map(|(_, dir)| Ground::Unified(dir.clone())).or_else(own).map(|ground| (controller, ground))
        };
        Self { stack: stack_name(hash), found: Controller::ALL.into_iter().filter_map(ground).collect() }
    }

    /// Where a controller is held; none where it must be measured.
    #[must_use]
    pub fn of(&self, controller: Controller) -> Option<&Ground> {
        self.found.iter().find(|(one, _)| *one == controller).map(|(_, ground)| ground)
    }

    /// The directories of v1 trees in which stacks of this user may have left something.
    #[must_use]
    pub fn places(&self) -> Vec<&Path> {
        let own = |(_, ground): &'_ (Controller, Ground)| matches!(ground, Ground::Own(_));
        self.found.iter().filter(|one| own(one)).map(|(_, ground)| ground.dir()).collect()
    }

    /// The stack's own directories in v1 trees.
    pub fn stacks(&self) -> impl Iterator<Item = PathBuf> {
        self.places().into_iter().map(|dir| dir.join(&self.stack)).collect::<Vec<_>>().into_iter()
    }

    /// Makes what holds a life, as far as something is limited: its own ceiling, and the stack's above all of it.
    #[must_use]
    pub fn make(&self, name: &str, own: &Ceiling, stack: &Ceiling, leaf: Option<&Leaf>) -> Bounds {
        let mut bounds = Bounds::default();
        for (controller, ground) in &self.found {
            if !controller.wanted(own) && !controller.wanted(stack) {
                continue;
            }
            let above = ground.dir().join(&self.stack);
            let made = match (ground, leaf) {
                (Ground::Unified(_), None) => None,
                (Ground::Unified(dir), Some(leaf)) => {
                    (enable(dir, *controller) && enable(&above, *controller)).then(|| leaf.clone())
                }
                (Ground::Own(_), _) => Leaf::create(&above, name).ok(),
            };
            let Some(leaf) = made else { continue };
            let held = Held { controller: *controller, unified: matches!(ground, Ground::Unified(_)), leaf };
            bounds.all.push(held);
        }
        bounds.set(own, stack);
        bounds
    }
}

impl Ground {
    /// Below which directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        match self {
            Self::Unified(dir) | Self::Own(dir) => dir,
        }
    }

    fn is_writable(&self) -> bool {
        let may = |path: &Path| {
            rustix::fs::accessat(rustix::fs::CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
        };
        may(self.dir()) && may(&self.dir().join("cgroup.procs"))
    }
}

/// What the kernel holds one life to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    all: Vec<Held>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    controller: Controller,
    unified: bool,
    leaf: Leaf,
}

/// How often the kernel has ended a process for want of memory, and whose limit it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutOfMemory {
    /// Processes that were ended.
    pub kills: u64,
    /// The life's own limit was reached; else that of its stack, or the machine's memory.
    pub own: bool,
}

impl Bounds {
    /// Those that were recorded earlier, as far as they are still the same.
    #[must_use]
    pub fn reopen(leaves: &[(PathBuf, u64)], unified: Option<&Leaf>) -> Self {
        let own =
            leaves.iter().filter_map(|(path, inode)| Leaf::reopen(path, *inode)).map(|leaf| (leaf, false));
        let all = own.chain(unified.cloned().map(|leaf| (leaf, true)));
        let held = all.flat_map(|(leaf, unified)| {
            let there = move |controller: &Controller| {
                leaf.path().join(file(*controller, unified)).exists().then(|| leaf.clone())
            };
            Controller::ALL
                .into_iter()
                .filter_map(move |controller| Some(Held { controller, unified, leaf: there(&controller)? }))
        });
        Self { all: held.collect() }
    }

    /// The leaves in trees of their own, with their inodes, for the ledger.
    #[must_use]
    pub fn leaves(&self) -> Vec<(PathBuf, u64)> {
        self.own().map(|leaf| (leaf.path().to_owned(), leaf.inode())).collect()
    }

    /// What a process must enter before its first instruction, beside the leaf that it is born in.
    #[must_use]
    pub fn to_enter(&self) -> Vec<PathBuf> {
        self.own().map(|leaf| leaf.path().to_owned()).collect()
    }

    /// Whether the kernel holds it: then nobody need measure.
    #[must_use]
    pub fn holds(&self, controller: Controller) -> bool {
        // Threads count as well: what is meant are processes.
        controller != Controller::Pids && self.all.iter().any(|held| held.controller == controller)
    }

    /// Sets the ceilings of a life and of its stack; both may be others than before.
    pub fn set(&mut self, own: &Ceiling, stack: &Ceiling) {
        self.all.retain(|held| {
            let above = held.leaf.path().parent();
            // A child may not be given more than its parent has.
            let capped = own.within(stack);
            above.is_some_and(|above| write(above, held, stack).is_ok())
                && write(held.leaf.path(), held, &capped).is_ok()
        });
    }

    /// What the kernel had to do for want of memory; none where no controller counts it.
    #[must_use]
    pub fn out_of_memory(&self) -> Option<OutOfMemory> {
        let held = self.all.iter().find(|held| held.controller == Controller::Memory)?;
        let read = |name: &str| fs::read_to_string(held.leaf.path().join(name)).unwrap_or_default();
        let count = |text: &str, key: &str| {
            let line =
                text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok());
            line.unwrap_or(0_u64)
        };
        Some(if held.unified {
            let local = read("memory.events.local");
            OutOfMemory { kills: count(&read("memory.events"), "oom_kill"), own: count(&local, "oom") > 0 }
        } else {
            // Counters of failures are not kept by all kernels; memory is charged in pieces.
            let bytes = |name: &str| read(name).trim().parse::<u64>().unwrap_or(0);
            let own = bytes("memory.max_usage_in_bytes") + (1 << 20) >= bytes("memory.limit_in_bytes");
            OutOfMemory { kills: count(&read("memory.oom_control"), "oom_kill"), own }
        })
    }

    /// Takes the empty leaves in trees of their own away; the one in v2 is the life's.
    pub fn remove(&self) {
        for leaf in self.own() {
            // One that is not empty is refused by the kernel, and taken away with what is left of the stack.
            let _ = leaf.remove();
        }
    }

    fn own(&self) -> impl Iterator<Item = &Leaf> {
        self.all.iter().filter(|held| !held.unified).map(|held| &held.leaf)
    }
}

/// The file by which a controller is known in a cgroup.
fn file(controller: Controller, unified: bool) -> &'static str {
    match (controller, unified) {
        (Controller::Memory, true) => "memory.max",
        (Controller::Memory, false) => "memory.limit_in_bytes",
        (Controller::Cpu, true) => "cpu.max",
        (Controller::Cpu, false) => "cpu.cfs_quota_us",
        (Controller::Pids, _) => "pids.max",
    }
}

/// Microseconds over which processor time is counted.
const PERIOD: u64 = 100_000;

fn write(dir: &Path, held: &Held, ceiling: &Ceiling) -> io::Result<()> {
    let put = |name: &str, text: &str| fs::write(dir.join(name), text);
    let name = file(held.controller, held.unified);
    match (held.controller, held.unified) {
        (Controller::Memory, true) => {
            // What leaks must not fill the swap instead.
            let _ = put("memory.swap.max", if ceiling.memory.is_some() { "0" } else { "max" });
            put(name, &ceiling.memory.map_or("max".to_owned(), |bytes| bytes.to_string()))
        }
        (Controller::Memory, false) => {
            let text = ceiling.memory.map_or("-1".to_owned(), |bytes| bytes.to_string());
            // Memory with swap may never be less than memory: one of the two orders is right.
            let with_swap = || put("memory.memsw.limit_in_bytes", &text);
            let raised = with_swap().is_ok();
            put(name, &text)?;
            if !raised {
                let _ = with_swap();
            }
            Ok(())
        }
        (Controller::Cpu, unified) => {
            let quota = ceiling.cpus_milli.map(|milli| u64::from(milli) * PERIOD / 1000);
            match (unified, quota) {
                (true, quota) => put(
                    name,
                    &format!("{} {PERIOD}", quota.map_or("max".to_owned(), |quota| quota.to_string())),
                ),
                (false, quota) => {
                    put("cpu.cfs_period_us", &PERIOD.to_string())?;
                    put(name, &quota.map_or("-1".to_owned(), |quota| quota.to_string()))
                }
            }
        }
        (Controller::Pids, _) => {
            put(name, &ceiling.pids.map_or("max".to_owned(), |pids| tasks(pids).to_string()))
        }
    }
}

/// As many tasks as so many processes may need: threads count too.
fn tasks(pids: u32) -> u64 {
    const THREADS: u64 = 16;
    const ROOM: u64 = 512;
    let pids = u64::from(pids);
    (pids * THREADS).max(pids + ROOM)
}

/// Memory is only handed on by a cgroup that holds no process itself, or by the root of all.
fn may_hand_on(dir: &Path, controller: Controller) -> bool {
    let is_root = !dir.join("cgroup.type").exists();
    let is_empty = || fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|procs| procs.trim().is_empty());
    controller != Controller::Memory || is_root || is_empty()
}

fn enabled(dir: &Path) -> String {
    fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default()
}

/// Hands a controller on to the cgroups below.
fn enable(dir: &Path, controller: Controller) -> bool {
    fs::write(dir.join("cgroup.subtree_control"), format!("+{}", controller.name())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_v2_tree_the_leaf_of_the_life_holds_its_limits() {
        let dir = tempfile::tempdir().expect("a directory");
        let stack = dir.path().join(stack_name("x"));
        let leaf = Leaf::create(&stack, "unit-a.1").expect("it may be written");
        let found = Controller::ALL.map(|one| (one, Ground::Unified(dir.path().to_owned())));
        let grounds = Grounds { stack: stack_name("x"), found: found.into() };
        let own = Ceiling { memory: Some(1 << 30), cpus_milli: Some(1500), pids: Some(64) };
        let above = Ceiling { memory: Some(1 << 29), ..Ceiling::default() };
        let bounds = grounds.make("unit-a.1", &own, &above, Some(&leaf));
        let read = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let inside = |name| read(leaf.path(), name);
        assert_eq!(
            (inside("memory.max"), inside("memory.swap.max")),
            ((1_u64 << 29).to_string(), "0".to_owned())
        );
        assert_eq!((inside("cpu.max"), inside("pids.max")), ("150000 100000".to_owned(), "1024".to_owned()));
        let outside = |name| read(&stack, name);
        assert_eq!(
            (outside("memory.max"), outside("cpu.max")),
            ((1_u64 << 29).to_string(), "max 100000".to_owned())
        );
        assert!(bounds.to_enter().is_empty(), "it is born there");
        assert!(
            bounds.holds(Controller::Memory) && !bounds.holds(Controller::Pids),
            "threads are no processes"
        );
        for (name, text) in [("memory.events", "oom 3\noom_kill 2\n"), ("memory.events.local", "oom 0\n")] {
            fs::write(leaf.path().join(name), text).expect("written");
        }
        assert_eq!(bounds.out_of_memory(), Some(OutOfMemory { kills: 2, own: false }));
    }

    #[test]
    fn memory_is_only_handed_on_by_a_cgroup_without_processes() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        write("cgroup.procs", "12\n");
        assert!(may_hand_on(dir.path(), Controller::Memory), "the root of all");
        write("cgroup.type", "domain\n");
        assert!(!may_hand_on(dir.path(), Controller::Memory));
        assert!(may_hand_on(dir.path(), Controller::Pids) && may_hand_on(dir.path(), Controller::Cpu));
        write("cgroup.procs", "");
        assert!(may_hand_on(dir.path(), Controller::Memory));
    }
}
