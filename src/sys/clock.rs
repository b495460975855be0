//! The one place where the clock is read.

#[cfg(target_os = "linux")]
#[path = "clock_linux.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
#[path = "clock_macos.rs"]
mod os;

use std::io;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::{Moment, WallTime};

/// The present, for deadlines: the clock that stands still while the machine sleeps, so that a grace or a time limit is
/// what a service had of it awake. The same in every time namespace.
#[must_use]
pub fn moment() -> Moment {
    Moment(read(os::DEADLINES).saturating_sub_signed(own_shift().deadlines))
}

/// Milliseconds since the boot, asleep or not, on the clock that start times of processes are told by.
#[cfg(target_os = "linux")]
pub(super) fn since_boot() -> u64 {
    read(os::STARTS).saturating_sub(own_shift().starts)
}

/// What the time namespace of this process has added to a start time, in milliseconds.
#[cfg(target_os = "linux")]
pub(super) fn start_shift() -> u64 {
    own_shift().starts
}

/// Whether processes can be told apart here by when they were started, as all of devstack does.
///
/// # Errors
/// The time namespace of this process shifts start times in a way that cannot be taken off exactly. Whoever goes on all
/// the same would take what runs for gone.
pub fn check() -> io::Result<()> {
    os::shift().map(drop).map_err(io::Error::other)
}

fn own_shift() -> os::Shift {
    // Who must not go on without it has asked `check`.
    os::shift().unwrap_or_default()
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds * 1000 + millis
}

/// The time of day.
#[must_use]
pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Identifies this boot of the machine: process identities of another boot mean nothing.
#[cfg(target_os = "linux")]
pub fn boot_id() -> io::Result<String> {
    // No process outlives its boot: read once.
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(KNOWN.get_or_init(|| text.trim().to_owned()).clone())
}

/// Identifies this boot of the machine: process identities of another boot mean nothing.
#[cfg(not(target_os = "linux"))]
pub fn boot_id() -> io::Result<String> {
    let mut buffer = [0_u8; 64];
    let mut size = buffer.len();
    // SAFETY: the name ends in NUL, the buffer is `size` bytes long, and nothing is set.
    let result = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            buffer.as_mut_ptr().cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let text = buffer[..size].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_tell_the_present() {
        assert!(moment().0 > 0);
        assert!(wall().0 > 1_600_000_000_000);
        assert!(boot_id().expect("a boot has an id").len() >= 32);
    }
}
