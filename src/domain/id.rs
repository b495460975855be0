//! Identities: a process is its number *and* its start time, a life is one incarnation of a unit.

use std::fmt;
use std::num::NonZeroI32;

use serde::{Deserialize, Serialize};

/// A process number above 1.
///
/// `kill(-1)` and `kill(0)` are what an unchecked error turns into, and 1 is never ours: this type holds none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Pid(NonZeroI32);

impl Pid {
    /// The process number, if it is above 1.
    #[must_use]
    pub fn new(raw: i32) -> Option<Self> {
        NonZeroI32::new(raw).filter(|pid| pid.get() > 1).map(Self)
    }

    /// The bare number.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0.get()
    }
}

impl TryFrom<i32> for Pid {
    type Error = String;
    fn try_from(raw: i32) -> Result<Self, String> {
        Self::new(raw).ok_or_else(|| format!("{raw} is not a process of ours"))
    }
}

impl From<Pid> for i32 {
    fn from(pid: Pid) -> Self {
        pid.get()
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A process: equal means the same process (within one boot of the machine).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcId {
    /// Its number, which the kernel gives away again after its end.
    pub pid: Pid,
    /// Its start in clock ticks since boot (field 22 of `/proc/PID/stat`); microseconds since the epoch on macOS.
    pub start: u64,
}

impl fmt::Display for ProcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start)
    }
}

/// One incarnation of a unit, counted from 1; it never goes back, not even across supervisors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life(pub u32);

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The random mark that each process of a life carries in its environment (`DEVSTACK_LIFE`) and as a named memfd:
/// 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Mark(String);

impl TryFrom<String> for Mark {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).ok_or("not 32 hexadecimal digits")
    }
}

impl Mark {
    /// The mark of 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// A mark read back; only the full form counts, so that half a mark proves nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let whole = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        whole.then(|| Self(text.to_owned()))
    }

    /// The 16 bytes that the digits stand for.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        u128::from_str_radix(&self.0, 16).unwrap_or_default().to_be_bytes()
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_cannot_be_everyone_or_init() {
        for raw in [i32::MIN, -1, 0, 1] {
            assert_eq!(Pid::new(raw), None);
        }
        assert_eq!(Pid::new(2).map(Pid::get), Some(2));
        assert!(serde_json::from_str::<Pid>("-1").is_err());
    }

    #[test]
    fn half_a_mark_is_none() {
        let mark = Mark::from_random([0xab; 16]);
        assert_eq!(Mark::parse(mark.as_str()), Some(mark.clone()));
        assert_eq!(Mark::from_random(mark.bytes()), mark);
        assert_eq!(Mark::parse(&mark.as_str()[1..]), None);
        assert!(serde_json::from_str::<Mark>("\"ab\"").is_err());
        assert_eq!(Mark::parse(&"g".repeat(32)), None);
    }
}
