//! One unit: its own keys over the defaults, nothing optional left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{Signal, UnitKind};
use crate::manifest::{Arrow, Code, Problem, Service, Settings, Text, Variable};

use super::definition::definition;
use super::judge::{Judge, absolute};
use super::ports::{self, StagePort};
use super::probes::{self, Asked, Questions};
use super::volumes::Declared;
use super::{
    CommandPlan, Condition, Dependency, EngineKind, LogPlan, PortPlan, RestartPolicy, StopPlan, UnitPlan,
    contained, fallback, limits, values,
};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);
const LOG_SIZE: u64 = 10 << 20;
const LOG_FILES: u32 = 3;

/// What other units must know of a unit before it can be read itself.
pub(super) struct Stage {
    pub(super) kind: UnitKind,
    pub(super) profiles: BTreeSet<String>,
    /// With their places; those that are wrong are left out.
    pub(super) ports: Vec<StagePort>,
    /// Whose command is used, if it is a container.
    pub(super) engine: EngineKind,
}

impl Stage {
    pub(super) fn read(judge: &mut Judge<'_>, service: &Service, engine: EngineKind) -> Self {
        let settings = &service.settings;
        Self {
            kind: judge.maybe(settings.kind.as_ref(), values::kind).unwrap_or_default(),
            profiles: settings.profiles.iter().filter_map(|text| judge.filled("profiles", text)).collect(),
            ports: ports::read(judge, service),
            engine,
        }
    }

    /// Whether both can run at once: stand-ins with profiles of their own may share a port.
    pub(super) fn can_meet(&self, other: &Self) -> bool {
        self.profiles.is_empty() || other.profiles.is_empty() || !self.profiles.is_disjoint(&other.profiles)
    }
}

/// Environment variables, each later one over the earlier; no value means: as the caller has it.
pub(super) type Layer = Vec<(String, Option<String>)>;

/// The keys that `defaults` and a service share.
#[derive(Default)]
pub(super) struct Shared {
    working_dir: Option<PathBuf>,
    pub(super) environment: Layer,
    user: Option<String>,
    start_timeout: Option<Duration>,
    restart: Option<RestartPolicy>,
    signal: Option<Signal>,
    grace: Option<Duration>,
    stop_command: Option<CommandPlan>,
    ends_with_supervisor: Option<bool>,
    labels: Vec<(String, String)>,
    limits: limits::Wanted,
    log_size: Option<u64>,
    log_files: Option<u32>,
}

impl Shared {
    pub(super) fn read(judge: &mut Judge<'_>, settings: &Settings) -> Self {
        let mut environment: Layer = Layer::new();
        for file in &settings.env_files {
            let pairs = judge.env_file(file);
            environment.extend(pairs.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
        }
        environment.extend(variables(judge, &settings.environment));
        // A container's are of another world, and read where the container is.
        let of_machine = |text: &Option<Text>| text.clone().filter(|_| settings.container.is_none());
        let dir = of_machine(&settings.working_dir).and_then(|text| judge.filled("working_dir", &text));
        let stop_command = settings.stop_command.as_ref();
        Self {
            working_dir: dir.map(|dir| absolute(&judge.context.dir, &dir)),
            environment,
            user: of_machine(&settings.user).and_then(|text| judge.filled("user", &text)),
            start_timeout: judge.maybe(settings.start_timeout.as_ref(), values::positive_duration),
            restart: judge.maybe(settings.restart.as_ref(), values::restart),
            signal: judge.maybe(settings.stop_signal.as_ref(), values::signal),
            grace: judge.maybe(settings.stop_grace_period.as_ref(), values::duration),
            stop_command: stop_command.and_then(|command| judge.command("stop_command", command)),
            ends_with_supervisor: judge
                .maybe(settings.on_supervisor_exit.as_ref(), values::on_supervisor_exit),
            labels: labels(judge, &settings.labels),
            limits: limits::Wanted::read(judge, &settings.limits),
            log_size: judge.maybe(settings.log_size.as_ref(), values::log_size),
            log_files: judge.maybe(settings.log_files.as_ref(), values::count),
        }
    }
}

/// Variables with their final values. Names that devstack sets itself are refused.
pub(super) fn variables(judge: &mut Judge<'_>, list: &[Variable]) -> Layer {
    let mut layer = Layer::with_capacity(list.len());
    for Variable { name, value } in list {
        if OWN_NAMES.contains(&&*name.value) {
            let message = format!("`{}` is set by devstack itself", name.value);
            judge.problems.push(Problem::at(Code::BadName, name.span, message).hint("choose another name"));
            continue;
        }
        if judge.spend(name.value.len(), name.span).is_none() {
            break;
        }
        match value {
            None => layer.push((name.value.to_string(), None)),
            Some(value) => {
                let value = judge.text(value);
                layer.extend(value.map(|value| (name.value.to_string(), Some(value))));
            }
        }
    }
    layer
}

/// Variables by which a process is known to be ours.
const OWN_NAMES: [&str; 5] =
    ["DEVSTACK_STACK", "DEVSTACK_STACK_ID", "DEVSTACK_DIR", "DEVSTACK_SERVICE", "DEVSTACK_LIFE"];

/// Whether a variable is set by devstack itself.
pub(super) fn is_own_name(name: &str) -> bool {
    OWN_NAMES.contains(&name)
}

fn labels(judge: &mut Judge<'_>, list: &[Variable]) -> Vec<(String, String)> {
    let text = |judge: &mut Judge<'_>, label: &Variable| match &label.value {
        Some(value) => judge.text(value),
        None => Some(String::new()),
    };
    list.iter().filter_map(|label| Some((label.name.value.to_string(), text(judge, label)?))).collect()
}

