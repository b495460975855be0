//! The judge: who lives, and of which shape. It knows nothing of devstack's code, its state or its marks.
//!
//! As root it is the old kernel interface of cgroups (v1, `pids`), which devstack does not use: each script moves its
//! shell into a directory of its shape before it does anything else, nothing can leave it, and its `pids.max` is the
//! hard cap on whatever a shape does. A plain user may make none. There each shape has a program file of its own, and
//! whoever runs it is its process, whatever it did to session, environment, title or directory; shapes that run other
//! programs, or hide theirs, are left to root, who plays a plain user as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use rustix::process::Signal;

use crate::shapes::Shape;
use crate::world::{NOBODY, Stat, World, behind, command_line, is_root, kill, numbers, stat};

/// Tasks of one shape, threads included, and of everything of one test.
const MOST_OF_ONE: u32 = 1500;
const MOST: u32 = 6000;

/// Number and start: no other process of this boot.
pub(crate) type Id = (i32, u64);

/// Where something was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// By devstack.
    Stack,
    /// Beside it: look-alikes, and daemons of somebody else.
    Second,
}

impl Place {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Second => "second",
        }
    }
}

pub(crate) enum Judge {
    Cgroups(PathBuf),
    Programs(Programs),
}

/// The look of a plain user.
pub(crate) struct Programs {
    dir: PathBuf,
    /// Where devstack keeps its state: its supervisor was told on its command line.
    state: PathBuf,
    /// Supervisors and keepers seen so far.
    machinery: Mutex<BTreeSet<Id>>,
}

impl Judge {
    /// `names` are the shapes.
    pub(crate) fn new(world: &World, names: &[&str], plain: bool) -> Self {
        let top = world.dir().parent().expect("a parent").to_owned();
        let own = format!("devstack-gauntlet-{}", top.file_name().expect("a name").display());
        let Some(tree) = old_cgroups().filter(|_| is_root()) else {
            let dir = world.program("stand-in").parent().expect("a parent").to_owned();
            return Self::Programs(Programs { dir, state: world.state(), machinery: Mutex::default() });
        };
        let judge = Self::Cgroups(tree.join(own));
        for place in [Place::Stack, Place::Second] {
            for name in names {
                let dir = judge.dir(place).join(name);
                fs::create_dir_all(&dir).expect("root may");
                fs::write(dir.join("pids.max"), MOST_OF_ONE.to_string()).expect("root may");
                let owner = plain.then_some(NOBODY);
                std::os::unix::fs::chown(dir.join("cgroup.procs"), owner, None).expect("root may");
            }
        }
        let top = judge.dir(Place::Stack).parent().expect("a parent").to_owned();
        fs::write(top.join("pids.max"), MOST.to_string()).expect("root may");
        judge
    }

    /// Whether it can tell the processes of a shape.
    pub(crate) fn knows(&self, shape: &Shape) -> bool {
        matches!(self, Self::Cgroups(_)) || shape.is_told_by_program()
    }

    /// What a shape runs as its stand-in.
    pub(crate) fn stand_in(&self, world: &World, place: Place, name: &str) -> PathBuf {
        match self {
            Self::Cgroups(_) => world.program("stand-in"),
            Self::Programs(_) => {
                let dir = self.dir(place).join(name);
                fs::create_dir_all(&dir).expect("ours");
                let program = dir.join("stand-in");
                if !program.exists() {
                    fs::hard_link(world.program("stand-in"), &program).expect("ours");
                }
                program
            }
        }
    }

    fn dir(&self, place: Place) -> PathBuf {
        match self {
            Self::Cgroups(top) => top.join(place.name()),
            Self::Programs(programs) => programs.dir.join(place.name()),
        }
    }

    /// What a script says first: from now on its shell and all that comes of it are this shape's.
    pub(crate) fn enter(&self, place: Place, name: &str) -> String {
        let dir = self.dir(place).join(name);
        match self {
            Self::Cgroups(_) => format!("echo $$ >{}/cgroup.procs || exit 99;", dir.display()),
            Self::Programs(_) => String::new(),
        }
    }

    /// The same command, started where its children are counted and capped.
    pub(crate) fn within(&self, place: Place, command: &Command) -> Command {
        match self {
            Self::Cgroups(_) => {
                let procs = self.dir(place).join("cgroup.procs").display().to_string();
                behind(&["sh", "-c", "echo $$ >\"$0\" && exec \"$@\"", &procs], command)
            }
            Self::Programs(_) => {
                behind(&["prlimit", &format!("--nproc={}", own_tasks() + MOST), "--"], command)
            }
        }
    }

