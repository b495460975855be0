//! What earlier stacks of this user left: found, and, where nothing can be lost by it, taken away.
//!
//! Nothing is signalled: what lives is `down`'s to end. Only what belongs to nobody any more is removed, under the
//! stack's lock, so that no supervisor begins meanwhile.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::place::{Stack, block_on};
use crate::domain::{Fix, Life, Pid, ProcId, UnitKind, UnitName};
use crate::job;
use crate::store::{Home, LifeRecord, Lock, StackDir, StackFile, read_records, remove_record};
use crate::supervisor::{self, Standing};
use crate::sys::cgroup::Remnant;
use crate::sys::clock;
use crate::sys::proc::{self, RunState};

/// What is younger may belong to a start that is under way.
const YOUNG: Duration = Duration::from_secs(60);

/// Something that an earlier stack left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Whose it is: the stack's name, where there is one.
    pub(super) stack: String,
    /// What.
    pub(super) what: What,
}

/// What was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Processes live that no supervisor watches.
    Unwatched { processes: usize, manifest: PathBuf },
    /// A supervisor or keeper was stopped (SIGSTOP) and does nothing any more.
    Halted { who: String, pid: Pid },
    /// A keeper holds nothing and does not end.
    Hanging { unit: UnitName, pid: Pid, manifest: PathBuf },
    /// Processes of a job whose `devstack run` was killed.
    Job { unit: UnitName, processes: usize, manifest: PathBuf },
    /// Processes live outside of what runs, and may be swept.
    Strays { count: usize, manifest: PathBuf },
    /// Records of lives that are over, of this boot or of earlier ones.
    Records { count: usize, fix: Fix },
    /// Sockets on which nobody listens.
    Sockets { count: usize, fix: Fix },
    /// Cgroups in which nobody lives.
    Cgroups { dirs: Vec<PathBuf>, fix: Fix },
    /// The directory of the manifest is gone; its state and logs are not.
    Gone { dir: PathBuf, state: PathBuf },
    /// State that cannot be read.
    Unreadable { path: PathBuf, why: String },
}

/// Looks at every stack of this user, at the cgroups here, and takes in the strays that were found `here`.
pub(super) fn find(home: &Home, here: Option<(Stack, usize)>, cgroups: &[&Path], fix: bool) -> Vec<Left> {
    let strays = |(stack, count): (Stack, usize)| Left {
        stack: stack.file.name.to_string(),
        what: What::Strays { count, manifest: stack.file.manifest },
    };
    let mut left: Vec<Left> = here.into_iter().map(strays).collect();
    match home.all() {
        Ok(dirs) => dirs.iter().for_each(|dir| of_stack(home, dir, fix, &mut left)),
        Err(error) => left.push(unreadable(home.state(), error.to_string())),
    }
    count_once(&mut left);
    let remnants: Vec<Remnant> = cgroups.iter().flat_map(|place| Remnant::find(place, YOUNG)).collect();
    if !remnants.is_empty() {
        let fix = mend(fix, || remnants.iter().try_for_each(Remnant::remove));
        let dirs = remnants.iter().map(|one| one.path().to_owned()).collect();
        left.push(Left { stack: "cgroups".to_owned(), what: What::Cgroups { dirs, fix } });
    }
    left
}

/// What a killed `devstack run` has left is no stray beside that.
fn count_once(left: &mut Vec<Left>) {
    let told: Vec<(String, usize)> = left
        .iter()
        .filter_map(|one| match &one.what {
            What::Job { processes, .. } => Some((one.stack.clone(), *processes)),
            _ => None,
        })
        .collect();
    left.retain_mut(|one| {
        let What::Strays { count, .. } = &mut one.what else { return true };
        let of_jobs: usize = told.iter().filter(|(stack, _)| *stack == one.stack).map(|(_, many)| many).sum();
        *count = count.saturating_sub(of_jobs);
        *count > 0
    });
}

fn unreadable(path: &Path, why: String) -> Left {
    let stack = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Left { stack, what: What::Unreadable { path: path.to_owned(), why } }
}

fn of_stack(home: &Home, dir: &StackDir, fix: bool, left: &mut Vec<Left>) {
    if let Some(why) = home.problem(&dir.state) {
        return left.push(unreadable(&dir.state, why));
    }
    let file = match dir.read_stack() {
        Ok(Some(file)) => file,
        // Made and never used, or damaged: `down` in its directory works by what else is there.
        Ok(None) => return,
        Err(error) => return left.push(unreadable(&dir.state, error.to_string())),
    };
    let mut tell = |what| left.push(Left { stack: file.name.to_string(), what });
    let holder = supervisor::holder(dir);
    let records = read_records(dir).unwrap_or_default();
    // A job's keeper is a command of its user: it may be stopped, and it waits for nobody.
    let is_job = |record: &&LifeRecord| record.intent.plan.kind == UnitKind::Job;
    jobs(dir, &file, fix, &mut tell);
    for record in records.iter().filter(|record| !is_job(record)) {
        let unit = &record.intent.plan.name;
        match record.keeper.filter(|_| is_of_this_boot(record)).and_then(standing_of) {
            Some((pid, Keeper::Halted)) => tell(What::Halted { who: format!("the keeper of {unit}"), pid }),
            Some((pid, Keeper::Idle)) => {
                tell(What::Hanging { unit: unit.clone(), pid, manifest: file.manifest.clone() });
            }
            Some((_, Keeper::Holding)) | None => {}
        }
    }
    if let Some(holder) = holder {
        if holder.standing() == Some(Standing::Stopped) {
            let who = if holder.is_supervisor { "the supervisor" } else { "a devstack command" };
            tell(What::Halted { who: who.to_owned(), pid: holder.id.pid });
        }
        return;
    }
    unwatched(dir, &file, &records, fix, &mut tell);
}

