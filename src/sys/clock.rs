//! The one place where the clock is read.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::{Moment, WallTime};

#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
// On macOS this clock runs on while the machine sleeps, as CLOCK_BOOTTIME does on Linux.
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// The time since the machine booted.
#[must_use]
pub fn moment() -> Moment {
    let time = clock_gettime(SINCE_BOOT);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
    Moment(seconds * 1000 + millis)
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
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
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
