//! The beginning of a life: intent on disk, cgroup, environment, then the keeper.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::engines::{EngineAt, leading, note_engine};
use super::limits::own_ceiling;
use super::nursery::{self, Nursery};
use crate::cage;
use crate::domain::{Ceiling, Life, Mark, Pid};
use crate::engine::label;
use crate::keeper::{LogSpec, Spec};
use crate::machine::ENGINE_LAG;
use crate::plan::{CommandPlan, ContainerPlan, Probe, UnitPlan};
use crate::shim::ShimSpec;
use crate::store::{Intent, Seal, StackDir, StackFile, create_record};
use crate::sys;
use crate::sys::cgroup::{self, Bounds, Grounds, Leaf};
use crate::sys::kill_point::{KillPoint, here};

/// A life that was begun: its keeper runs and has been told nothing yet.
pub(super) struct Birth {
    /// Its mark.
    pub(super) mark: Mark,
    /// The key of its record.
    pub(super) seal: Seal,
    /// Its cgroup, where this machine lets us have one.
    pub(super) cgroup: Option<Leaf>,
    /// What the kernel holds it to.
    pub(super) bounds: Bounds,
    /// What the keeper must be told.
    pub(super) spec: Spec,
    /// Our end of the socket pair.
    pub(super) socket: UnixStream,
    /// The keeper, to be reaped.
    pub(super) keeper: Pid,
}

/// What all births of a stack have in common.
pub(super) struct Ground<'a> {
    /// Its directories.
    pub(super) dir: &'a StackDir,
    /// What is on disk of it.
    pub(super) stack: &'a StackFile,
    /// The caller's environment.
    pub(super) base: &'a BTreeMap<String, String>,
    /// Where its cgroups are made, where they may be.
    pub(super) cgroups: Option<&'a Path>,
    /// Where the kernel holds its limits, once that was looked for.
    pub(super) grounds: &'a OnceCell<Grounds>,
    /// The limit on descriptors that services get, where the supervisor's own is another.
    pub(super) descriptors: Option<u64>,
}

/// Writes the intent, then spawns the keeper.
pub(super) fn begin(
    ground: &Ground<'_>,
    plan: &Arc<UnitPlan>,
    life: Life,
    nursery: &mut Option<Nursery>,
) -> io::Result<Birth> {
    let Ground { dir, stack, base, .. } = *ground;
    let mark = Mark::from_random(sys::random_bytes()?);
    let name = cgroup::leaf_name(&plan.name, life);
    let cgroup = ground.cgroups.and_then(|parent| Leaf::create(parent, &name).ok());
    let mut cgroup = Fresh(cgroup);
    let mut bounds = FreshBounds(bounds(ground, plan, &name, cgroup.0.as_ref()));
    here(KillPoint::CgroupMade);
    let intent = Intent {
        boot: sys::clock::boot_id()?,
        plan: (**plan).clone(),
        life,
        mark: mark.clone(),
        cgroup: cgroup.0.as_ref().map(|leaf| (leaf.path().to_owned(), leaf.inode())),
        bounds: bounds.0.leaves(),
        socket: dir.keeper_socket(&plan.name, life),
        at: sys::clock::moment(),
    };
    let seal = intent.seal(dir);
    let record = create_record(dir, intent)?;
    here(KillPoint::IntentWritten);
    let shim = plan.container.as_ref().map(|container| shim(ground, plan, container, life)).transpose()?;
    let (program, words) = match shim {
        Some(words) => (Some(sys::own_program()), words),
        None => (None, argv(&plan.command)),
    };
    // Its own environment is the container's: what stands for it is led to the engine by the caller's.
    let environment = match plan.container {
        Some(_) => marked(stack, leading(base, &plan.working_dir), plan, Some(&mark)),
        None => environment(stack, base, plan, Some(&mark)),
    };
    let spec = Spec {
        stack_id: stack.secret.as_str().to_owned(),
        unit: plan.name.clone(),
        life,
        mark: mark.clone(),
        argv: words,
        program,
        // What an engine's command leaves where it runs (podman's monitor: a file `oom`) must not lie in the checkout.
        working_dir: if plan.container.is_some() { dir.containers() } else { plan.working_dir.clone() },
        environment,
        user: plan.user.clone().filter(|_| plan.container.is_none()),
        cgroup: cgroup.0.as_ref().map(|leaf| leaf.path().to_owned()),
        socket: dir.keeper_socket(&plan.name, life),
        record,
        seal: seal.clone(),
        notify: plan.gate.contains(&Probe::Notify).then(|| dir.notify_socket(&plan.name, life)),
        bounds: bounds.0.to_enter(),
        open_files: plan.limits.open_files,
        descriptors: ground.descriptors,
        ends_alone: plan.ends_with_supervisor.then_some((plan.stop.signal, grace_alone(plan))),
        log: LogSpec {
            path: dir.log(&plan.name),
            max_size: plan.logs.max_size,
            max_files: plan.logs.max_files,
        },
    };
    let (keeper, socket) = keeper(nursery)?;
    here(KillPoint::KeeperSpawned);
    let bounds = std::mem::take(&mut bounds.0);
    Ok(Birth { mark, seal, cgroup: cgroup.0.take(), bounds, spec, socket, keeper })
}

