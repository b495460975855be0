//! The processes inside a container, as this machine sees them: to be shown, never to be signalled. They are the engine's.

use super::life::Member;
use super::world::World;
use crate::domain::{FoundBy, Pid, ProcId};
use crate::sys::proc;

/// The first process of a container and all that descend from it.
///
/// None where that number is not in a cgroup that is named after the container: the engine runs on another machine, or the
/// number was given away.
#[must_use]
pub fn inside(container: &str, first: Pid, world: &mut World) -> Vec<Member> {
    if container.is_empty() || !proc::cgroups(first.get()).is_some_and(|lines| lines.contains(container)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut open: Vec<ProcId> = proc::identify(first).into_iter().collect();
    while let Some(id) = open.pop() {
        let Some(stat) = world.alive(id).cloned() else { continue };
        found.push(Member { id, stat, found_by: FoundBy::Container, unit: None, parent: None, detail: None });
        open.extend(world.children(id));
    }
    found.sort_by_key(|member| member.id.start);
    found
}
