//! What a record tells of a life, made into the cage by which it is looked for and ended.

use std::path::Component;

use crate::cage::Cage;
use crate::domain::Mark;
use crate::store::{LifeRecord, StackDir};
use crate::sys::cgroup::{LEAF_PREFIX, Leaf, stack_name};

/// The life's cgroup, if it is still there and lies where this stack makes them.
#[must_use]
pub fn leaf_of(dir: &StackDir, record: &LifeRecord) -> Option<Leaf> {
    let (path, inode) = record.intent.cgroup.as_ref()?;
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let parent = path.parent()?.file_name()?.to_str()?;
    let is_ours = parent == stack_name(&dir.hash) && path.file_name()?.to_str()?.starts_with(LEAF_PREFIX);
    (is_ours && !climbs).then(|| Leaf::reopen(path, *inode))?
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
