//! All that `doctor` looks at, as plain data.

use std::path::{Path, PathBuf};

use super::engine::{self, Engine};
use super::stale::{self, Left};
use crate::cage;
use crate::cli::exit::CliError;
use crate::cli::place::Place;
use crate::cli::sweep;
use crate::domain::{PortStatus, UnitName};
use crate::plan::Plan;
use crate::show::Door;
use crate::sys::cgroup::{self, Ability, Grounds, NoPlace};
use crate::sys::host::{self, Room, Space};
use crate::sys::{mark, pidfd, proc, reaper, users};

/// What was seen.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) layers: Layers,
    pub(super) machine: Machine,
    pub(super) places: Vec<Spot>,
    pub(super) engines: Vec<Engine>,
    pub(super) stack: Here,
    pub(super) left: Vec<Left>,
}

/// What the kernel offers to hold processes by.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    /// Where leaves can be made and what can be done with them, or why not.
    pub(super) cgroup: Result<(PathBuf, Ability), NoCgroup>,
    /// Of the v2 tree, and of trees of their own.
    pub(super) controllers: [Vec<String>; 2],
    /// Where limits are held.
    pub(super) limits: Grounds,
    pub(super) pidfd: pidfd::Features,
    pub(super) subreaper: bool,
    pub(super) memfd: bool,
    /// The kernel lists the children of a process.
    pub(super) children: bool,
}

/// Why there are no cgroups for lives.
#[derive(Clone, Debug)]
pub(super) enum NoCgroup {
    /// None can be made.
    Place(NoPlace),
    /// One was made, and no process could be born in it.
    Birth(PathBuf, String),
}

/// The machine and its limits.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) system: String,
    pub(super) user: String,
    pub(super) container: Option<String>,
    pub(super) own_process_numbers: bool,
    /// Processes of others are shown.
    pub(super) sees_others: bool,
    pub(super) table: Option<Room>,
    pub(super) of_user: Option<Room>,
    pub(super) of_cgroup: Option<Room>,
    pub(super) open_files: Option<u64>,
    /// Why no more files can be watched.
    pub(super) inotify: Option<String>,
}

/// A directory that devstack needs.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) name: &'static str,
    pub(super) dir: PathBuf,
    /// Why it cannot be used.
    pub(super) problem: Option<String>,
    pub(super) space: Option<Space>,
}

/// The stack of the manifest here.
#[derive(Clone, Debug)]
pub(super) enum Here {
    NoManifest,
    /// It cannot be read or is wrong.
    Wrong {
        what: String,
        manifest: String,
    },
    Stack {
        name: String,
        dir: String,
        ports: Vec<(UnitName, PortStatus)>,
    },
}

/// Looks at everything; with `fix`, takes away what is stale and safe to take away.
pub(super) fn gather(place: &Place, door: &Door, fix: bool) -> Facts {
    let layers = layers();
    let of_lives = layers.cgroup.as_ref().ok().map(|(dir, _)| dir.as_path());
    let cgroups: Vec<&Path> = of_lives.into_iter().chain(layers.limits.places()).collect();
    Facts {
        left: stale::find(&place.home, sweep::seen_here(place, door), &cgroups, fix),
        machine: machine(),
        places: places(place),
        engines: engine::find(),
        stack: here(place, door),
        layers,
    }
}

fn layers() -> Layers {
    let cgroup = cgroup::place().map_err(NoCgroup::Place).and_then(|dir| match cgroup::try_out(&dir) {
        Ok(ability) => Ok((dir, ability)),
        Err(error) => Err(NoCgroup::Birth(dir, error.to_string())),
    });
    Layers {
        cgroup,
        controllers: cgroup::controllers(),
        limits: Grounds::find(""),
        pidfd: pidfd::features(),
        subreaper: reaper::can_be_subreaper(),
        memfd: mark::memfd("doctor").is_ok_and(|made| made.is_some()),
        children: proc::lists_children(),
    }
}

fn machine() -> Machine {
    Machine {
        system: host::system(),
        user: users::name(users::own_uid()),
        container: host::container(),
        own_process_numbers: host::has_own_process_numbers(),
        sees_others: proc::stat(1).is_some(),
        table: host::process_table(),
        of_user: host::user_processes(),
        of_cgroup: host::cgroup_processes(),
        open_files: host::open_files(),
        inotify: host::watch_one_more().err().map(|error| error.to_string()),
    }
}

fn places(place: &Place) -> Vec<Spot> {
    let spot = |name, dir: &Path| {
        // What is not there yet is made when it is needed, in the nearest directory that is.
        let there = dir.ancestors().find(|dir| dir.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
        let problem = place
            .home
            .problem(dir)
            .or_else(|| (!host::may_write(there)).then(|| format!("{} may not be written", there.display())));
        Spot { name, dir: dir.to_owned(), problem, space: host::space(there).ok() }
    };
    vec![spot("state", place.home.state()), spot("sockets", place.home.runtime())]
}

fn here(place: &Place, door: &Door) -> Here {
    match place.load(door) {
        Ok(loaded) => stack(&loaded.plan),
        Err(CliError::NoManifest { named: false, .. }) => Here::NoManifest,
        Err(error) => {
            let manifest = place.manifest().map(|path| path.display().to_string()).unwrap_or_default();
            Here::Wrong { what: error.to_string(), manifest }
        }
    }
}

fn stack(plan: &Plan) -> Here {
    let ports: Vec<(UnitName, u16)> = plan
        .units
        .iter()
        .flat_map(|unit| unit.ports.iter().map(|port| (unit.name.clone(), port.number)))
        .collect();
    let numbers: Vec<u16> = ports.iter().map(|(_, port)| *port).collect();
    let held = cage::holders(&numbers);
    let (name, dir) = (plan.stack.to_string(), plan.dir.display().to_string());
    Here::Stack { name, dir, ports: ports.into_iter().map(|(unit, _)| unit).zip(held).collect() }
}
