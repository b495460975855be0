//! `doctor`: which promise holds on this machine and why, what is in the way, and what is stale.
//!
//! [`facts`] looks, [`judge`] decides what it means, [`stale`] finds what earlier stacks left (and takes away what is
//! safe to take away). No signal is ever sent from here.

mod engine;
mod facts;
mod judge;
mod stale;
#[cfg(test)]
mod tests;

use super::args::DoctorArgs;
use super::exit::{CliError, Code};
use super::place::Place;
use crate::show::{Door, doctor, json};

/// `devstack doctor`
pub(super) fn run(place: &Place, door: &Door, args: &DoctorArgs) -> Result<Code, CliError> {
    let checkup = judge::judge(&facts::gather(place, door, args.fix));
    let text = if args.json { json::checkup(&checkup)? } else { doctor::screen(&door.out, &checkup) };
    door.answer(&text)?;
    Ok(if checkup.attention() == 0 { Code::Done } else { Code::Degraded })
}
