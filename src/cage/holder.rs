//! Who holds a port.

use crate::domain::{PortHolder, PortStatus, ProcId};

/// Who listens on this port; none where nothing does.
#[must_use]
pub fn holder(_port: u16) -> Option<PortHolder> {
    todo!()
}
/// Each of these ports with its holder; one look for all.
#[must_use]
pub fn holders(_ports: &[u16]) -> Vec<PortStatus> {
    todo!()
}
/// The ports that these processes listen on, ascending.
#[must_use]
pub fn listening(_members: &[ProcId]) -> Vec<u16> {
    todo!()
}
