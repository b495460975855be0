//! The independent look after a stop: is anything left, and are the ports free?

use crate::cage::StackFacts;
use crate::domain::{PortStatus, Survivor, UnitName};

/// Looks twice at the whole process table for what is left of these units (none: of the whole stack), and at ports.
#[must_use]
pub fn verify(
    _facts: &StackFacts,
    _units: Option<&[UnitName]>,
    _ports: &[u16],
) -> (Vec<Survivor>, Vec<PortStatus>) {
    todo!()
}
