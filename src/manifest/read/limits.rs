//! `limits`: of a service, of all of them, and of the stack.

use crate::manifest::node::{Entry, Kind};
use crate::manifest::{LimitKeys, StackLimitKeys};

use super::reader::{Line, Reader, Use};

const LIMITS: &[Line<LimitKeys>] = &[
    ("memory", Use::Read(|r, k, e| k.memory = r.text(e))),
    ("cpus", Use::Read(|r, k, e| k.cpus = r.text(e))),
    ("pids", Use::Read(|r, k, e| k.pids = r.text(e))),
    ("runtime", Use::Read(|r, k, e| k.runtime = r.text(e))),
    ("idle", Use::Read(|r, k, e| k.idle = r.text(e))),
    ("open_files", Use::Read(|r, k, e| k.open_files = r.text(e))),
    ("on_breach", Use::Read(|r, k, e| k.on_breach = r.text(e))),
    ("for", Use::Read(|r, k, e| k.sustained = r.text(e))),
];

const STACK: &[Line<StackLimitKeys>] = &[
    ("memory", Use::Read(|r, k, e| k.memory = r.text(e))),
    ("cpus", Use::Read(|r, k, e| k.cpus = r.text(e))),
    ("pids", Use::Read(|r, k, e| k.pids = r.text(e))),
    ("jobs", Use::Read(|r, k, e| k.jobs = r.text(e))),
    ("job_timeout", Use::Read(|r, k, e| k.job_timeout = r.text(e))),
];

/// What is measured in processes of this machine, which those of a container need not be.
const PROCESS_ONLY: [&str; 2] = ["idle", "open_files"];

pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry) -> LimitKeys {
    of_map(reader, entry, LIMITS)
}

pub(super) fn stack(reader: &mut Reader<'_>, entry: &Entry) -> StackLimitKeys {
    of_map(reader, entry, STACK)
}

/// Refuses what a container cannot have yet.
pub(super) fn in_container(reader: &mut Reader<'_>, entry: &Entry) {
    let Kind::Map(entries) = &entry.value.kind else { return };
    for entry in entries.iter().filter(|entry| PROCESS_ONLY.contains(&&*entry.key.value)) {
        reader.not_yet(&entry.key);
    }
}

fn of_map<T: Default>(reader: &mut Reader<'_>, entry: &Entry, table: &[Line<T>]) -> T {
    let mut keys = T::default();
    if let Some(entries) = reader.map("limits", &entry.value) {
        reader.entries(entries, "`limits`", &[table], &mut keys);
    }
    keys
}
