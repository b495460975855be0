//! JSON for scripts: one writer, one schema; the documents say here which fields they promise.

use serde::Serialize;

use super::container_json::{ContainerDoc, ContainersDoc, EndedContainerDoc, VolumesDoc};
use super::down::Volumes;
use super::error::{self, Problem};
use super::event::rfc3339;
use super::json_usage::{ExcessDoc, SignDoc, SlowDoc};
use super::ls::Listed;
use super::up::outcome_word;
use crate::domain::{
    Checkup, DownReport, Ended, Excess, Exit, Finding, Health, PortStatus, ProcId, ProcessView, Promise,
    Remarks, Signal, StackView, State, Survivor, UnitKind, UnitName, UnitOutcome, UnitView, UpReport,
};

/// The schema that every document names.
pub const SCHEMA: &str = "devstack/v1";

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// One document, indented, with the schema as its first field. The body must be a struct or a map.
pub fn document<T: Serialize>(body: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Document { schema: SCHEMA, body }).map(|text| text + "\n")
}

/// One line of a stream.
pub fn line<T: Serialize>(body: &T) -> serde_json::Result<String> {
    serde_json::to_string(body).map(|text| text + "\n")
}

/// `ps --json` and `status --json`.
pub fn stack(view: &StackView) -> serde_json::Result<String> {
    document(&StackDoc {
        stack: view.stack.as_str(),
        dir: &view.dir,
        supervisor: view.supervisor,
        services: view.services.iter().map(ServiceDoc::new).collect(),
        strays: view.strays.iter().map(ProcessDoc::new).collect(),
        warnings: &view.warnings,
        alerts: view.alerts.iter().map(|sign| SignDoc::new(sign, sign.to_string(), false)).collect(),
    })
}

/// `status SVC --json`.
pub fn service(unit: &UnitView) -> serde_json::Result<String> {
    document(&ServiceDoc::new(unit))
}

/// `up --json`, `start --json`, `restart --json`. `dir` as for [`error::of_failure`].
pub fn up(report: &UpReport, view: &StackView, remarks: &Remarks) -> serde_json::Result<String> {
    let find = |name: &UnitName| view.services.iter().find(|unit| unit.name == *name);
    document(&UpDoc {
        ready: report.ready,
        timed_out: report.timed_out,
        cancelled: report.cancelled,
        seconds: rounded(report.seconds),
        stack: view.stack.as_str(),
        dir: &view.dir,
        services: report
            .units
            .iter()
            .map(|(name, outcome)| OutcomeDoc {
                outcome: outcome_word(outcome),
                problem: match outcome {
                    UnitOutcome::Failed(failure) => {
                        Some(ProblemDoc::new(&error::of_failure(name, failure, &view.dir)))
                    }
                    _ => None,
                },
                needs: match outcome {
                    UnitOutcome::Blocked { needs } => Some(needs.as_str()),
                    _ => None,
                },
                name: name.as_str(),
                service: find(name).map(ServiceDoc::new),
            })
            .collect(),
        slowest: report
            .slowest
            .iter()
            .map(|(name, millis)| StepDoc { name: name.as_str(), ready_ms: *millis })
            .collect(),
        rolled_back: report.rolled_back.as_ref().map(DownDoc::new),
        over_budget: remarks.over.iter().map(ExcessDoc::new).collect(),
        slow: remarks.slow.iter().map(SlowDoc::new).collect(),
    })
}

/// `down --json`, `stop --json`.
pub fn down(report: &DownReport, volumes: &Volumes, over: &[Excess]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Whole<'a> {
        #[serde(flatten)]
        report: DownDoc<'a>,
        volumes: VolumesDoc<'a>,
        over_budget: Vec<ExcessDoc>,
    }
    document(&Whole {
        report: DownDoc::new(report),
        volumes: VolumesDoc::new(volumes),
        over_budget: over.iter().map(ExcessDoc::new).collect(),
    })
}

/// `ls --json`.
pub fn stacks(stacks: &[Listed]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Stacks<'a> {
        stacks: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        state: &'static str,
        #[serde(flatten)]
        stack: &'a Listed,
    }
    document(&Stacks { stacks: stacks.iter().map(|stack| Row { state: stack.word(), stack }).collect() })
}

/// `doctor --json`.
pub fn checkup(checkup: &Checkup) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Doc<'a> {
        well: bool,
        promise: Promise,
        holds: [&'static str; 2],
        why: &'a str,
        findings: &'a [Finding],
    }
    document(&Doc {
        well: checkup.attention() == 0,
        promise: checkup.promise,
        holds: checkup.promise.words(),
        why: &checkup.why,
        findings: &checkup.findings,
    })
}

