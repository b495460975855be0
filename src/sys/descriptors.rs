//! File descriptors: how many there may be, and a reserve for what must always work.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// So many are kept back where there are enough: a process is looked at, and signalled, through descriptors.
const RESERVE: u64 = 64;

/// How many this process may have.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Makes room for so many, as far as the hard limit goes. Gives the limit that children should have: what it was before.
#[must_use]
pub fn make_room_for(wanted: u64) -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    let before = now.current.filter(|current| *current < wanted)?;
    // Linux has a ceiling that even the hard limit obeys; `wanted` is far below it.
    let raised = now.maximum.map_or(wanted, |most| most.min(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: now.maximum }).ok()?;
    Some(before)
}

/// Whether the descriptor that was opened last belongs to the reserve: the kernel always gives the lowest free number.
#[must_use]
pub fn is_of_reserve(newest: impl AsFd) -> bool {
    let limit = limit();
    let number = u64::try_from(newest.as_fd().as_raw_fd()).unwrap_or(0);
    number >= limit - RESERVE.min(limit / 4)
}

/// Descriptors that are held for nothing, until they are needed: where no more can be had, what must be done all the same
/// is done with these.
#[derive(Debug, Default)]
pub struct Spare(Vec<OwnedFd>);

impl Spare {
    /// So many, or as many as there are.
    #[must_use]
    pub fn hold(count: usize) -> Self {
        let held = (0..count).map_while(|_| File::open("/dev/null").ok());
        Self(held.map(OwnedFd::from).collect())
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether so many more can be opened; the kernel's reason where they cannot.
pub fn can_open(count: usize) -> io::Result<()> {
    let opened: Result<Vec<OwnedFd>, _> =
        (0..count).map(|_| rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3)).collect();
    // A closed standard error is no lack of descriptors.
    match opened {
        Err(rustix::io::Errno::BADF) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
