//! The manifest becomes a plan: everything is judged, nothing stops at the first problem.

use std::collections::HashMap;

use crate::domain::StackName;
use crate::manifest::{Code, Manifest, Problem, Service, Span, nearest};

use super::judge::{DOTENV, Judge};
use super::order::order;
use super::ports::{self, PortTable};
use super::unit::{self, Common, Shared, Stage};
use super::{
    Context, Dependency, EnvFileError, Plan, Secrets, SweepPlan, SweepScope, UnitPlan, WantedPorts,
    contained, definition, limits, monitor, values, volumes,
};

/// Longest cycle that is shown whole.
const MOST_ARROWS: usize = 12;

/// Makes a plan of a manifest, or says all that is wrong with it.
pub fn resolve(manifest: &Manifest, context: &Context) -> Result<Plan, Vec<Problem>> {
    let mut judge = Judge::new(context);
    judge_dotenv(&mut judge, manifest);
    let environment = stack_environment(&mut judge, manifest);
    let stack = name(&mut judge, manifest);
    let engine = contained::engine(&mut judge, manifest);
    let stages: Vec<Stage> =
        manifest.services.iter().map(|service| Stage::read(&mut judge, service, engine)).collect();
    ports::declared_once(&mut judge, manifest, &stages);
    judge.ports = port_table(manifest, &stages);
    let environment: unit::Layer =
        environment.into_iter().chain(unit::variables(&mut judge, &manifest.environment)).collect();
    let defaults = Shared::read(&mut judge, &manifest.defaults);
    let bytes = bytes(&environment) + bytes(&defaults.environment);
    let volumes = volumes::declared(&mut judge, manifest, stack.as_str());
    let common = Common { stack: stack.as_str(), volumes, environment, defaults, bytes };
    let mut units = Vec::with_capacity(manifest.services.len());
    for (service, stage) in manifest.services.iter().zip(&stages) {
        units.push(unit::read(&mut judge, service, stage, &common));
    }
    contained::named_once(&mut judge, manifest, &stages, &units);
    let needs = dependencies(&mut judge, manifest, &stages, &mut units);
    let limits = limits::stack(&mut judge, &manifest.limits);
    let sweep = sweep(&mut judge, manifest);
    let watched = monitor::monitor(&mut judge, &manifest.monitor);
    let budgets = monitor::budgets(&mut judge, &manifest.budgets);
    let start_order = order(&needs).unwrap_or_else(|cycles| {
        for cycle in cycles {
            judge.problems.push(cycle_problem(manifest, &cycle));
        }
        Vec::new()
    });
    let secrets = secrets(&judge, &units);
    if !judge.problems.is_empty() {
        let mut problems = judge.problems.into_sorted();
        for problem in &mut problems {
            hide(problem, &secrets);
        }
        return Err(problems);
    }
    let own = |(name, _): &&(String, Option<String>)| !unit::is_own_name(name);
    let environment = common.environment.iter().filter(own).cloned().collect();
    let mut plan = Plan {
        stack,
        dir: context.dir.clone(),
        manifest: context.manifest.clone(),
        units: start_order.into_iter().filter_map(|index| units[index].take()).collect(),
        limits,
        sweep,
        monitor: watched,
        budgets,
        environment,
        secrets: Secrets::default(),
    };
    definition::of_tasks(&mut plan.units);
    plan.secrets = secrets.in_plan(&plan);
    Ok(plan)
}

/// All values that must not be told: put into a text, or in an environment, under a name that says so.
fn secrets(judge: &Judge<'_>, units: &[Option<UnitPlan>]) -> Secrets {
    let mut secrets = judge.secrets.take();
    let with_fallbacks = units.iter().flatten().flat_map(|unit| [Some(unit), unit.fallback.as_deref()]);
    let own = with_fallbacks.flatten().flat_map(|unit| &unit.environment);
    own.for_each(|(name, value)| secrets.note(name, value));
    secrets
}

/// A message may quote the value that is wrong.
fn hide(problem: &mut Problem, secrets: &Secrets) {
    let labels = problem.labels.iter_mut().map(|label| &mut label.text);
    let texts = problem.note.iter_mut().chain(&mut problem.hint).chain(labels);
    for text in texts.chain(std::iter::once(&mut problem.message)) {
        *text = secrets.hide(text);
    }
}

