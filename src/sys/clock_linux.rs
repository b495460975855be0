//! What the time namespace of this process adds to the clocks (`time_namespaces(7)`, Linux 5.6).
//!
//! The kernel shows each reader the start times of processes by the reader's own clock. Read in another time namespace
//! they would name nobody of the ledger any more, and whatever runs would pass for gone: so the shift is taken off again.

use std::sync::OnceLock;

use rustix::time::ClockId;

/// Stands still while the machine sleeps.
pub(super) const DEADLINES: ClockId = ClockId::Monotonic;
/// Runs on: what the kernel stamps processes by.
pub(super) const STARTS: ClockId = ClockId::Boottime;

/// What is added to the clocks here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    /// Milliseconds on the clock of deadlines.
    pub(super) deadlines: i64,
    /// Milliseconds on the clock of start times.
    pub(super) starts: u64,
}

/// The shift of this process; why it cannot be taken off exactly, where that is so.
pub(super) fn shift() -> Result<Shift, &'static str> {
    static OWN: OnceLock<Result<Shift, &'static str>> = OnceLock::new();
    *OWN.get_or_init(|| {
        let Ok(text) = std::fs::read_to_string("/proc/self/timens_offsets") else {
            // A kernel without time namespaces.
            return Ok(Shift::default());
        };
        let own = std::fs::read_link("/proc/self/ns/time").ok();
        if own != std::fs::read_link("/proc/self/ns/time_for_children").ok() {
            // The file tells of the children's.
            return Err("this process has made a time namespace and is not in it itself");
        }
        parse(&text)
    })
}

/// Understands `timens_offsets`: a line for each clock, with whole seconds and nanoseconds.
fn parse(text: &str) -> Result<Shift, &'static str> {
    const UNKNOWN: &str = "the offsets of this time namespace cannot be understood";
    let mut shift = Shift::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [clock, seconds, nanos] = fields[..] else { return Err(UNKNOWN) };
        let seconds: i64 = seconds.parse().map_err(|_| UNKNOWN)?;
        let nanos: i64 = nanos.parse().map_err(|_| UNKNOWN)?;
        let millis = seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000);
        match clock {
            "monotonic" | "1" => shift.deadlines = millis,
            // Start times are cut to ticks after the shift was added. Only whole seconds, and none that would lead to
            // before the boot, leave each of them apart from its neighbours as it was.
            "boottime" | "7" if nanos != 0 => {
                return Err("this time namespace shifts the clock of start times by a part of a second");
            }
            "boottime" | "7" => {
                let back = "this time namespace sets the clock of start times back";
                shift.starts = u64::try_from(millis).map_err(|_| back)?;
            }
            _ => return Err(UNKNOWN),
        }
    }
    Ok(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_are_understood_and_the_rest_is_refused() {
        let read = |monotonic: &str, boottime: &str| {
            parse(&format!("monotonic  {monotonic}\nboottime  {boottime}\n"))
        };
        assert_eq!(read("0 0", "0 0"), Ok(Shift::default()));
        assert_eq!(read("-7 500000000", "86400 0"), Ok(Shift { deadlines: -6500, starts: 86_400_000 }));
        assert_eq!(parse("1 5 0\n7 6 0\n"), Ok(Shift { deadlines: 5000, starts: 6000 }));
        for (monotonic, boottime) in [("0 0", "5 3000000"), ("0 0", "-5 0"), ("0", "0 0"), ("0 0", "x 0")] {
            assert!(read(monotonic, boottime).is_err(), "{boottime}");
        }
    }
}