/// Why there is no other answer, for commands that answer in JSON: one line, whole also where lines of a stream are read.
pub fn errors(problems: &[Problem]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Failed {
        errors: Vec<ProblemDoc>,
    }
    let body = &Failed { errors: problems.iter().map(ProblemDoc::new).collect() };
    line(&Document { schema: SCHEMA, body })
}

#[derive(Serialize)]
struct StackDoc<'a> {
    stack: &'a str,
    dir: &'a str,
    supervisor: Option<i32>,
    services: Vec<ServiceDoc<'a>>,
    strays: Vec<ProcessDoc<'a>>,
    warnings: &'a [String],
    alerts: Vec<SignDoc<'a>>,
}

#[derive(Serialize)]
struct ServiceDoc<'a> {
    name: &'a str,
    kind: UnitKind,
    state: State,
    health: Health,
    note: Option<&'a str>,
    pid: Option<i32>,
    pgid: Option<i32>,
    sid: Option<i32>,
    restarts: u32,
    life: u32,
    started_at: Option<String>,
    ready_ms: Option<u64>,
    exit: Option<Exit>,
    ports: &'a [u16],
    labels: &'a std::collections::BTreeMap<String, String>,
    container: Option<ContainerDoc<'a>>,
    processes: Vec<ProcessDoc<'a>>,
}

impl<'a> ServiceDoc<'a> {
    fn new(unit: &'a UnitView) -> Self {
        Self {
            name: unit.name.as_str(),
            kind: unit.kind,
            state: unit.state,
            health: unit.health,
            note: unit.note.as_deref(),
            pid: unit.pid,
            pgid: unit.pgid,
            sid: unit.sid,
            restarts: unit.restarts,
            life: unit.life.0,
            started_at: unit.started_at.map(rfc3339),
            ready_ms: unit.ready_ms,
            exit: unit.exit,
            ports: &unit.ports,
            labels: &unit.labels,
            container: unit.container.as_ref().map(ContainerDoc::new),
            processes: unit.processes.iter().map(ProcessDoc::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct ProcessDoc<'a> {
    pid: i32,
    ppid: i32,
    pgid: i32,
    sid: i32,
    start: u64,
    command: &'a str,
    cpu_percent: f64,
    memory_bytes: u64,
    age_ms: u64,
    found_by: crate::domain::FoundBy,
}

impl<'a> ProcessDoc<'a> {
    fn new(process: &'a ProcessView) -> Self {
        Self {
            pid: process.pid,
            ppid: process.ppid,
            pgid: process.pgid,
            sid: process.sid,
            start: process.start,
            command: &process.command,
            cpu_percent: (process.cpu_percent * 10.0).round() / 10.0,
            memory_bytes: process.memory_bytes,
            age_ms: process.age_ms,
            found_by: process.found_by,
        }
    }
}

#[derive(Serialize)]
struct UpDoc<'a> {
    ready: bool,
    timed_out: bool,
    cancelled: bool,
    seconds: f64,
    stack: &'a str,
    dir: &'a str,
    services: Vec<OutcomeDoc<'a>>,
    slowest: Vec<StepDoc<'a>>,
    rolled_back: Option<DownDoc<'a>>,
    over_budget: Vec<ExcessDoc>,
    slow: Vec<SlowDoc<'a>>,
}

#[derive(Serialize)]
struct OutcomeDoc<'a> {
    name: &'a str,
    outcome: &'static str,
    problem: Option<ProblemDoc>,
    needs: Option<&'a str>,
    service: Option<ServiceDoc<'a>>,
}

#[derive(Serialize)]
struct StepDoc<'a> {
    name: &'a str,
    ready_ms: u64,
}

#[derive(Serialize)]
struct ProblemDoc {
    code: &'static str,
    message: String,
    evidence: Vec<EvidenceDoc>,
    #[serde(rename = "try")]
    remedy: Vec<String>,
}

#[derive(Serialize)]
struct EvidenceDoc {
    label: String,
    text: String,
}

impl ProblemDoc {
    fn new(problem: &Problem) -> Self {
        let evidence = problem
            .evidence
            .iter()
            .map(|(label, text)| EvidenceDoc { label: label.clone(), text: text.clone() });
        Self {
            code: problem.code,
            message: problem.what.clone(),
            evidence: evidence.collect(),
            remedy: problem.remedy.clone(),
        }
    }
}

