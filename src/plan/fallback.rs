//! What runs instead of a container where no engine can be asked: never silently, and only where the manifest says so.

use crate::domain::UnitName;
use crate::manifest::{Code, Fallback, Problem, Service, Settings};

use super::judge::Judge;
use super::ports::{self, StagePort};
use super::unit::{self, Common, Stage};
use super::{ContainerPlan, EngineKind, Plan, UnitPlan, definition};

/// An engine as it is asked: whose command, and which of its contexts.
pub type Asked = (EngineKind, Option<String>);

/// The engines that some of these units could do without.
#[must_use]
pub fn engines_to_ask(plan: &Plan, wanted: &[UnitName]) -> Vec<Asked> {
    let could = plan.units.iter().filter(|unit| unit.fallback.is_some() && wanted.contains(&unit.name));
    let mut all: Vec<Asked> = could.filter_map(|unit| Some(engine_of(unit.container.as_deref()?))).collect();
    all.sort();
    all.dedup();
    all
}

/// The plan for a machine on which these engines do not answer: what has a fallback there becomes it, unless it is
/// `held`: its container runs, and an engine that is away for a moment must not make another database of it. Also gives
/// the names of the units that changed.
#[must_use]
pub fn without_engines(mut plan: Plan, silent: &[Asked], held: &[UnitName]) -> (Plan, Vec<UnitName>) {
    let mut fallen = Vec::new();
    for unit in &mut plan.units {
        let needs = unit.container.as_deref().map(engine_of);
        if needs.is_some_and(|needs| silent.contains(&needs))
            && !held.contains(&unit.name)
            && let Some(fallback) = unit.fallback.take()
        {
            *unit = *fallback;
            fallen.push(unit.name.clone());
        }
    }
    definition::of_tasks(&mut plan.units);
    (plan, fallen)
}

fn engine_of(container: &ContainerPlan) -> Asked {
    (container.engine, container.context.clone())
}

/// The process of a `fallback`. It shares with its container all that is not of the container: name, dependencies,
/// profiles, restart, limits, logs, labels; and the ports, unless it says others.
pub(super) fn read(
    judge: &mut Judge<'_>,
    service: &Service,
    fallback: &Fallback,
    stage: &Stage,
    common: &Common<'_>,
    image: Option<&str>,
) -> Option<UnitPlan> {
    let of_service = &service.settings;
    let settings = Settings {
        start_timeout: of_service.start_timeout.clone(),
        restart: of_service.restart.clone(),
        stop_grace_period: of_service.stop_grace_period.clone(),
        on_supervisor_exit: of_service.on_supervisor_exit.clone(),
        labels: of_service.labels.clone(),
        limits: of_service.limits.clone(),
        log_size: of_service.log_size.clone(),
        log_files: of_service.log_files.clone(),
        ..(*fallback.settings).clone()
    };
    if settings.command.is_none() && !settings.has_command {
        let problem = Problem::at(Code::NoCommand, fallback.at, "`fallback` has no `command`");
        judge.problems.push(problem.hint("add the command that runs where no engine answers"));
        return None;
    }
    let process = Service { name: service.name.clone(), at: fallback.at, settings };
    let ports = if process.settings.ports.is_empty() {
        let bare = |port: &StagePort| StagePort { port: port.port.clone(), publish: None, span: port.span };
        stage.ports.iter().map(bare).collect()
    } else {
        ports::read(judge, &process)
    };
    let stage = Stage { kind: stage.kind, profiles: stage.profiles.clone(), ports, engine: stage.engine };
    let mut unit = unit::read(judge, &process, &stage, common)?;
    unit.instead_of = image.map(str::to_owned);
    Some(unit)
}
