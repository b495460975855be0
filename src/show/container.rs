//! Containers in words: what stands beside a unit's state, how one was ended, what is left of a stack's.

use super::trouble::no_engine;
use super::{Problem, text};
use crate::domain::{
    ContainerState, ContainerStep, ContainerTrouble, ContainerView, ContainersProof, EndedContainer,
    EndedUnit, LeftContainer, OwnHealth,
};

/// So many digits of an id are enough for a person and for the engine.
const ID_DIGITS: usize = 12;

/// `container postgres:16`.
pub(super) fn beside(view: &ContainerView) -> String {
    format!("container {}", view.image)
}

/// Labels and values for the view of one unit.
pub(super) fn facts(view: &ContainerView) -> Vec<(&'static str, String)> {
    let mut facts = vec![("container", view.name.clone()), ("image", view.image.clone())];
    let state = view.state.as_ref();
    let id = state.and_then(|state| state.id.as_ref()).map(|id| short_id(id));
    facts.push(("engine", id.map_or_else(|| view.engine.clone(), |id| format!("{}, id {id}", view.engine))));
    if let Some(state) = state {
        facts.push(("inside", inside(state)));
    }
    facts
}

/// What it does, and what its own health check says.
fn inside(state: &ContainerState) -> String {
    let step = match &state.step {
        ContainerStep::Asking => "its engine is asked".to_owned(),
        ContainerStep::Pulling(far) => format!("its image is being pulled: {far}"),
        ContainerStep::Building(last) => format!("its image is being built: {last}"),
        ContainerStep::Starting => "starting".to_owned(),
        ContainerStep::Running => "running".to_owned(),
        ContainerStep::Stopping => "stopping".to_owned(),
        ContainerStep::Ended if state.out_of_memory => "ended for want of memory".to_owned(),
        ContainerStep::Ended if state.forced => "killed by its engine".to_owned(),
        ContainerStep::Ended => {
            state.exit.map_or_else(|| "ended".to_owned(), |code| format!("ended: exit {code}"))
        }
    };
    let health = match &state.health {
        OwnHealth::None => String::new(),
        OwnHealth::Starting => "own health check: not said yet".to_owned(),
        OwnHealth::Healthy => "own health check: healthy".to_owned(),
        OwnHealth::Unhealthy(last) if last.trim().is_empty() => "own health check: unhealthy".to_owned(),
        OwnHealth::Unhealthy(last) => format!("own health check: unhealthy ({})", last.trim()),
    };
    let parts: Vec<String> = [step.trim().trim_end_matches(':').to_owned(), health]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(", ")
}

/// How a unit that is a container was ended.
pub(super) fn how(unit: &EndedUnit, container: &EndedContainer) -> String {
    let took = text::span(unit.millis);
    match (unit.signal, unit.exit, container.forced) {
        (Some(_), _, true) if container.deaf => format!("container did not end, killed after {took}"),
        (Some(_), _, true) => format!("container was asked, and killed after {took}"),
        (None, _, true) => format!("container killed in {took}"),
        (Some(_), _, false) => format!("container stopped in {took}"),
        (None, Some(exit), false) => format!("container had ended: {exit}"),
        (None, None, false) => "container had ended".to_owned(),
    }
}

/// The rows of what is left, and of what could not be asked.
pub(super) fn rows(proof: &ContainersProof) -> Vec<(&'static str, String)> {
    let left = proof.left.iter().map(|left| ("left", format!("container {}", line(left))));
    let unproven = proof.unproven.iter().map(|trouble| ("engine", unproven(trouble)));
    left.chain(unproven).collect()
}

/// `1 container left`, `containers not proven gone`.
pub(super) fn summary(proof: &ContainersProof) -> Vec<String> {
    let mut facts = Vec::new();
    if !proof.left.is_empty() {
        facts.push(format!("{} left", text::count(proof.left.len(), "container", "containers")));
    }
    if proof.unproven.is_some() {
        facts.push("containers not proven gone".to_owned());
    }
    facts
}

/// Evidence and what to try, where a stop left containers or could not ask for them.
pub(super) fn explain(problem: Problem, proof: &ContainersProof) -> Problem {
    let mut problem = problem.saw_lines("container", proof.left.iter().map(line));
    for left in &proof.left {
        let name = text::shell_path(&left.name, None);
        problem = problem.hint(format!("{} rm --force {name}", left.engine));
    }
    if let Some(trouble) = &proof.unproven {
        let why = no_engine("the proof", proof.silent.unwrap_or_default().command(), trouble);
        problem = problem.saw("engine", unproven(trouble));
        problem.evidence.extend(why.evidence.into_iter().map(|(_, text)| (String::new(), text)));
        problem.remedy.extend(why.remedy);
    }
    problem
}

fn unproven(trouble: &ContainerTrouble) -> String {
    format!("nothing proves that its containers are gone: {trouble}")
}

fn line(left: &LeftContainer) -> String {
    let of = left.unit.as_ref().map(|unit| format!(" of {unit}")).unwrap_or_default();
    format!("{} (id {}){of}: {}", left.name, short_id(&left.id), left.reason)
}

fn short_id(id: &str) -> &str {
    id.get(..ID_DIGITS).unwrap_or(id)
}
