//! Who listens on which TCP port of this network namespace.

use std::collections::{BTreeMap, BTreeSet};

/// One listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// The user who opened it.
    pub uid: u32,
    /// Its inode, by which its holders are found.
    pub inode: u64,
}

/// All listening TCP sockets, IPv4 and IPv6.
#[must_use]
pub fn listeners() -> Vec<Listener> {
    todo!()
}

/// The first of these processes that holds each of these sockets. What may not be read is passed over.
#[must_use]
pub fn owners(_inodes: &BTreeSet<u64>, _pids: &[i32]) -> BTreeMap<u64, i32> {
    todo!()
}
