//! This program itself: how it starts itself anew, and its random numbers.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// This program, to be started once more under the name `devstack`.
///
/// On Linux by `/proc/self/exe`: it stays the same program even when its file was replaced by an upgrade meanwhile.
#[must_use]
pub fn itself() -> Command {
    #[cfg(target_os = "linux")]
    let path = std::path::PathBuf::from("/proc/self/exe");
    #[cfg(not(target_os = "linux"))]
    let path = std::env::current_exe().unwrap_or_else(|_| "devstack".into());
    let mut command = Command::new(path);
    command.arg0("devstack");
    command
}

/// Random bytes of the kernel.
pub fn random_bytes() -> io::Result<[u8; 16]> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
