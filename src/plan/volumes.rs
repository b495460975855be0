//! Volumes: those that the stack declares, and what each service mounts.

use std::collections::HashMap;

use crate::manifest::{Code, ContainerKeys, LongVolume, Manifest, Problem, Text, VolumeEntry};

use super::contained::engine_name;
use super::judge::Judge;
use super::mount::{self, Ground};
use super::unit::Common;
use super::values::{self, Fault};
use super::{VolumePlan, VolumeSource};

/// What the stack says of volumes: by what services call them, the engine's name and whether it is somebody else's.
pub(super) type Declared = HashMap<String, (String, bool)>;

pub(super) fn declared(judge: &mut Judge<'_>, manifest: &Manifest, stack: &str) -> Declared {
    let mut declared = Declared::with_capacity(manifest.volumes.len());
    for volume in &manifest.volumes {
        let written = &*volume.name.value;
        if let Err(fault) = fitting(written) {
            judge.fault(fault, volume.name.span);
        }
        let own = judge.maybe(volume.own.as_ref(), fitting);
        let name = own.unwrap_or_else(|| {
            // Somebody else's is called as he calls it.
            if volume.external { written.to_owned() } else { engine_name(judge, stack, written) }
        });
        declared.insert(written.to_owned(), (name, volume.external));
    }
    declared
}

fn fitting(text: &str) -> Result<String, Fault> {
    if mount::fits(text) {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(Code::BadName, format!("`{text}` cannot name a volume"));
    Err(fault.hint("letters, digits, `_`, `.` and `-` are fine, and two of them at least"))
}

/// What a service mounts.
pub(super) fn read(judge: &mut Judge<'_>, keys: &ContainerKeys, common: &Common<'_>) -> Vec<VolumePlan> {
    let mut volumes: Vec<VolumePlan> = Vec::with_capacity(keys.volumes.len());
    for entry in &keys.volumes {
        let (span, volume) = match entry {
            VolumeEntry::Short(text) => (text.span, on_ground(judge, text, common, mount::short)),
            VolumeEntry::Long(volume) => (volume.at, long(judge, volume, common)),
        };
        let Some(volume) = volume else { continue };
        if volumes.iter().any(|before| before.inside == volume.inside) {
            let message = format!("two volumes are mounted at `{}`", volume.inside);
            judge.problems.push(Problem::at(Code::Duplicate, span, message));
        } else {
            volumes.push(volume);
        }
    }
    volumes
}

/// Reads a text that names a place on this machine or a volume of the engine.
fn on_ground<T>(
    judge: &mut Judge<'_>,
    text: &Text,
    common: &Common<'_>,
    read: impl FnOnce(&str, &Ground<'_>) -> Result<T, Fault>,
) -> Option<T> {
    let value = judge.text(text)?;
    let name = |own: &str| {
        let declared = common.volumes.get(own).cloned();
        declared.unwrap_or_else(|| (engine_name(judge, common.stack, own), false))
    };
    let home = judge.variables.get("HOME").map(String::as_str);
    match read(&value, &Ground { dir: &judge.context.dir, home, name: &name }) {
        Ok(found) => Some(found),
        Err(fault) => {
            judge.fault(fault, text.span);
            None
        }
    }
}

fn long(judge: &mut Judge<'_>, volume: &LongVolume, common: &Common<'_>) -> Option<VolumePlan> {
    let Some(target) = &volume.target else {
        if !volume.broken {
            let problem = Problem::at(Code::Missing, volume.at, "a volume needs a `target`");
            judge.problems.push(problem.hint("write where it is to be inside: `target: /path/inside`"));
        }
        return None;
    };
    let kind = match &volume.kind {
        Some(text) => Some(judge.value(text, values::volume_kind)?),
        None => None,
    };
    let source = match (&volume.source, kind) {
        (Some(text), Some(values::VolumeKind::Bind)) => on_ground(judge, text, common, mount::path)?,
        (Some(text), Some(values::VolumeKind::Volume)) => on_ground(judge, text, common, mount::named)?,
        (Some(text), None) => on_ground(judge, text, common, mount::source)?,
        (None, Some(values::VolumeKind::Bind)) => {
            let problem = Problem::at(Code::Missing, volume.at, "a `bind` needs a `source`");
            judge.problems.push(problem.hint("write the path on this machine: `source: ./path`"));
            return None;
        }
        (None, Some(values::VolumeKind::Volume) | None) => VolumeSource::Anonymous,
    };
    if source == VolumeSource::Anonymous && volume.read_only {
        let message = "a volume without a `source` is empty: read-only it is of no use";
        judge.problems.push(Problem::at(Code::Contradiction, volume.at, message));
        return None;
    }
    let options = if volume.read_only { "ro" } else { "" };
    judge.value(target, |inside| mount::made(source, inside, options))
}