    /// The living processes of a shape, with the names of their programs.
    pub(crate) fn of(&self, place: Place, name: &str) -> BTreeMap<Id, String> {
        match self {
            Self::Cgroups(_) => listed(&self.dir(place).join(name)),
            Self::Programs(_) => running(&self.dir(place).join(name)),
        }
    }

    /// What runs of devstack itself, and whatever else is in no shape.
    pub(crate) fn machinery(&self) -> BTreeMap<Id, String> {
        match self {
            Self::Cgroups(_) => listed(&self.dir(Place::Stack)),
            Self::Programs(programs) => programs.machinery(),
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let Self::Cgroups(top) = self else { return };
        // What a failed test left, by what the kernel says is in there now; a storm takes some rounds.
        let places = [Place::Stack, Place::Second].map(|place| top.join(place.name()));
        let mut dirs: Vec<PathBuf> = places.iter().flat_map(|place| below(place)).collect();
        dirs.extend(places);
        for _ in 0..200 {
            let left: BTreeSet<i32> = dirs.iter().flat_map(|dir| numbers_in(dir)).collect();
            for pid in &left {
                kill(*pid, Signal::KILL);
            }
            if left.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        for dir in dirs.iter().chain([&*top]) {
            let _ = fs::remove_dir(dir);
        }
    }
}

impl Programs {
    fn machinery(&self) -> BTreeMap<Id, String> {
        let mut known = self.machinery.lock().expect("nobody panicked");
        let state = self.state.display().to_string();
        let machinery: Vec<(i32, Stat)> = numbers()
            .into_iter()
            .filter(|pid| is_machinery(*pid))
            .filter_map(|pid| Some((pid, stat(pid)?)))
            .collect();
        let ours = |pid: i32| command_line(pid).contains(&state);
        known.extend(
            machinery
                .iter()
                .filter(|(pid, line)| ours(*pid) || ours(line.parent))
                .map(|(pid, line)| (*pid, line.start)),
        );
        known.iter().filter_map(|id| Some((*id, name_of(*id)?))).collect()
    }
}

/// Everyone whose program lies in a directory.
fn running(dir: &Path) -> BTreeMap<Id, String> {
    let inside = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(dir));
    let ids = numbers().into_iter().filter(inside).filter_map(|pid| Some((pid, stat(pid)?.start)));
    ids.filter_map(|id| Some((id, name_of(id)?))).collect()
}

/// Where the old `pids` hierarchy is mounted and may be written.
fn old_cgroups() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let pids = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| {
        fields.get(2) == Some(&"cgroup")
            && fields.get(3).is_some_and(|kind| kind.split(',').any(|one| one == "pids"))
    })?;
    let dir = PathBuf::from(pids[1]);
    let trial = dir.join(format!("devstack-trial-{}", std::process::id()));
    fs::create_dir(&trial).and_then(|()| fs::remove_dir(&trial)).ok().map(|()| dir)
}

/// Keepers and supervisors: they are nobody's specimen.
pub(crate) fn is_machinery(pid: i32) -> bool {
    let line = command_line(pid);
    line.contains("devstack __") || line.contains("devstack up") || line.contains("devstack down")
}

/// The name of the program of a living process: zombies have none.
fn name_of((pid, start): Id) -> Option<String> {
    let line = stat(pid).filter(|line| line.start == start)?;
    if matches!(line.state, 'Z' | 'X') && threads(pid) < 2 {
        return None;
    }
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let exe = exe.and_then(|exe| Some(exe.file_name()?.to_string_lossy().into_owned()));
    // A program that may not be looked into still has a name.
    exe.or_else(|| fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned()))
}

fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

fn numbers_in(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1).collect()
}

fn listed(dir: &Path) -> BTreeMap<Id, String> {
    let ids = numbers_in(dir).into_iter().filter_map(|pid| Some((pid, stat(pid)?.start)));
    ids.filter_map(|id| Some((id, name_of(id)?))).collect()
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Tasks of this user: the limit counts all of them, other tests' as well.
fn own_tasks() -> u32 {
    let me = rustix::process::getuid().as_raw();
    let mine = |pid: &i32| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == me)
    };
    let tasks: usize = numbers().iter().filter(|pid| mine(pid)).map(|pid| threads(*pid)).sum();
    u32::try_from(tasks).expect("small")
}
