//! The machine's few texts: probes in words, and durations as milliseconds.

use std::time::Duration;

use super::standing::ProbeState;
use super::unit::Unit;
use crate::domain::ContainerStep;
use crate::plan::{CommandPlan, ContainerPlan, HttpProbe, Probe, UnitPlan};

/// A duration in the unit of the reports.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Each probe that has not held, with its last answer; a task has one: its exit.
pub(super) fn answers(plan: &UnitPlan, probes: &[ProbeState]) -> Vec<(String, String)> {
    if probes.is_empty() {
        return vec![("exit 0".to_owned(), "it still runs".to_owned())];
    }
    let mut told = Vec::new();
    for (probe, state) in plan.gate.iter().zip(probes) {
        match state {
            ProbeState::Held => {}
            ProbeState::Silent => told.push((question(probe), "no answer".to_owned())),
            ProbeState::Bad { asked, got } => told.push((asked.clone(), got.clone())),
        }
    }
    told
}

/// What is done for a container before it runs.
pub(super) fn fetching(unit: &Unit) -> Option<String> {
    let image = &unit.plan.container.as_ref()?.image;
    match &unit.container.as_ref()?.step {
        ContainerStep::Pulling(how_far) => Some(format!("pulling {image} {how_far}").trim_end().to_owned()),
        ContainerStep::Building(last) if last.is_empty() => Some(format!("building {image}")),
        ContainerStep::Building(last) => Some(format!("building {image}: {last}")),
        ContainerStep::Asking => Some("asks its container engine".to_owned()),
        ContainerStep::Starting => Some("starts its container".to_owned()),
        ContainerStep::Running | ContainerStep::Stopping | ContainerStep::Ended => None,
    }
}

/// Where each port of a container leads, as far as it was seen who listens inside.
pub(super) fn publishing(container: &ContainerPlan, inside: &[u16]) -> Vec<(String, String)> {
    let told = container.publish.iter().map(|port| {
        let seen =
            if inside.contains(&port.inside) { "listened on" } else { "nobody was seen to listen on it" };
        (format!("port {}", port.host), format!("leads to port {} inside: {seen}", port.inside))
    });
    let other: Vec<String> = inside
        .iter()
        .filter(|port| !container.publish.iter().any(|one| one.inside == **port))
        .map(u16::to_string)
        .collect();
    let other = (!other.is_empty())
        .then(|| ("inside".to_owned(), format!("it also listens on port {}", other.join(", "))));
    told.chain(other).collect()
}

/// The question of a probe, for probes that were never answered.
pub(super) fn question(probe: &Probe) -> String {
    match probe {
        Probe::Http(HttpProbe { host, port, path, method, .. }) => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            format!("{method} http://{host}:{port}{path}")
        }
        Probe::Tcp { host, port } => format!("connect {host}:{port}"),
        Probe::Exec(CommandPlan::Shell(text)) => format!("exec {text}"),
        Probe::Exec(CommandPlan::Exec(argv)) => format!("exec {}", argv.join(" ")),
        Probe::Log(pattern) => format!("a log line that matches /{pattern}/"),
        Probe::Notify => "READY=1".to_owned(),
        Probe::Port(port) => format!("listens on port {port}"),
        Probe::Own => "the health check of its image".to_owned(),
    }
}