/// What all units of a stack have in common.
pub(super) struct Common<'c> {
    pub(super) stack: &'c str,
    pub(super) volumes: Declared,
    pub(super) environment: Layer,
    pub(super) defaults: Shared,
    /// Bytes of the two environments, counted once for each unit.
    pub(super) bytes: usize,
}

/// One unit, without its dependencies. None if it has no command that could be read.
pub(super) fn read(
    judge: &mut Judge<'_>,
    service: &Service,
    stage: &Stage,
    common: &Common<'_>,
) -> Option<UnitPlan> {
    let settings = &service.settings;
    let own = Shared::read(judge, settings);
    let defaults = &common.defaults;
    judge.spend(common.bytes, service.at);
    let container = settings.container.as_deref();
    if settings.command.is_none() && !settings.has_command && container.is_none() {
        let message = format!("service `{}` has no `command`", service.name);
        let problem = Problem::at(Code::NoCommand, service.at, message);
        judge.problems.push(problem.hint("add `command: …`, or `image: …` for a container"));
    }
    let ports = ports::of(&stage.ports);
    contradictions(judge, service, stage, own.restart);
    let asked = Questions {
        ready: settings.ready.as_deref(),
        health: settings.health.as_deref(),
        ports: &ports,
        of_container: container.is_some(),
        of_task: stage.kind == UnitKind::Task,
    };
    let Asked { gate, gate_timeout, health } = probes::read(judge, &asked);
    let told = if container.is_some() { Layer::new() } else { port_variables(&ports) };
    let environment = environment(judge, service, common, &own, &told);
    limits::contradictions(judge, service);
    let limits = own.limits.over(&defaults.limits);
    let (command, container) = match container {
        Some(keys) => {
            let plan = contained::read(judge, service, keys, stage, common, &limits);
            let plan = plan.map(Box::new);
            (plan.as_deref().map(contained::shown), plan)
        }
        None => (settings.command.as_ref().and_then(|command| judge.command("command", command)), None),
    };
    let of_machine = container.is_none();
    let keys = settings.container.as_deref().and_then(|keys| keys.fallback.as_ref());
    let fallback = keys.and_then(|keys| {
        let image = container.as_deref().map(|container| container.image.as_str());
        fallback::read(judge, service, keys, stage, common, image)
    });
    // `always` as a default is meant for services: a task that is done is done.
    let default_restart =
        defaults.restart.filter(|policy| !(stage.kind == UnitKind::Task && *policy == RestartPolicy::Always));
    let mut labels: BTreeMap<String, String> = defaults.labels.iter().cloned().collect();
    labels.extend(own.labels);
    let mut unit = UnitPlan {
        name: service.name.clone(),
        kind: stage.kind,
        command: command?,
        container,
        fallback: fallback.map(Box::new),
        instead_of: None,
        working_dir: own
            .working_dir
            .or_else(|| defaults.working_dir.clone())
            .filter(|_| of_machine)
            .unwrap_or_else(|| judge.context.dir.clone()),
        environment,
        user: own.user.or_else(|| defaults.user.clone()).filter(|_| of_machine),
        ports,
        depends_on: Vec::new(),
        gate,
        gate_timeout,
        health,
        start_timeout: own.start_timeout.or(defaults.start_timeout).unwrap_or(START_TIMEOUT),
        restart: own.restart.or(default_restart).unwrap_or_default(),
        stop: StopPlan {
            // The shim that stands for a container is asked; what the container itself is asked by, it is told.
            signal: own.signal.or(defaults.signal).filter(|_| of_machine).unwrap_or(Signal::TERM),
            grace: own.grace.or(defaults.grace).unwrap_or(GRACE),
            command: own.stop_command.or_else(|| defaults.stop_command.clone()).filter(|_| of_machine),
        },
        ends_with_supervisor: own.ends_with_supervisor.or(defaults.ends_with_supervisor).unwrap_or_default(),
        limits: if of_machine { limits } else { limits::beside_engine(&limits) },
        logs: LogPlan {
            max_size: own.log_size.or(defaults.log_size).unwrap_or(LOG_SIZE),
            max_files: own.log_files.or(defaults.log_files).unwrap_or(LOG_FILES),
        },
        profiles: stage.profiles.clone(),
        labels,
        definition: String::new(),
    };
    unit.definition = definition(&unit);
    Some(unit)
}