#[derive(Serialize)]
struct DownDoc<'a> {
    clean: bool,
    ended: u32,
    forced: u32,
    seconds: f64,
    survivors: Vec<SurvivorDoc<'a>>,
    ports: Vec<PortDoc<'a>>,
    swept: Vec<EndedDoc<'a>>,
    left_alone: Vec<EndedDoc<'a>>,
    spared: Vec<EndedDoc<'a>>,
    containers: Option<ContainersDoc<'a>>,
    services: Vec<StoppedDoc<'a>>,
}

impl<'a> DownDoc<'a> {
    fn new(report: &'a DownReport) -> Self {
        Self {
            clean: report.clean,
            ended: report.ended,
            forced: report.forced,
            seconds: rounded(report.seconds),
            survivors: report.survivors.iter().map(SurvivorDoc::new).collect(),
            ports: report.ports.iter().map(PortDoc::new).collect(),
            swept: report.swept.iter().map(EndedDoc::new).collect(),
            left_alone: report.left_alone.iter().map(EndedDoc::new).collect(),
            spared: report.spared.iter().map(EndedDoc::new).collect(),
            containers: report.containers.as_deref().map(ContainersDoc::new),
            services: report
                .units
                .iter()
                .map(|unit| StoppedDoc {
                    name: unit.name.as_str(),
                    signal: unit.signal,
                    exit: unit.exit,
                    millis: unit.millis,
                    processes: unit.processes,
                    deaf: unit
                        .deaf
                        .iter()
                        .map(|(process, command)| DeafDoc { pid: process.pid.get(), command })
                        .collect(),
                    container: unit.container.as_ref().map(EndedContainerDoc::new),
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SurvivorDoc<'a> {
    pid: i32,
    start: u64,
    command: &'a str,
    user: &'a str,
    evidence: &'a str,
    reason: &'a str,
    service: Option<&'a str>,
}

impl<'a> SurvivorDoc<'a> {
    pub(super) fn new(survivor: &'a Survivor) -> Self {
        let ProcId { pid, start } = survivor.process;
        Self {
            pid: pid.get(),
            start,
            command: &survivor.command,
            user: &survivor.user,
            evidence: &survivor.evidence,
            reason: &survivor.reason,
            service: survivor.unit.as_ref().map(UnitName::as_str),
        }
    }
}

#[derive(Serialize)]
struct PortDoc<'a> {
    port: u16,
    free: bool,
    owner: Option<OwnerDoc<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
}

#[derive(Serialize)]
struct OwnerDoc<'a> {
    pid: Option<i32>,
    command: &'a str,
    user: &'a str,
    dir: Option<&'a str>,
    age_ms: Option<u64>,
    stack: Option<OwnerStackDoc<'a>>,
}

#[derive(Serialize)]
struct OwnerStackDoc<'a> {
    name: &'a str,
    dir: &'a str,
}

impl<'a> PortDoc<'a> {
    fn new(status: &'a PortStatus) -> Self {
        let owner = status.owner.as_ref().map(|owner| OwnerDoc {
            pid: owner.process.map(|process| process.pid.get()),
            command: &owner.command,
            user: &owner.user,
            dir: owner.dir.as_deref(),
            age_ms: owner.age_ms,
            stack: owner.stack.as_ref().map(|(name, dir)| OwnerStackDoc { name, dir }),
        });
        let container = status.container.as_deref();
        Self { port: status.port, free: status.free, owner, container }
    }
}

#[derive(Serialize)]
struct EndedDoc<'a> {
    pid: i32,
    start: u64,
    command: &'a str,
    evidence: &'a str,
    forced: bool,
}

impl<'a> EndedDoc<'a> {
    fn new(ended: &'a Ended) -> Self {
        let ProcId { pid, start } = ended.process;
        Self {
            pid: pid.get(),
            start,
            command: &ended.command,
            evidence: &ended.evidence,
            forced: ended.forced,
        }
    }
}

#[derive(Serialize)]
struct StoppedDoc<'a> {
    name: &'a str,
    signal: Option<Signal>,
    exit: Option<Exit>,
    millis: u64,
    processes: u32,
    deaf: Vec<DeafDoc<'a>>,
    container: Option<EndedContainerDoc<'a>>,
}

#[derive(Serialize)]
struct DeafDoc<'a> {
    pid: i32,
    command: &'a str,
}

pub(super) fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
