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

/// The gate is `ready`, or else `health`.
pub(super) fn read(
    judge: &mut Judge<'_>,
    ready: Option<&Check>,
    health: Option<&Check>,
    ports: &[PortPlan],
) -> Asked {
    let gate = ready.map(|check| probes(judge, "ready", check, ports));
    let ready_timeout =
        judge.maybe(ready.and_then(|check| check.timeout.as_ref()), values::positive_duration);
    let Some(check) = health else {
        let gate_timeout = ready_timeout.unwrap_or(TIMEOUT);
        return Asked { gate: gate.unwrap_or_default(), gate_timeout, health: None };
    };
    let asked = probes(judge, "health", check, ports);
    let timeout = judge.maybe(check.timeout.as_ref(), values::positive_duration).unwrap_or(TIMEOUT);
    // A line in the log and READY=1 are told once: as a health check they can never fail again.
    let lasting = |probe: &&Probe| !matches!(probe, Probe::Log(_) | Probe::Notify);
    let plan = HealthPlan {
        probes: asked.iter().filter(lasting).cloned().collect(),
        interval: judge.maybe(check.interval.as_ref(), values::positive_duration).unwrap_or(INTERVAL),
        timeout,
        retries: judge.maybe(check.retries.as_ref(), values::count).unwrap_or(RETRIES),
        start_period: judge.maybe(check.start_period.as_ref(), values::duration).unwrap_or_default(),
        restart_on_failure: judge.maybe(check.on_failure.as_ref(), values::on_failure).unwrap_or(false),
    };
    let gate_timeout = ready_timeout.unwrap_or(timeout);
    let health = (!plan.probes.is_empty()).then_some(plan);
    Asked { gate: gate.unwrap_or(asked), gate_timeout, health }
}

fn probes(judge: &mut Judge<'_>, key: &str, check: &Check, ports: &[PortPlan]) -> Vec<Probe> {
    let mut probes = Vec::new();
    let http = check.http.as_ref().and_then(|url| http(judge, check, url));
    probes.extend(http.map(Probe::Http));
    let tcp = judge.maybe(check.tcp.as_ref(), address::tcp);
    probes.extend(tcp.map(|(host, port)| Probe::Tcp { host, port }));
    let exec = check.exec.as_ref().and_then(|command| judge.command("exec", command));
    probes.extend(exec.map(Probe::Exec));
    probes.extend(check.log.as_ref().and_then(|pattern| judge.regex(pattern)).map(Probe::Log));
    probes.extend(check.notify.then_some(Probe::Notify));
    let port = judge.maybe(check.port.as_ref(), |text| own_port(text, ports));
    probes.extend(port.map(Probe::Port));
    complain(judge, key, check);
    probes
}

/// A check that asks nothing, or says how to ask by HTTP without a URL.
fn complain(judge: &mut Judge<'_>, key: &str, check: &Check) {
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
        || check.notify
        || check.port.is_some();
    if !asks {
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
