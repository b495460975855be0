//! When a process was born: with its number, its identity.

use std::io;

use crate::domain::{Pid, ProcId};

/// The identity of a process, if it lives or is not reaped yet.
pub fn identify(pid: Pid) -> io::Result<ProcId> {
    start_time(pid).map(|start| ProcId { pid, start })
}

/// Field 22 of `/proc/PID/stat`: clock ticks since boot.
#[cfg(target_os = "linux")]
pub fn start_time(pid: Pid) -> io::Result<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat"))?;
    parse_start(&stat).ok_or_else(|| io::Error::other("its stat line has no start time"))
}

#[cfg(target_os = "linux")]
fn parse_start(stat: &[u8]) -> Option<u64> {
    // A program chooses its own name, which may hold spaces and brackets: only the last `)` ends it.
    let after = stat.iter().rposition(|byte| *byte == b')')? + 2;
    let field = stat.get(after..)?.split(|byte| *byte == b' ').nth(19)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Microseconds since the epoch.
#[cfg(target_os = "macos")]
pub fn start_time(pid: Pid) -> io::Result<u64> {
    // SAFETY: all fields are plain numbers, for which zero is a value.
    let mut info: libc::proc_bsdinfo = unsafe { std::mem::zeroed() };
    let size = std::mem::size_of::<libc::proc_bsdinfo>() as libc::c_int;
    // SAFETY: the buffer is exactly `size` bytes long and is written by the kernel only.
    let got =
        unsafe { libc::proc_pidinfo(pid.get(), libc::PROC_PIDTBSDINFO, 0, (&raw mut info).cast(), size) };
    if got != size {
        return Err(io::Error::last_os_error());
    }
    Ok(info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
}

/// Unknown on this system.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub fn start_time(_pid: Pid) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_false_name_hides_nothing() {
        let stat = b"41 (a) b (c) S 1 41 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 7777 1 2 3";
        assert_eq!(parse_start(stat), Some(7777));
        assert_eq!(parse_start(b"41 (a"), None);
    }

    #[test]
    fn an_identity_stays() {
        let own = Pid::new(i32::try_from(std::process::id()).expect("a pid")).expect("not init");
        assert_eq!(identify(own).expect("we live"), identify(own).expect("we live"));
    }
}
