//! cgroup v2, where this user may write: one leaf holds one life, and the kernel ends it as a whole.
//!
//! Kill and freeze need no controller: a machine that mounts the tree beside the old ones (`/sys/fs/cgroup/unified`) will
//! do. Limits need one, here or in a tree of its own (`bounds`). Processes are born in a leaf, or enter it before their
//! first instruction; none is ever moved later.

mod bounds;
mod leaf;
mod name;
mod place;

pub use bounds::{Bounds, Controller, Ground, Grounds, OutOfMemory};
pub use leaf::{Leaf, Remnant, clear, stack_name};
pub use name::{LEAF_PREFIX, leaf_name};
pub(super) use place::own_cgroups;
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
pub(super) use place::own_dirs;
pub use place::{Ability, NoPlace, controllers, place, try_out};
