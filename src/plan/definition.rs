//! What makes a process another one: a change of it is the reason to start it anew.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{CommandPlan, ContainerPlan, Probe, PullPolicy, UnitPlan};
use crate::domain::{UnitKind, UnitName};

/// All that a running process cannot be given later.
///
/// Not in it, because it can be changed around a running process: dependencies, gate, health, restart, how it is
/// stopped, limits (but of open files), profiles and labels. In it although the process does not see it: the logs, which its keeper
/// holds open, and ports, because a program that should listen elsewhere must be told so.
#[derive(Serialize)]
struct Definition<'u> {
    command: &'u CommandPlan,
    working_dir: std::borrow::Cow<'u, str>,
    environment: &'u BTreeMap<String, String>,
    user: &'u Option<String>,
    ports: Vec<u16>,
    logs: super::LogPlan,
    /// Whether it is given a socket to tell that it is ready.
    notify: bool,
    /// Its keeper was told at its birth.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ends_with_supervisor: bool,
    /// It was born with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_files: Option<u64>,
    /// All but when its image is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<ContainerPlan>,
}

/// A stable hash: 16 hexadecimal digits.
pub(super) fn definition(unit: &UnitPlan) -> String {
    let definition = Definition {
        command: &unit.command,
        // A path that is no UTF-8 cannot be written as JSON.
        working_dir: unit.working_dir.to_string_lossy(),
        environment: &unit.environment,
        user: &unit.user,
        ports: unit.ports.iter().map(|port| port.number).collect(),
        logs: unit.logs,
        notify: unit.gate.contains(&Probe::Notify),
        ends_with_supervisor: unit.ends_with_supervisor,
        open_files: unit.limits.open_files,
        container: unit
            .container
            .as_deref()
            .map(|plan| ContainerPlan { pull: PullPolicy::default(), ..plan.clone() }),
    };
    let mut bytes = Vec::with_capacity(512);
    // Only keys that are no text could fail here, and there are none.
    let written = serde_json::to_writer(&mut bytes, &definition);
    debug_assert!(written.is_ok());
    format!("{:016x}", fnv1a(&bytes))
}

/// A task is another one too when what it works on is: a schema that was made in one database is not in the next. So its
/// definition is that of all that it needs as well, near and far.
pub(super) fn of_tasks(units: &mut [UnitPlan]) {
    let own: BTreeMap<UnitName, (String, Vec<UnitName>)> = units
        .iter()
        .map(|unit| {
            let needs = unit.depends_on.iter().map(|needed| needed.unit.clone()).collect();
            (unit.name.clone(), (definition(unit), needs))
        })
        .collect();
    for task in units.iter_mut().filter(|unit| unit.kind == UnitKind::Task) {
        let (mut all, mut next) = (BTreeMap::new(), vec![&task.name]);
        while let Some(name) = next.pop() {
            let Some((definition, needs)) = own.get(name) else { continue };
            if all.insert(name, definition.as_str()).is_none() {
                next.extend(needs);
            }
        }
        let bytes = all.values().flat_map(|definition| definition.bytes()).collect::<Vec<_>>();
        let found = if all.len() > 1 { format!("{:016x}", fnv1a(&bytes)) } else { definition(task) };
        task.definition = found;
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every version, which std's hasher does not promise.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(super::fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
