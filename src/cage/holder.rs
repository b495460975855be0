//! Who holds a port: the process behind a listening socket, named so that a person knows what to do.

use std::collections::{BTreeMap, BTreeSet};

use crate::cage::safety::is_shared_daemon;
use crate::cage::{ENV_DIR, ENV_STACK};
use crate::domain::{PortHolder, PortStatus, ProcId};
use crate::sys::ports::{self, Listener};
use crate::sys::proc;
use crate::sys::users;

/// Who answers on a port that a unit is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing listens.
    Free,
    /// A member listens.
    Ours(ProcId),
    /// A program outside the unit's own tree listens.
    Foreign(PortHolder),
}

/// Whether it only stands for others, as the proxy of a container's port does.
#[must_use]
pub fn is_engines(holder: &PortHolder) -> bool {
    let words: Vec<String> = holder.command.split(' ').map(str::to_owned).collect();
    is_shared_daemon("", &words)
}

/// Who listens on this port; none where nothing does.
#[must_use]
pub fn holder(port: u16) -> Option<PortHolder> {
    holders(&[port]).pop().and_then(|status| status.owner)
}

/// Each of these ports with its holder; one look for all.
#[must_use]
pub fn holders(ports: &[u16]) -> Vec<PortStatus> {
    let listeners: Vec<Listener> =
        ports::listeners().into_iter().filter(|one| ports.contains(&one.port)).collect();
    let owners = if listeners.is_empty() { BTreeMap::new() } else { owners(&listeners, &[]) };
    let status = |port: &u16| {
        let here: Vec<&Listener> = listeners.iter().filter(|one| one.port == *port).collect();
        let known = here.iter().find_map(|one| owners.get(&one.inode));
        let owner = here.first().map(|first| describe(known.copied(), first.uid));
        PortStatus { port: *port, free: here.is_empty(), owner, container: None }
    };
    ports.iter().map(status).collect()
}

/// Whose answer a probe of this port gets: a member's or a stranger's.
///
/// `members` may be a little old: a listener that descends from one of them, or from the keeper among them, is a
/// member born since.
#[must_use]
pub fn claim(port: u16, members: &[ProcId]) -> Claim {
    let listeners: Vec<Listener> = ports::listeners().into_iter().filter(|one| one.port == port).collect();
    let Some(first) = listeners.first() else { return Claim::Free };
    let owners = owners(&listeners, &numbers(members));
    let ours = |pid: &i32| members.iter().find(|member| member.pid.get() == *pid).copied();
    let mut holding = owners.values();
    if let Some(member) = holding.find_map(|pid| ours(pid).or_else(|| heir(*pid, members))) {
        return Claim::Ours(member);
    }
    Claim::Foreign(describe(owners.values().next().copied(), first.uid))
}

/// The ports that these processes listen on, ascending.
#[must_use]
pub fn listening(members: &[ProcId]) -> Vec<u16> {
    let listeners = ports::listeners();
    let inodes = listeners.iter().map(|one| one.inode).collect();
    let held = ports::owners(&inodes, &numbers(members));
    let ports: BTreeSet<u16> =
        listeners.iter().filter(|one| held.contains_key(&one.inode)).map(|one| one.port).collect();
    ports.into_iter().collect()
}

/// The ports that each of these processes listens on, ascending.
#[must_use]
pub fn listening_each(members: &[ProcId]) -> BTreeMap<ProcId, Vec<u16>> {
    let listeners = ports::listeners();
    let mut each = BTreeMap::new();
    for member in members {
        let inodes = proc::sockets(member.pid.get());
        let held = listeners.iter().filter(|one| inodes.contains(&one.inode)).map(|one| one.port);
        let held: BTreeSet<u16> = held.collect();
        if !held.is_empty() {
            each.insert(*member, held.into_iter().collect());
        }
    }
    each
}

/// The identity of a process that descends from one of these.
fn heir(pid: i32, members: &[ProcId]) -> Option<ProcId> {
    let line = proc::ancestors(pid);
    let born_inside = line.iter().any(|ancestor| members.contains(ancestor));
    born_inside.then(|| proc::stat(pid)?.id()).flatten()
}

fn numbers(members: &[ProcId]) -> Vec<i32> {
    members.iter().map(|member| member.pid.get()).collect()
}

/// The holders of these sockets: looked for among `first`, then everywhere.
fn owners(listeners: &[Listener], first: &[i32]) -> BTreeMap<u64, i32> {
    let inodes: BTreeSet<u64> = listeners.iter().map(|one| one.inode).collect();
    let mut found = ports::owners(&inodes, first);
    if found.is_empty() {
        found = ports::owners(&inodes, &proc::pids());
    }
    found
}

fn describe(pid: Option<i32>, uid: u32) -> PortHolder {
    let stat = pid.and_then(proc::stat);
    let Some((stat, process)) = stat.and_then(|stat| stat.id().map(|id| (stat, id))) else {
        let (command, user) = (String::new(), users::name(uid));
        return PortHolder { process: None, command, user, dir: None, age_ms: None, stack: None };
    };
    let environ = proc::environ(stat.pid).unwrap_or_default();
    let variable =
        |name| proc::variable(&environ, name).map(|value| proc::visible(&String::from_utf8_lossy(value)));
    PortHolder {
        process: Some(process),
        command: proc::command(&stat),
        user: users::name(proc::uid(stat.pid).unwrap_or(uid)),
        dir: proc::cwd(stat.pid).map(|dir| proc::visible(&dir.to_string_lossy())),
        age_ms: u64::try_from(proc::age(stat.start).as_millis()).ok(),
        stack: variable(ENV_STACK).map(|name| (name, variable(ENV_DIR).unwrap_or_default())),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_free_ours_or_a_strangers() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
        let port = socket.local_addr().expect("it is bound").port();
        let me = proc::own_id().expect("the process table can be read");
        assert_eq!(claim(port, &[me]), Claim::Ours(me));
        assert!(listening(&[me]).contains(&port));
        let Claim::Foreign(stranger) = claim(port, &[]) else { panic!("nobody of ours listens there") };
        assert_eq!(stranger.process, Some(me));
        // A listener born after the members were counted descends from one of them.
        let parent = proc::ancestors(me.pid.get());
        if let Some(parent) = parent.first() {
            assert_eq!(claim(port, &[*parent]), Claim::Ours(me));
        }
        let seen = holder(port).expect("it is held");
        assert_eq!(seen.user, users::name(users::own_uid()));
        assert!(seen.command.contains("devstack") && seen.dir.is_some() && seen.age_ms.is_some());
    }

    #[test]
    fn a_port_that_was_given_up_is_free() {
        let me = proc::own_id().expect("the process table can be read");
        let is_free_again = || {
            let socket = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
            let port = socket.local_addr().expect("it is bound").port();
            drop(socket);
            claim(port, &[me]) == Claim::Free
                && holders(&[port]) == [PortStatus { port, free: true, owner: None, container: None }]
        };
        // Somebody else on this machine may be given the very same one.
        assert!((0..5).any(|_| is_free_again()));
    }
}
