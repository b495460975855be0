//! The machine's few texts: probes in words, and durations as milliseconds.

use std::time::Duration;

use super::unit::ProbeState;
use crate::plan::{CommandPlan, HttpProbe, Probe, UnitPlan};

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
