//! What the kernel offers, with one signature for all systems. The only place for `unsafe` and `cfg(target_os)`.
#![allow(unsafe_code, reason = "system calls are made here and nowhere else")]

pub mod watch;
pub mod watch_group;
