//! What a record tells of a life, made into the cage by which it is looked for and ended.

use std::path::{Component, Path};

use crate::cage::Cage;
use crate::domain::Mark;
use crate::store::{LifeRecord, StackDir};
use crate::sys::cgroup::{Bounds, LEAF_PREFIX, Leaf, stack_name};

/// The life's cgroup, if it is still there and lies where this stack makes them.
#[must_use]
pub fn leaf_of(dir: &StackDir, record: &LifeRecord) -> Option<Leaf> {
    let (path, inode) = record.intent.cgroup.as_ref()?;
    is_made_here(dir, path).then(|| Leaf::reopen(path, *inode))?
}

/// What the kernel holds the life to, as far as it is still there.
#[must_use]
pub fn bounds_of(dir: &StackDir, record: &LifeRecord, unified: Option<&Leaf>) -> Bounds {
    let own = record.intent.bounds.iter().filter(|(path, _)| is_made_here(dir, path));
    Bounds::reopen(&own.cloned().collect::<Vec<_>>(), unified)
}

/// Whether a cgroup lies where this stack makes those of its lives.
fn is_made_here(dir: &StackDir, path: &Path) -> bool {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let name = |path: Option<&Path>| Some(path?.file_name()?.to_str()?.to_owned());
    let parent = name(path.parent()).is_some_and(|parent| parent == stack_name(&dir.hash));
    parent && !climbs && name(Some(path)).is_some_and(|own| own.starts_with(LEAF_PREFIX))
}

/// The life's cage; none where it never came to a leader.
#[must_use]
pub fn cage_of(dir: &StackDir, secret: &Mark, record: &LifeRecord) -> Option<Cage> {
    let intent = &record.intent;
    let (unit, mark) = (intent.plan.name.clone(), intent.mark.clone());
    let mut cage = Cage::new(unit, intent.life, mark, secret.clone(), record.keeper, record.leader?);
    cage.cgroup = leaf_of(dir, record);
    cage.shared_session = record.session;
    cage.ledger.extend(record.members.iter().copied());
    Some(cage)
}