fn contradictions(judge: &mut Judge<'_>, service: &Service, stage: &Stage, restart: Option<RestartPolicy>) {
    if stage.kind != UnitKind::Task {
        return;
    }
    let settings = &service.settings;
    if let (Some(RestartPolicy::Always), Some(text)) = (restart, &settings.restart) {
        let message = format!("`{}` is a task, which ends: it cannot restart `always`", service.name);
        let problem = Problem::at(Code::Contradiction, text.span, message);
        judge.problems.push(problem.hint("write `on-failure`, or remove `type: task`"));
    }
    for (key, check) in [("ready", &settings.ready), ("health", &settings.health)] {
        if let Some(check) = check {
            let message = format!("`{}` is a task and cannot have `{key}`", service.name);
            let problem = Problem::at(Code::Contradiction, check.at, message);
            judge.problems.push(problem.hint("a task is ready when it has ended with exit code 0"));
        }
    }
}

/// Later layers win: stack, defaults, ports, the service's own, and devstack's marks over all.
fn environment(
    judge: &Judge<'_>,
    service: &Service,
    common: &Common<'_>,
    own: &Shared,
    ports: &Layer,
) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    if judge.is_spent() {
        return environment;
    }
    let mut put = |layer: &Layer| {
        for (name, value) in layer {
            match value.as_ref().or_else(|| judge.variables.get(name)) {
                Some(value) => environment.insert(name.clone(), value.clone()),
                None => environment.remove(name),
            };
        }
    };
    put(&common.environment);
    put(&common.defaults.environment);
    put(ports);
    put(&own.environment);
    environment.insert("DEVSTACK_STACK".to_owned(), common.stack.to_owned());
    environment.insert("DEVSTACK_SERVICE".to_owned(), service.name.to_string());
    environment
}

/// `PORT` where there is one, `PORT_NAME` for each that has a name.
fn port_variables(ports: &[PortPlan]) -> Layer {
    let mut layer = Layer::new();
    if let [only] = ports {
        layer.push(("PORT".to_owned(), Some(only.number.to_string())));
    }
    for port in ports {
        if let Some(name) = &port.name {
            let name = name.to_ascii_uppercase().replace('-', "_");
            layer.push((format!("PORT_{name}"), Some(port.number.to_string())));
        }
    }
    layer
}

/// What a dependency waits for. In a list it is the most that can be waited for: a task done, a service healthy.
pub(super) fn dependency(
    judge: &mut Judge<'_>,
    arrow: &Arrow,
    needed: &Service,
    kind: UnitKind,
) -> Option<Dependency> {
    let asked = match &arrow.condition {
        Some(text) => judge.value(text, values::condition)?,
        None => Condition::Healthy,
    };
    let condition = match (asked, kind) {
        (Condition::Completed, UnitKind::Service | UnitKind::Job) => {
            let span = arrow.condition.as_ref().map_or(arrow.unit.span, |text| text.span);
            let message = format!("`{}` is a service, which does not complete", needed.name);
            let problem = Problem::at(Code::Contradiction, span, message).label(needed.at, "no task");
            judge.problems.push(problem.hint("wait for `healthy` or `started`, or give it `type: task`"));
            return None;
        }
        // A task is ready when it has ended with 0; to be healthy can mean nothing else.
        (Condition::Healthy | Condition::Completed, UnitKind::Task) => Condition::Completed,
        (Condition::Healthy, UnitKind::Service | UnitKind::Job) => Condition::Healthy,
        (Condition::Started, UnitKind::Service | UnitKind::Task | UnitKind::Job) => Condition::Started,
    };
    Some(Dependency { unit: needed.name.clone(), condition })
}
