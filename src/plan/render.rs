//! A plan as YAML that is itself a manifest: `devstack config`.

use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::domain::UnitKind;
use crate::manifest::emit;

use super::monitor;
use super::substitute::escape;
use super::unit::is_own_name;
use super::{
    BodyMatch, CommandPlan, Condition, Dependency, HealthPlan, HttpProbe, Plan, Probe, RestartPolicy,
    SweepScope, UnitPlan, render_container, render_limits, secrets,
};

/// The plan as YAML that is itself a manifest (`devstack config`): every default is written out, `${…}` is replaced,
/// and a `$` that would be read again is doubled. Values that look secret are masked unless `show_secrets`.
#[must_use]
pub fn render_yaml(plan: &Plan, show_secrets: bool) -> String {
    let plan = &secrets::masked(plan.clone(), show_secrets);
    let writer = Writer { show_secrets };
    let mut top = vec![field("name", writer.text(plan.stack.as_str()))];
    if !plan.environment.is_empty() {
        top.push(field("environment", writer.stack_environment(plan)));
    }
    let services = plan.units.iter().map(|unit| (unit.name.to_string(), writer.unit(unit))).collect();
    top.push(field("services", Yaml::Map(services)));
    let volumes = writer.named_volumes(plan);
    if !volumes.is_empty() {
        top.push(field("volumes", Yaml::Map(volumes)));
    }
    let limits = render_limits::of_stack(&plan.limits);
    if !limits.is_empty() {
        top.push(field("limits", Yaml::Map(limits)));
    }
    let scope = match plan.sweep.scope {
        SweepScope::Stack => "stack",
        SweepScope::User => "user",
    };
    let patterns = plan.sweep.patterns.iter().map(|pattern| writer.text(pattern)).collect();
    let sweep = vec![field("patterns", Yaml::List(patterns)), field("scope", writer.text(scope))];
    top.push(field("sweep", Yaml::Map(sweep)));
    top.extend(monitor::render(&plan.monitor, &plan.budgets));
    emit(&Yaml::Map(top))
}

/// Plain data that keeps the order of its keys.
pub(super) enum Yaml {
    Text(String),
    Number(u64),
    True,
    /// Nothing is said: what the caller has.
    Null,
    List(Vec<Yaml>),
    Map(Fields),
}

pub(super) type Fields = Vec<(String, Yaml)>;

impl Serialize for Yaml {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::True => serializer.serialize_bool(true),
            Self::Null => serializer.serialize_unit(),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

pub(super) fn field(key: &str, value: Yaml) -> (String, Yaml) {
    (key.to_owned(), value)
}

pub(super) struct Writer {
    show_secrets: bool,
}

impl Writer {
    pub(super) fn text(&self, text: &str) -> Yaml {
        Yaml::Text(if self.show_secrets { escape(text) } else { escape(&secrets::text(text)) })
    }

    pub(super) fn named(&self, name: &str, value: &str) -> (String, Yaml) {
        let shown = if self.show_secrets { value.to_owned() } else { secrets::value(name, value) };
        field(name, Yaml::Text(escape(&shown)))
    }

    fn unit(&self, unit: &UnitPlan) -> Yaml {
        let kind = match unit.kind {
            UnitKind::Service => "service",
            UnitKind::Task => "task",
            UnitKind::Job => "job",
        };
        let mut fields = vec![field("type", self.text(kind))];
        if let Some(container) = &unit.container {
            self.container(container, &mut fields);
        } else {
            fields.push(field("command", self.command(&unit.command)));
            fields.push(field("working_dir", self.text(&unit.working_dir.display().to_string())));
        }
        fields.push(self.environment(unit));
        fields.extend(unit.user.as_ref().map(|user| field("user", self.text(user))));
        fields.push(field("ports", ports(unit)));
        let arrows = unit.depends_on.iter().map(|arrow| self.arrow(arrow)).collect();
        fields.push(field("depends_on", Yaml::Map(arrows)));
        self.checks(unit, &mut fields);
        fields.push(field("start_timeout", duration(unit.start_timeout)));
        fields.push(field("restart", self.text(&restart(unit.restart))));
        if unit.container.is_none() {
            fields.push(field("stop_signal", self.text(&unit.stop.signal.to_string())));
        }
        fields.push(field("stop_grace_period", duration(unit.stop.grace)));
        if unit.ends_with_supervisor {
            fields.push(field("on_supervisor_exit", self.text("stop")));
        }
        fields.extend(unit.stop.command.as_ref().map(|command| field("stop_command", self.command(command))));
        fields.extend(unit.fallback.as_ref().map(|fallback| field("fallback", self.fallback(fallback))));
        let limits = render_limits::of_unit(unit);
        if !limits.is_empty() {
            fields.push(field("limits", Yaml::Map(limits)));
        }
        let logs = vec![
            field("max_size", Yaml::Text(size(unit.logs.max_size))),
            field("max_files", Yaml::Number(unit.logs.max_files.into())),
        ];
        fields.push(field("logs", Yaml::Map(logs)));
        let profiles = unit.profiles.iter().map(|profile| self.text(profile)).collect();
        fields.push(field("profiles", Yaml::List(profiles)));
        let labels = unit.labels.iter().map(|(name, value)| self.named(name, value)).collect();
        fields.push(field("labels", Yaml::Map(labels)));
        Yaml::Map(fields)
    }

    /// For jobs; each unit has it in its own.
    fn stack_environment(&self, plan: &Plan) -> Yaml {
        let entry = |(name, value): (&String, &Option<String>)| match value {
            Some(value) => self.named(name, value),
            None => field(name, Yaml::Null),
        };
        Yaml::Map(plan.environment.iter().map(entry).collect())
    }

