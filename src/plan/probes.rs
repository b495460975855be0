//! `ready` and `health` become the gate and the health check.

use std::time::Duration;

use crate::manifest::{Body, Check, Code, Problem, Text};

use super::judge::Judge;
use super::values::{self, Fault};
use super::{BodyMatch, HealthPlan, HttpProbe, PortPlan, Probe, address};

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
const RETRIES: u32 = 3;

/// What a unit is asked.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) gate: Vec<Probe>,
    pub(super) gate_timeout: Duration,
    pub(super) health: Option<HealthPlan>,
}

/// What is asked of a unit, as written.
pub(super) struct Questions<'q> {
    pub(super) ready: Option<&'q Check>,
    pub(super) health: Option<&'q Check>,
    pub(super) ports: &'q [PortPlan],
    pub(super) of_container: bool,
    pub(super) of_task: bool,
}

/// The gate is `ready`, or else `health`; of a container it is what its image says, where nothing else is asked.
pub(super) fn read(judge: &mut Judge<'_>, asked: &Questions<'_>) -> Asked {
    let own = asked.of_container && !asked.of_task;
    let nothing = Check::default();
    let gate = asked.ready.map(|check| probes(judge, "ready", check, asked));
    let ready_timeout =
        judge.maybe(asked.ready.and_then(|check| check.timeout.as_ref()), values::positive_duration);
    let Some(check) = asked.health.or(own.then_some(&nothing)) else {
        let gate_timeout = ready_timeout.unwrap_or(TIMEOUT);
        return Asked { gate: gate.unwrap_or_default(), gate_timeout, health: None };
    };
    let mut questions = probes(judge, "health", check, asked);
    if own && questions.is_empty() {
        questions.push(Probe::Own);
    }
    let timeout = judge.maybe(check.timeout.as_ref(), values::positive_duration).unwrap_or(TIMEOUT);
    // A line in the log and READY=1 are told once: as a health check they can never fail again.
    let lasting = |probe: &&Probe| !matches!(probe, Probe::Log(_) | Probe::Notify);
    let mut plan = HealthPlan {
        probes: questions.iter().filter(lasting).cloned().collect(),
        interval: judge.maybe(check.interval.as_ref(), values::positive_duration).unwrap_or(INTERVAL),
        timeout,
        retries: judge.maybe(check.retries.as_ref(), values::count).unwrap_or(RETRIES),
        start_period: judge.maybe(check.start_period.as_ref(), values::duration).unwrap_or_default(),
        restart_on_failure: judge.maybe(check.on_failure.as_ref(), values::on_failure).unwrap_or(false),
    };
    if own && plan.probes.is_empty() {
        plan.probes.push(Probe::Own);
    }
    let gate_timeout = ready_timeout.unwrap_or(timeout);
    let health = (!plan.probes.is_empty()).then_some(plan);
    Asked { gate: gate.unwrap_or(questions), gate_timeout, health }
}

fn probes(judge: &mut Judge<'_>, key: &str, check: &Check, asked: &Questions<'_>) -> Vec<Probe> {
    let mut probes = Vec::new();
    probes.extend(check.image.map(|_| Probe::Own));
    let http = check.http.as_ref().and_then(|url| http(judge, check, url));
    probes.extend(http.map(Probe::Http));
    let tcp = judge.maybe(check.tcp.as_ref(), address::tcp);
    probes.extend(tcp.map(|(host, port)| Probe::Tcp { host, port }));
    let exec = check.exec.as_ref().and_then(|command| judge.command("exec", command));
    probes.extend(exec.map(Probe::Exec));
    probes.extend(check.log.as_ref().and_then(|pattern| judge.regex(pattern)).map(Probe::Log));
    probes.extend(check.notify.map(|_| Probe::Notify));
    let port = judge.maybe(check.port.as_ref(), |text| own_port(text, asked.ports));
    probes.extend(port.map(Probe::Port));
    complain(judge, key, check, asked);
    probes
}

/// A check that asks nothing, or says how to ask by HTTP without a URL.
fn complain(judge: &mut Judge<'_>, key: &str, check: &Check, asked: &Questions<'_>) {
    let misplaced = if asked.of_container {
        check
            .notify
            .map(|span| (span, "nobody outside hears what a container notifies", "ask by `log` or `http`"))
    } else {
        check.image.map(|span| {
            (span, "there is no image whose check could be asked", "ask by `http`, `tcp` or `exec`")
        })
    };
    if let Some((span, message, hint)) = misplaced {
        judge.problems.push(Problem::at(Code::Contradiction, span, message).hint(hint));
    }
    if check.broken {
        return;
    }
    let body = check.body.as_ref().map(|body| match body {
        Body::Contains(text) | Body::Regex(text) => text,
    });
    let only_http = [check.status.first(), body, check.method.as_ref()]
        .into_iter()
        .flatten()
        .chain(check.headers.first().map(|header| &header.name))
        .next();
    if let (Some(text), None) = (only_http, &check.http) {
        let problem =
            Problem::at(Code::Contradiction, text.span, "this belongs to `http`, which is not there");
        judge.problems.push(problem.hint("add `http: http://localhost:…`"));
    }
    let asks = check.http.is_some()
        || check.tcp.is_some()
        || check.exec.is_some()
        || check.log.is_some()
        || check.notify.is_some()
        || check.image.is_some()
        || check.port.is_some();
    // Of a container the check of its image is meant: only how often and what follows is said.
    let of_image = asked.of_container && key == "health";
    if !asks && !of_image {
        let problem = Problem::at(Code::Missing, check.at, format!("`{key}` asks nothing"));
        judge.problems.push(problem.hint("add one of http, tcp, exec, log, notify, port"));
    }
}

fn own_port(text: &str, ports: &[PortPlan]) -> Result<u16, Fault> {
    if let Some(port) = ports.iter().find(|port| port.name.as_deref() == Some(text)) {
        return Ok(port.number);
    }
    values::port(text).map_err(|fault| {
        let names: Vec<&str> = ports.iter().filter_map(|port| port.name.as_deref()).collect();
        if names.is_empty() {
            fault
        } else {
            fault.hint(format!("it can be a number or {}", names.join(", ")))
        }
    })
}

fn http(judge: &mut Judge<'_>, check: &Check, url: &Text) -> Option<HttpProbe> {
    let status: Vec<(u16, u16)> =
        check.status.iter().filter_map(|text| judge.value(text, address::status)).collect();
    let method = judge.maybe(check.method.as_ref(), address::method);
    let body = match &check.body {
        Some(Body::Contains(text)) => judge.text(text).map(BodyMatch::Contains),
        Some(Body::Regex(text)) => judge.regex(text).map(BodyMatch::Regex),
        None => None,
    };
    let headers = check
        .headers
        .iter()
        .filter_map(|header| {
            let value = judge.maybe(header.value.as_ref(), address::header)?;
            Some((header.name.value.to_string(), value))
        })
        .collect();
    let url = judge.value(url, address::url)?;
    Some(HttpProbe {
        host: url.host,
        port: url.port,
        path: url.path,
        method: method.unwrap_or_else(|| "GET".to_owned()),
        headers,
        status: if status.is_empty() { vec![(200, 399)] } else { status },
        body,
    })
}
