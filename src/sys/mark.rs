//! The mark that is a descriptor: a named memfd that survives a cleared environment.

use std::io;
use std::os::fd::OwnedFd;

/// What the name of a mark's memfd begins with; the mark follows. `/proc/PID/fd` shows `/memfd:devstack:MARK (deleted)`.
pub const MEMFD_PREFIX: &str = "devstack:";

/// Few programs look at descriptors as high as this, and `select` still can.
#[cfg(target_os = "linux")]
const HIGHEST: u64 = 999;

/// A memfd that carries the mark in its name, on the highest descriptor below the soft limit (at most 999). It is closed
/// on exec: the child that is to keep it says so. `None` where the system has no such thing.
#[cfg(target_os = "linux")]
pub fn memfd(mark: &str) -> io::Result<Option<OwnedFd>> {
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::process::{Resource, getrlimit};

    let name = format!("{MEMFD_PREFIX}{mark}");
    let sealed = memfd_create(&name, MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL);
    // Kernels before 6.3 do not know the second flag.
    let made = sealed.or_else(|_| memfd_create(&name, MemfdFlags::CLOEXEC))?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let number = i32::try_from(limit.saturating_sub(1).min(HIGHEST)).unwrap_or(0);
    // Where not even that one is free, the low descriptor marks as well.
    Ok(Some(rustix::io::fcntl_dupfd_cloexec(&made, number).unwrap_or(made)))
}

/// A memfd that carries the mark in its name. `None` where the system has no such thing.
#[cfg(not(target_os = "linux"))]
pub fn memfd(_mark: &str) -> io::Result<Option<OwnedFd>> {
    Ok(None)
}