    fn environment(&self, unit: &UnitPlan) -> (String, Yaml) {
        let own = unit.environment.iter().filter(|(name, _)| !is_own_name(name));
        field("environment", Yaml::Map(own.map(|(name, value)| self.named(name, value)).collect()))
    }

    /// What it does not share with its container.
    fn fallback(&self, unit: &UnitPlan) -> Yaml {
        let mut fields = vec![
            field("command", self.command(&unit.command)),
            field("working_dir", self.text(&unit.working_dir.display().to_string())),
            self.environment(unit),
            field("ports", ports(unit)),
        ];
        fields.extend(unit.user.as_ref().map(|user| field("user", self.text(user))));
        self.checks(unit, &mut fields);
        fields.push(field("stop_signal", self.text(&unit.stop.signal.to_string())));
        fields.extend(unit.stop.command.as_ref().map(|command| field("stop_command", self.command(command))));
        Yaml::Map(fields)
    }

    fn command(&self, command: &CommandPlan) -> Yaml {
        match command {
            CommandPlan::Shell(line) => self.text(line),
            CommandPlan::Exec(argv) => Yaml::List(argv.iter().map(|argument| self.text(argument)).collect()),
        }
    }

    fn arrow(&self, arrow: &Dependency) -> (String, Yaml) {
        let condition = match arrow.condition {
            Condition::Started => "started",
            Condition::Healthy => "healthy",
            Condition::Completed => "completed",
        };
        (arrow.unit.to_string(), self.text(condition))
    }

    fn checks(&self, unit: &UnitPlan, fields: &mut Fields) {
        let same = |health: &HealthPlan| health.probes == unit.gate && health.timeout == unit.gate_timeout;
        if !unit.gate.is_empty() && !unit.health.as_ref().is_some_and(same) {
            let mut gate = self.probes(&unit.gate);
            gate.push(field("timeout", duration(unit.gate_timeout)));
            fields.push(field("ready", Yaml::Map(gate)));
        }
        if let Some(health) = &unit.health {
            let mut check = self.probes(&health.probes);
            check.push(field("interval", duration(health.interval)));
            check.push(field("timeout", duration(health.timeout)));
            check.push(field("retries", Yaml::Number(health.retries.into())));
            check.push(field("start_period", duration(health.start_period)));
            let on_failure = if health.restart_on_failure { "restart" } else { "none" };
            check.push(field("on_failure", self.text(on_failure)));
            fields.push(field("health", Yaml::Map(check)));
        }
    }

    fn probes(&self, probes: &[Probe]) -> Fields {
        let one = |probe: &Probe| match probe {
            Probe::Http(http) => field("http", self.http(http)),
            Probe::Tcp { host, port } => field("tcp", self.text(&address(host, *port))),
            Probe::Exec(command) => field("exec", self.command(command)),
            Probe::Log(pattern) => field("log", self.text(pattern)),
            Probe::Notify => field("notify", Yaml::True),
            Probe::Port(port) => field("port", Yaml::Number((*port).into())),
            Probe::Own => field("image", Yaml::True),
        };
        probes.iter().map(one).collect()
    }

    fn http(&self, http: &HttpProbe) -> Yaml {
        let url = format!("http://{}{}", address(&http.host, http.port), http.path);
        let status = http.status.iter().map(|(low, high)| self.text(&format!("{low}-{high}"))).collect();
        let mut fields = vec![
            field("url", self.text(&url)),
            field("status", Yaml::List(status)),
            field("method", self.text(&http.method)),
        ];
        if !http.headers.is_empty() {
            let headers = http.headers.iter().map(|(name, value)| self.named(name, value)).collect();
            fields.push(field("headers", Yaml::Map(headers)));
        }
        let body = http.body.as_ref().map(|body| match body {
            BodyMatch::Contains(text) => ("text", text),
            BodyMatch::Regex(pattern) => ("regex", pattern),
        });
        fields.extend(body.map(|(kind, text)| field("body", Yaml::Map(vec![field(kind, self.text(text))]))));
        Yaml::Map(fields)
    }
}

fn ports(unit: &UnitPlan) -> Yaml {
    let numbers = unit.ports.iter().map(|port| Yaml::Number(port.number.into()));
    let values: Vec<Yaml> = match &unit.container {
        Some(container) => container.publish.iter().map(render_container::port).collect(),
        None => numbers.collect(),
    };
    let names: Option<Vec<String>> = unit.ports.iter().map(|port| port.name.clone()).collect();
    match names {
        Some(names) if !names.is_empty() => Yaml::Map(names.into_iter().zip(values).collect()),
        Some(_) | None => Yaml::List(values),
    }
}

pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn restart(policy: RestartPolicy) -> String {
    match policy {
        RestartPolicy::No => "no".to_owned(),
        RestartPolicy::OnFailure { max: None } => "on-failure".to_owned(),
        RestartPolicy::OnFailure { max: Some(max) } => format!("on-failure:{max}"),
        RestartPolicy::Always => "always".to_owned(),
    }
}

/// Exact, unlike what people are shown while something runs.
pub(super) fn duration(span: Duration) -> Yaml {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (millis.into(), "ms")];
    let there = parts.iter().filter(|(number, _)| *number > 0);
    let text = there.map(|(number, unit)| format!("{number}{unit}")).collect::<Vec<_>>().concat();
    Yaml::Text(if text.is_empty() { "0s".to_owned() } else { text })
}

pub(super) fn size(bytes: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    let whole = units.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or(format!("{bytes}B"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}
