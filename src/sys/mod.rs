//! What the kernel offers, with one signature for all systems. The only place for `unsafe` and `cfg(target_os)`.
#![allow(unsafe_code, reason = "system calls are made here and nowhere else")]

pub mod cgroup;
pub mod clock;
pub mod descriptors;
pub mod exit;
pub mod first;
pub mod flock;
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
pub(crate) mod fuzz;
pub mod host;
/// This system has no such files.
#[cfg(all(any(test, fuzzing), not(target_os = "linux")))]
pub(crate) mod fuzz {
    pub(crate) fn proc(_: &[u8]) {}
}
pub mod kill_point;
pub mod mark;
pub mod nursery;
mod own;
pub mod pidfd;
pub mod pipe;
pub mod ports;
pub mod proc;
pub mod reaper;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod terminal;
pub mod users;
pub mod watch;
pub mod watch_group;

pub use own::{itself, leave_terminal, own_program, random_bytes, reap, take_exit, wait};
