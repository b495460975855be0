//! Waiting in line: so many jobs at a time, the others in the order in which they came.

use std::io;
use std::time::Duration;

use crate::store::{Queue, Standing, Ticket};
use crate::sys::pidfd::{Pidfd, wait_any};

/// Where the kernel cannot tell of the ends of those before us (they are another PID namespace's), it is looked again.
const LOOK: Duration = Duration::from_millis(250);

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is this job's.
    Ours,
    /// All places are taken by these, and it was not to be waited for.
    Taken(Vec<Standing>),
}

/// Waits until fewer than `places` jobs are before this one. `told` is called once, with those that run, where it has to.
///
/// A holder or a waiter that is killed makes room by that: the kernel tells.
pub fn await_turn(
    queue: &Queue,
    ticket: &Ticket,
    places: u32,
    waits: bool,
    told: impl FnOnce(&[Standing]),
) -> io::Result<Turn> {
    let places = usize::try_from(places.max(1)).unwrap_or(usize::MAX);
    let mut told = Some(told);
    loop {
        let before = queue.before(ticket.life)?;
        if before.len() < places {
            return Ok(Turn::Ours);
        }
        let running = &before[..places];
        if !waits {
            return Ok(Turn::Taken(running.to_vec()));
        }
        if let Some(told) = told.take() {
            told(running);
        }
        let handles: Vec<Pidfd> = before.iter().filter_map(|one| Pidfd::open(one.run).ok()).collect();
        if handles.len() == before.len() {
            wait_any(&handles);
        } else {
            std::thread::sleep(LOOK);
        }
    }
}