/// What killed ones have left. Who was killed is known by his ticket: what is there of those who live is in order.
fn jobs(dir: &StackDir, file: &StackFile, fix: bool, tell: &mut impl FnMut(What)) {
    let left = job::leftovers(dir, &file.secret).unwrap_or_default();
    let (living, over): (Vec<_>, Vec<_>) = left.into_iter().partition(|one| one.processes > 0);
    for one in living {
        tell(What::Job { unit: one.unit, processes: one.processes, manifest: file.manifest.clone() });
    }
    if !over.is_empty() {
        let fix = mend(fix, || {
            for one in &over {
                one.forget(dir);
            }
            Ok(())
        });
        tell(What::Records { count: over.len(), fix });
    }
}

/// What there is of a stack without a supervisor.
fn unwatched(
    dir: &StackDir,
    file: &StackFile,
    records: &[LifeRecord],
    fix: bool,
    tell: &mut impl FnMut(What),
) {
    let view = if records.iter().any(is_of_this_boot) {
        block_on(supervisor::look(dir, file, None)).ok().and_then(Result::ok)
    } else {
        None
    };
    let services = || view.iter().flat_map(|view| &view.services).filter(|unit| unit.kind != UnitKind::Job);
    let living: Vec<(UnitName, Life)> = services()
        .filter(|unit| !unit.processes.is_empty())
        .map(|unit| (unit.name.clone(), unit.life))
        .collect();
    let processes = services().map(|unit| unit.processes.len()).sum();
    if processes > 0 {
        tell(What::Unwatched { processes, manifest: file.manifest.clone() });
    } else if !file.dir().exists() {
        tell(What::Gone { dir: file.dir().to_owned(), state: dir.state.clone() });
    }
    let over = |record: &&LifeRecord| {
        let key = (record.intent.plan.name.clone(), record.intent.life);
        let path = dir.record(&key.0, key.1);
        let is_job = record.intent.plan.kind == UnitKind::Job;
        !is_job && (!is_of_this_boot(record) || !living.contains(&key) && is_old(&path))
    };
    let over: Vec<&LifeRecord> = records.iter().filter(over).collect();
    if !over.is_empty() {
        let fix = mend(fix, || {
            let _lock = locked(dir)?;
            for record in &over {
                remove_record(dir, &record.intent.plan.name, record.intent.life);
            }
            Ok(())
        });
        tell(What::Records { count: over.len(), fix });
    }
    let dead = dead_sockets(dir);
    if !dead.is_empty() {
        let fix = mend(fix, || {
            let _lock = locked(dir)?;
            dead.iter().try_for_each(fs::remove_file)
        });
        tell(What::Sockets { count: dead.len(), fix });
    }
}

fn mend(fix: bool, work: impl FnOnce() -> std::io::Result<()>) -> Fix {
    if !fix {
        return Fix::Possible;
    }
    work().map_or_else(|error| Fix::Failed(error.to_string()), |()| Fix::Done)
}

fn locked(dir: &StackDir) -> std::io::Result<Lock> {
    Lock::try_take(&dir.lock())?.ok_or_else(|| std::io::Error::other("a supervisor has begun to work on it"))
}

fn is_of_this_boot(record: &LifeRecord) -> bool {
    clock::boot_id().is_ok_and(|boot| boot == record.intent.boot)
}

fn is_old(path: &Path) -> bool {
    let age = fs::symlink_metadata(path).and_then(|meta| meta.modified()).map(|time| time.elapsed());
    age.is_ok_and(|age| age.is_ok_and(|age| age > YOUNG))
}

/// Sockets of keepers, on which nobody listens. The stack's own socket stays: the next `up` uses its place.
fn dead_sockets(dir: &StackDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(&dir.runtime).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| name.starts_with("k-") || name.starts_with("n-"))
    });
    let dead = |path: &PathBuf| {
        let refused = UnixStream::connect(path).err().map(|error| error.kind());
        refused == Some(std::io::ErrorKind::ConnectionRefused)
    };
    ours.map(|entry| entry.path()).filter(|path| is_old(path) && dead(path)).collect()
}

enum Keeper {
    Holding,
    Halted,
    Idle,
}

fn standing_of(keeper: ProcId) -> Option<(Pid, Keeper)> {
    let stat = proc::stat(keeper.pid.get()).filter(|stat| stat.start == keeper.start && !stat.is_gone())?;
    let holds = || proc::children(&stat).is_none_or(|children| !children.is_empty());
    let standing = if stat.state == RunState::Stopped {
        Keeper::Halted
    } else if proc::age(stat.start) < YOUNG || holds() {
        Keeper::Holding
    } else {
        Keeper::Idle
    };
    Some((keeper.pid, standing))
}