/// Writes down what the shim of a container must know, and which engine it asks; gives its words.
fn shim(
    ground: &Ground<'_>,
    plan: &Arc<UnitPlan>,
    container: &ContainerPlan,
    life: Life,
) -> io::Result<Vec<String>> {
    let (dir, unit) = (ground.dir, &plan.name);
    // The engine first: a container that nobody knows where to look for must not be made.
    note_engine(dir, EngineAt::of(container, &leading(ground.base, &plan.working_dir)), unit, life)
        .map_err(io::Error::other)?;
    let spec = ShimSpec {
        stack: dir.hash.clone(),
        owner: label::owner(&ground.stack.secret),
        name: ground.stack.name.clone(),
        life,
        unit: (**plan).clone(),
        state: dir.container_state(unit, life),
        position: dir.container_position(unit),
    };
    let path = dir.container_spec(unit, life);
    spec.write(&path).map_err(io::Error::other)?;
    let path = path.to_str().ok_or_else(|| io::Error::other("its state directory is not text"))?;
    Ok(vec![format!("devstack-container {}", container.name), "__container".to_owned(), path.to_owned()])
}

/// What its keeper gives it to end, where no supervisor is there: the engine of a container needs a moment more.
fn grace_alone(plan: &UnitPlan) -> Duration {
    plan.stop.grace + if plan.container.is_some() { ENGINE_LAG } else { Duration::ZERO }
}

/// What the kernel holds a life to. A container is held by its engine; a stack without limits costs no look.
fn bounds(ground: &Ground<'_>, plan: &UnitPlan, name: &str, leaf: Option<&Leaf>) -> Bounds {
    let stack = ground.stack.plan.as_ref().map(|plan| plan.limits.ceiling()).unwrap_or_default();
    let own = own_ceiling(plan);
    if plan.container.is_some() || [&own, &stack].into_iter().all(|ceiling| *ceiling == Ceiling::default()) {
        return Bounds::default();
    }
    ground.grounds.get_or_init(|| Grounds::find(&ground.dir.hash)).make(name, &own, &stack, leaf)
}

/// Bounds that go again unless the life begins.
struct FreshBounds(Bounds);

impl Drop for FreshBounds {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// A leaf that goes again unless the life begins.
struct Fresh(Option<Leaf>);

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = self.0.take().map(|leaf| leaf.remove());
    }
}

/// A keeper that was told nothing yet, and our end of its socket.
fn keeper(nursery: &mut Option<Nursery>) -> io::Result<(Pid, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    // What is left is for stops: a stack that cannot be ended any more must not be begun.
    if sys::descriptors::is_of_reserve(&theirs) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    let Some(bearer) = nursery else { return Ok((nursery::spawn(theirs.into(), false)?, ours)) };
    match bearer.bear(&OwnedFd::from(theirs)) {
        Ok(keeper) => Ok((keeper, ours)),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Err(error),
        // A nursery that is gone or hangs is no reason to fail: the slower way is always there. What it may yet bear finds
        // its socket closed, so the other one needs a pair of its own.
        Err(_) => {
            *nursery = None;
            drop(ours);
            self::keeper(nursery)
        }
    }
}

/// Program and arguments.
pub(super) fn argv(command: &CommandPlan) -> Vec<String> {
    match command {
        CommandPlan::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()],
        CommandPlan::Exec(words) => words.clone(),
    }
}

/// The whole environment of a unit: the caller's, above it the manifest's, above it the marks.
///
/// Probes and stop commands get no life's mark: they are devstack's own and must not count as members.
pub(super) fn environment(
    stack: &StackFile,
    base: &BTreeMap<String, String>,
    plan: &UnitPlan,
    mark: Option<&Mark>,
) -> Vec<(String, String)> {
    let mut all = base.clone();
    for name in cage::MARKS {
        all.remove(name);
    }
    all.extend(plan.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    marked(stack, all, plan, mark)
}

/// An environment with what says whose process it is, and nothing else that does.
pub(super) fn marked(
    stack: &StackFile,
    mut all: BTreeMap<String, String>,
    plan: &UnitPlan,
    mark: Option<&Mark>,
) -> Vec<(String, String)> {
    for name in cage::MARKS.iter().filter(|_| plan.container.is_some()) {
        all.remove(*name);
    }
    let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
    set("PWD", &plan.working_dir.to_string_lossy());
    set("DEVSTACK_STACK", stack.name.as_str());
    set("DEVSTACK_DIR", &stack.dir().to_string_lossy());
    set("DEVSTACK_SERVICE", plan.name.as_str());
    if let Some(mark) = mark {
        set("DEVSTACK_STACK_ID", stack.secret.as_str());
        set("DEVSTACK_LIFE", mark.as_str());
    }
    all.into_iter().collect()
}

/// The environment of a command that somebody runs beside a unit: the unit's own, above the caller's, without marks.
#[must_use]
pub fn environment_beside(
    stack: &StackFile,
    base: &BTreeMap<String, String>,
    plan: &UnitPlan,
) -> Vec<(String, String)> {
    environment(stack, base, plan, None)
}
