//! Whose ports they are: asked by births and by probes, many times a second, so the table of listeners is kept a while.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::life::{Held, Key};
use crate::cage::{self, Depth, World};
use crate::domain::{Moment, PortHolder};
use crate::health::Ownership;
use crate::sys::ports::{Listener, listeners, owners};
use crate::sys::{clock, proc};

/// A socket that was seen as a unit's own does not change hands: so old may the table be that shows it still listens.
const KNOWN_FOR_MS: u64 = 5000;

/// Births and first answers come in bursts: so old may the table be for them.
const FRESH_FOR_MS: u64 = 5;

/// The listeners of this machine, as seen last.
#[derive(Default)]
pub(super) struct Ports {
    table: RefCell<(Moment, Vec<Listener>)>,
}

impl Ports {
    /// The first of these ports that somebody listens on.
    pub(super) fn taken(&self, ports: impl Iterator<Item = u16>) -> Option<(u16, PortHolder)> {
        let ports: BTreeSet<u16> = ports.collect();
        if ports.is_empty() {
            return None;
        }
        self.refresh(FRESH_FOR_MS);
        let taken =
            self.table.borrow().1.iter().map(|listener| listener.port).find(|port| ports.contains(port))?;
        // Gone again between the two looks: then it is free.
        cage::holder(taken).map(|holder| (taken, holder))
    }

    /// Whose tree listens on a port.
    pub(super) fn owner(&self, lives: &mut BTreeMap<Key, Held>, key: &Key, port: u16) -> Ownership {
        let Some(held) = lives.get_mut(key) else { return Ownership::Unknown };
        if self.sockets(port).iter().any(|socket| held.own_sockets.contains(socket)) {
            self.refresh(KNOWN_FOR_MS);
            if self.sockets(port).iter().any(|socket| held.own_sockets.contains(socket)) {
                return Ownership::Own;
            }
        }
        self.refresh(FRESH_FOR_MS);
        let sockets = self.sockets(port);
        if sockets.is_empty() {
            return Ownership::Nobody;
        }
        let Some(cage) = &held.cage else { return Ownership::Unknown };
        // Mostly it is the first process itself. It still runs after the look: so what was seen was its own.
        let own = owners(&sockets, &[cage.leader.pid.get()]);
        if !own.is_empty() && proc::is_alive(cage.leader) {
            held.own_sockets = own.into_keys().collect();
            return Ownership::Own;
        }
        let members: Vec<i32> =
            cage.census(&mut World::new(), Depth::Tree).iter().map(|member| member.id.pid.get()).collect();
        let own = owners(&sockets, &members);
        if !own.is_empty() {
            held.own_sockets = own.into_keys().collect();
            return Ownership::Own;
        }
        // Descriptors of another user's process cannot be read: that it is not ours is not proven then.
        if held.plan.user.is_some() {
            return Ownership::Unknown;
        }
        cage::holder(port).map_or(Ownership::Nobody, Ownership::Foreign)
    }

    fn sockets(&self, port: u16) -> BTreeSet<u64> {
        let table = self.table.borrow();
        table.1.iter().filter(|listener| listener.port == port).map(|listener| listener.inode).collect()
    }

    fn refresh(&self, oldest_ms: u64) {
        let now = clock::moment();
        let mut table = self.table.borrow_mut();
        if now.0.saturating_sub(table.0.0) > oldest_ms {
            *table = (now, listeners());
        }
    }
}
