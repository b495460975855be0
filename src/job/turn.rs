//! Waiting in line: so many jobs at a time, the others in the order in which they came.

use std::io;
use std::time::Duration;

use crate::domain::Life;
use crate::store::{Queue, Standing, Ticket};
use crate::sys::pidfd::{Pidfd, wait_any};

/// Nobody tells that the stack is being ended; nor the kernel of the ends of those before us in another PID namespace.
const LOOK: Duration = Duration::from_millis(250);

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is this job's.
    Ours,
    /// All places are taken by these, and it was not to be waited for.
    Taken(Vec<Standing>),
    /// The whole stack is being ended: it never comes.
    Closed,
}

/// Waits until fewer than `places` jobs are before this one. `told` is called once, with those that run, where it has to.
///
/// A holder or a waiter that is killed makes room by that: the kernel tells.
pub fn await_turn(
    queue: &Queue,
    ticket: &Ticket,
    places: Option<u32>,
    waits: bool,
    told: impl FnOnce(&[Standing]),
) -> io::Result<Turn> {
    let places = places.map_or(usize::MAX, |places| usize::try_from(places.max(1)).unwrap_or(usize::MAX));
    let mut told = Some(told);
    loop {
        if !queue.is_open_to(ticket.life) {
            return Ok(Turn::Closed);
        }
        let before = queue.before(ticket.life)?;
        let stands = |life: Life| before.iter().any(|one| one.life == life);
        // Called from a job it stands in that one's place, for as long as there is that one.
        let before: Vec<&Standing> = before.iter().filter(|one| !one.within.is_some_and(stands)).collect();
        if before.len() < places || ticket.within.is_some_and(stands) {
            return Ok(Turn::Ours);
        }
        let running = &before[..places];
        if !waits {
            return Ok(Turn::Taken(running.iter().copied().cloned().collect()));
        }
        if let Some(told) = told.take() {
            told(&running.iter().copied().cloned().collect::<Vec<_>>());
        }
        let handles: Vec<Pidfd> = before.iter().filter_map(|one| Pidfd::open(one.run).ok()).collect();
        wait_any(&handles, LOOK);
    }
}
