//! cgroup v2, where this user may write: one leaf holds one life, and the kernel ends it as a whole.
//!
//! Only kill and freeze are used, which need no controller: a machine that mounts the tree beside the old ones
//! (`/sys/fs/cgroup/unified`) will do. Processes are born in a leaf; none is ever moved.

mod leaf;
mod place;

pub use leaf::{Leaf, Remnant, clear, stack_name};
pub(super) use place::own_cgroups;
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
pub(super) use place::own_dirs;
pub use place::{Ability, NoPlace, controllers, place, try_out};