/// The automatic ports that [`resolve`] wants to know, and the numbers that are taken within the stack.
#[must_use]
pub fn wanted_auto_ports(manifest: &Manifest, context: &Context) -> WantedPorts {
    let mut judge = Judge::new(context);
    stack_environment(&mut judge, manifest);
    ports::wanted(&mut judge, manifest)
}

/// The name of the stack: the manifest's `name`, else its directory's name.
#[must_use]
pub fn stack_name(manifest: &Manifest, context: &Context) -> StackName {
    let mut judge = Judge::new(context);
    stack_environment(&mut judge, manifest);
    name(&mut judge, manifest)
}

fn name(judge: &mut Judge<'_>, manifest: &Manifest) -> StackName {
    let own = manifest.name.as_ref().and_then(|text| {
        judge.value(text, |name| {
            StackName::parse(name).map_err(|error| values::Fault::new(Code::BadName, error.to_string()))
        })
    });
    own.unwrap_or_else(|| {
        let dir = judge.context.dir.file_name().map(|name| name.to_string_lossy().into_owned());
        StackName::lenient(&dir.unwrap_or_default())
    })
}

/// The stack's env files as an environment; from here on they are also known for substitution, below the caller's.
fn stack_environment(judge: &mut Judge<'_>, manifest: &Manifest) -> unit::Layer {
    let mut layer = unit::Layer::new();
    for file in &manifest.env_files {
        for (name, value) in judge.env_file(file) {
            layer.push((name.clone(), Some(value.clone())));
        }
    }
    for (name, value) in &layer {
        if let (Some(value), false) = (value, judge.context.variables.contains_key(name)) {
            judge.variables.insert(name.clone(), value.clone());
        }
    }
    layer
}

/// The `.env` that nobody mentions is read all the same: a fault in it has no place in the manifest.
fn judge_dotenv(judge: &mut Judge<'_>, manifest: &Manifest) {
    let mentioned = manifest.env_files.iter().any(|file| file.path.value.trim_start_matches("./") == DOTENV);
    match judge.context.env_files.get(&judge.context.dir.join(DOTENV)) {
        Some(Err(EnvFileError::Missing) | Ok(_)) | None => {}
        Some(Err(_)) if mentioned => {}
        Some(Err(error)) => {
            let problem = Problem::nowhere(Code::EnvFile, format!("the `.env` beside the manifest: {error}"));
            judge.problems.push(problem.hint("it is read for `${…}`: mend it or move it away"));
        }
    }
}

fn port_table<'m>(manifest: &'m Manifest, stages: &[Stage]) -> PortTable<'m> {
    let known = manifest.services.iter().zip(stages).map(|(service, stage)| {
        let whole = stage.ports.len() == service.settings.ports.len();
        let ports = whole.then(|| ports::of(&stage.ports));
        (service.name.as_str(), ports)
    });
    let broken = manifest.broken.iter().map(|name| (name.as_str(), None));
    PortTable::Known(known.chain(broken).collect())
}

/// What an environment takes in each unit, with the map around it.
fn bytes(layer: &unit::Layer) -> usize {
    layer.iter().map(|(name, value)| 64 + name.len() + value.as_ref().map_or(0, String::len)).sum()
}

/// Fills in each unit's dependencies; gives them by number as well.
fn dependencies(
    judge: &mut Judge<'_>,
    manifest: &Manifest,
    stages: &[Stage],
    units: &mut [Option<UnitPlan>],
) -> Vec<Vec<usize>> {
    let number: HashMap<&str, usize> =
        manifest.services.iter().enumerate().map(|(index, service)| (service.name.as_str(), index)).collect();
    let mut all = Vec::with_capacity(units.len());
    for (service, unit) in manifest.services.iter().zip(units) {
        let mut needs = Vec::with_capacity(service.settings.depends_on.len());
        let mut arrows: Vec<Dependency> = Vec::with_capacity(needs.capacity());
        for arrow in &service.settings.depends_on {
            let Some(wanted) = judge.text(&arrow.unit) else { continue };
            let Some(index) = number.get(wanted.as_str()).copied() else {
                unknown(judge, manifest, service, arrow.unit.span, &wanted);
                continue;
            };
            arrows.extend(unit::dependency(judge, arrow, &manifest.services[index], stages[index].kind));
            needs.push(index);
        }
        if let Some(unit) = unit {
            if let Some(fallback) = &mut unit.fallback {
                fallback.depends_on.clone_from(&arrows);
            }
            unit.depends_on = arrows;
        }
        all.push(needs);
    }
    all
}

