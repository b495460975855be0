//! The judge: who lives, and of which shape. It knows nothing of devstack's code, its state or its marks.
//!
//! As root it is the old kernel interface of cgroups (v1, `pids`), which devstack does not use: each script moves its
//! shell into a directory of its shape before it does anything else, nothing can leave it, and its `pids.max` is the
//! hard cap on whatever a shape does. A plain user may make none. There the test is a child subreaper: whoever loses
//! its parents becomes its child, and each script writes down its own number and its keeper's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use rustix::process::{Signal, getpid, set_child_subreaper};

use crate::world::{NOBODY, command_line, is_root, kill, numbers, stat};

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
    Tree(Tree),
}

/// The look of a plain user.
pub(crate) struct Tree {
    /// Who wrote down which number.
    notes: PathBuf,
    known: Mutex<BTreeMap<Id, (Place, String)>>,
}

impl Judge {
    /// `dir` is the test's own; `names` are the shapes.
    pub(crate) fn new(dir: &Path, names: &[&str], plain: bool) -> Self {
        let own = format!("devstack-gauntlet-{}", dir.file_name().expect("a name").display());
        let judge = match old_cgroups().filter(|_| is_root()) {
            Some(tree) => Self::Cgroups(tree.join(own)),
            None => Self::Tree(Tree { notes: dir.join("notes"), known: Mutex::default() }),
        };
        if matches!(judge, Self::Tree(_)) {
            set_child_subreaper(Some(getpid())).expect("everyone may");
        }
        for place in [Place::Stack, Place::Second] {
            for name in names {
                let dir = judge.dir(place).join(name);
                fs::create_dir_all(&dir).expect("writable");
                if let Self::Cgroups(_) = &judge {
                    fs::write(dir.join("pids.max"), MOST_OF_ONE.to_string()).expect("root may");
                    let owner = plain.then_some(NOBODY);
                    std::os::unix::fs::chown(dir.join("cgroup.procs"), owner, None).expect("root may");
                }
            }
        }
        if let Self::Cgroups(top) = &judge {
            fs::write(top.join("pids.max"), MOST.to_string()).expect("root may");
        }
        judge
    }

    fn dir(&self, place: Place) -> PathBuf {
        match self {
            Self::Cgroups(top) => top.join(place.name()),
            Self::Tree(tree) => tree.notes.join(place.name()),
        }
    }

    /// What a script says first: from now on its shell and all that comes of it are this shape's.
    pub(crate) fn enter(&self, place: Place, name: &str) -> String {
        let dir = self.dir(place).join(name);
        match self {
            Self::Cgroups(_) => format!("echo $$ >{}/cgroup.procs || exit 99;", dir.display()),
            Self::Tree(_) => format!("echo $$ $PPID >>{}/numbers || exit 99;", dir.display()),
        }
    }

    /// The same command, started where its children are counted and capped.
    pub(crate) fn within(&self, place: Place, command: &Command) -> Command {
        let mut outer = match self {
            Self::Cgroups(_) => {
                let mut outer = Command::new("sh");
                let procs = self.dir(place).join("cgroup.procs");
                outer.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(procs);
                outer
            }
            Self::Tree(_) => {
                let mut outer = Command::new("prlimit");
                outer.arg(format!("--nproc={}", own_tasks() + MOST)).arg("--");
                outer
            }
        };
        outer.arg(command.get_program()).args(command.get_args());
        outer.current_dir(command.get_current_dir().expect("each command has one"));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        outer.stdin(std::process::Stdio::null());
        outer
    }

    /// The living processes of a shape, with the names of their programs.
    pub(crate) fn of(&self, place: Place, name: &str) -> BTreeMap<Id, String> {
        match self {
            Self::Cgroups(_) => listed(&self.dir(place).join(name)),
            Self::Tree(tree) => {
                tree.look();
                let known = tree.known.lock().expect("nobody panicked");
                let own = known.iter().filter(|(_, (at, shape))| (*at, shape.as_str()) == (place, name));
                own.filter_map(|(id, _)| Some((*id, name_of(*id)?))).collect()
            }
        }
    }

    /// What runs of devstack itself, and whatever else is in no shape.
    pub(crate) fn machinery(&self) -> BTreeMap<Id, String> {
        match self {
            Self::Cgroups(_) => listed(&self.dir(Place::Stack)),
            Self::Tree(tree) => tree.unknown(),
        }
    }

    /// A new run begins: numbers that were written down mean nothing any more.
    pub(crate) fn forget(&self, place: Place) {
        let Self::Tree(tree) = self else { return };
        tree.known.lock().expect("nobody panicked").retain(|_, (at, _)| *at != place);
        for entry in fs::read_dir(self.dir(place)).expect("ours").flatten() {
            let _ = fs::remove_file(entry.path().join("numbers"));
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

impl Tree {
    /// Enters everyone who was born since the last look, by what its parent is or its first process wrote down.
    fn look(&self) {
        let mut known = self.known.lock().expect("nobody panicked");
        known.retain(|id, _| name_of(*id).is_some());
        let (mut leaders, mut keepers) = (BTreeMap::new(), BTreeMap::new());
        for place in [Place::Stack, Place::Second] {
            for dir in below(&self.notes.join(place.name())) {
                let shape = dir.file_name().expect("a name").to_string_lossy().into_owned();
                for line in fs::read_to_string(dir.join("numbers")).unwrap_or_default().lines() {
                    let mut words = line.split(' ').filter_map(|word| word.parse::<i32>().ok());
                    let (Some(pid), Some(parent)) = (words.next(), words.next()) else { continue };
                    leaders.insert(pid, (place, shape.clone()));
                    if is_machinery(parent) {
                        keepers.insert(parent, (place, shape.clone()));
                    }
                }
            }
        }
        for (id, parents) in descendants() {
            if known.contains_key(&id) || is_machinery(id.0) {
                continue;
            }
            let of_parent = parents.iter().find_map(|parent| known.get(parent).cloned());
            let of_keeper = || parents.iter().find_map(|parent| keepers.get(&parent.0).cloned());
            let of_session = || {
                let session = stat(id.0)?.session;
                known.iter().find(|(id, _)| id.0 == session).map(|(_, whose)| whose.clone())
            };
            let whose = leaders.get(&id.0).cloned().or(of_parent).or_else(of_keeper).or_else(of_session);
            if let Some(whose) = whose {
                known.insert(id, whose);
            }
        }
    }

    fn unknown(&self) -> BTreeMap<Id, String> {
        self.look();
        let known = self.known.lock().expect("nobody panicked");
        let unknown = descendants().into_keys().filter(|id| !known.contains_key(id));
        unknown.filter_map(|id| Some((id, name_of(id)?))).filter(|(_, name)| name != "setsid").collect()
    }
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

/// Everyone below this test, parents before children, each with its parents.
fn descendants() -> BTreeMap<Id, Vec<Id>> {
    let me = i32::try_from(std::process::id()).expect("a number");
    let table: BTreeMap<i32, (u64, i32)> = numbers()
        .into_iter()
        .filter_map(|pid| stat(pid).map(|line| (pid, (line.start, line.parent))))
        .collect();
    let mut found = BTreeMap::new();
    for (pid, (start, _)) in &table {
        let (mut parents, mut at) = (Vec::new(), *pid);
        while let Some((_, parent)) = table.get(&at).filter(|_| parents.len() < 64) {
            if *parent == me {
                found.insert((*pid, *start), parents);
                break;
            }
            at = *parent;
            parents.extend(table.get(&at).map(|(start, _)| (at, *start)));
        }
    }
    found
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
