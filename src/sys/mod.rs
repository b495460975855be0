//! What the kernel offers, with one signature for all systems. The only place for `unsafe` and `cfg(target_os)`.
#![allow(unsafe_code, reason = "system calls are made here and nowhere else")]

pub mod birth;
pub mod clock;
pub mod mark;
mod own;
pub mod pipe;
pub mod reaper;
pub mod signals;
pub mod socket;
pub use own::{itself, random_bytes};