fn unknown(judge: &mut Judge<'_>, manifest: &Manifest, service: &Service, span: Span, wanted: &str) {
    if manifest.broken.iter().any(|name| name.as_str() == wanted) {
        return;
    }
    let message = format!("`{}` depends on `{wanted}`, which is no service", service.name);
    let problem = Problem::at(Code::UnknownDependency, span, message);
    let near = judge.problems.worth_a_hint().then(|| {
        let others = manifest
            .services
            .iter()
            .map(|other| other.name.as_str())
            .filter(|name| *name != service.name.as_str());
        nearest(wanted, others)
    });
    judge.problems.push(match near.flatten() {
        Some(near) => problem.hint(format!("is `{near}` meant?")),
        None => problem,
    });
}

fn cycle_problem(manifest: &Manifest, cycle: &[usize]) -> Problem {
    let service = |at: usize| &manifest.services[cycle[at % cycle.len()]];
    let shown = cycle.len().min(MOST_ARROWS);
    let mut names: Vec<&str> = (0..shown).map(|at| service(at).name.as_str()).collect();
    names.extend((shown < cycle.len()).then_some("…"));
    names.push(service(0).name.as_str());
    let message = format!("services wait for each other: {}", names.join(" → "));
    let arrow = |at: usize| {
        let (from, to) = (service(at), service(at + 1));
        let written = from.settings.depends_on.iter().find(|arrow| &*arrow.unit.value == to.name.as_str());
        let span = written.map_or(from.at, |arrow| arrow.unit.span);
        (span, format!("`{}` needs `{}`", from.name, to.name))
    };
    let (first, note) = arrow(0);
    let mut problem = Problem::at(Code::Cycle, first, message).note(note);
    for at in 1..shown {
        let (span, text) = arrow(at);
        problem = problem.label(span, text);
    }
    problem.hint("remove one of these dependencies: none of these services can be the first to start")
}

fn sweep(judge: &mut Judge<'_>, manifest: &Manifest) -> SweepPlan {
    let scope = judge.maybe(manifest.sweep.scope.as_ref(), values::scope).unwrap_or_default();
    let mut patterns = Vec::new();
    for text in &manifest.sweep.patterns {
        let Some(pattern) = judge.regex(text) else { continue };
        if matches_everything(&pattern) {
            let problem = Problem::at(Code::BadRegex, text.span, "this pattern matches every process");
            judge.problems.push(problem.hint("name the program: `vite`, `npm run dev`"));
        } else {
            patterns.push(pattern);
        }
    }
    if scope == SweepScope::Stack && holds_everything(judge.context) {
        // What lies in the stack's directory is swept: here that is no condition any more.
        for text in &manifest.sweep.patterns {
            let message =
                format!("in `{}` a pattern would reach everything of yours", judge.context.dir.display());
            let hint = "put the manifest into a directory of its own, or say so: `scope: user`";
            judge.problems.push(Problem::at(Code::BadValue, text.span, message).hint(hint));
        }
    }
    SweepPlan { patterns, scope }
}

/// A pattern that finds nothing at all, or single letters, finds every process: never what is meant.
fn matches_everything(pattern: &str) -> bool {
    let Ok(regex) = regex::Regex::new(pattern) else { return false };
    let letters = ["a", "e", "o", "t", "0", "7", "/", "-", " "];
    regex.is_match("") || letters.iter().filter(|letter| regex.is_match(letter)).count() > 1
}

/// Whether the stack's directory is the whole file system, or holds the user's home.
fn holds_everything(context: &Context) -> bool {
    let home = context.variables.get("HOME").map(std::path::Path::new);
    context.dir.parent().is_none() || home.is_some_and(|home| home.starts_with(&context.dir))
}
