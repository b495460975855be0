//! `limits` as YAML, within `devstack config`.

use crate::domain::Limits;

use super::render::{Fields, Yaml, duration, field, size};
use super::{StackLimits, UnitPlan};

/// Of a unit; a container's are held by its engine and by devstack.
pub(super) fn of_unit(unit: &UnitPlan) -> Fields {
    let Limits { runtime, idle, open_files, on_breach, sustained, .. } = &unit.limits;
    let mut fields = match &unit.container {
        Some(container) => {
            let cpus = container.cpus_milli.and_then(|milli| u32::try_from(milli).ok());
            resources(container.memory, cpus, container.pids)
        }
        None => resources(unit.limits.memory, unit.limits.cpus_milli, unit.limits.pids),
    };
    fields.extend(runtime.map(|span| field("runtime", duration(span))));
    fields.extend(idle.map(|span| field("idle", duration(span))));
    fields.extend(open_files.map(|files| field("open_files", Yaml::Number(files))));
    fields.extend(on_breach.word().map(|word| field("on_breach", Yaml::Text(word.to_owned()))));
    fields.extend((!sustained.is_zero()).then(|| field("for", duration(*sustained))));
    fields
}

/// Of the stack.
pub(super) fn of_stack(limits: &StackLimits) -> Fields {
    let mut fields = resources(limits.memory, limits.cpus_milli, limits.pids);
    fields.extend(limits.jobs.map(|jobs| field("jobs", Yaml::Number(jobs.into()))));
    fields.extend(limits.job_timeout.map(|span| field("job_timeout", duration(span))));
    fields
}

fn resources(memory: Option<u64>, cpus_milli: Option<u32>, pids: Option<u32>) -> Fields {
    let mut fields = Fields::new();
    fields.extend(memory.map(|bytes| field("memory", Yaml::Text(size(bytes)))));
    fields.extend(cpus_milli.map(|milli| {
        let text = format!("{}.{:03}", milli / 1000, milli % 1000);
        field("cpus", Yaml::Text(text.trim_end_matches('0').trim_end_matches('.').to_owned()))
    }));
    fields.extend(pids.map(|pids| field("pids", Yaml::Number(pids.into()))));
    fields
}
