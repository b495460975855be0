//! Before `up`: where no engine answers, what has a `fallback` in the manifest runs as that; told, and never silently.

use std::time::Duration;

use super::exit::CliError;
use super::load::Loaded;
use super::place::{Place, block_on};
use crate::domain::{ContainerTrouble, UnitName};
use crate::engine::{Client, Engine as _, Trouble, TroubleKind};
use crate::plan::{self, Asked, Plan};
use crate::show::{Door, trouble};

/// An engine that is not there says so at once; only one that hangs takes as long. Under load a good answer takes seconds,
/// and then a database must not be taken for another.
const PATIENCE: Duration = Duration::from_secs(10);

/// The plan as this machine can run it: each engine that a wanted unit could do without is asked once.
pub(super) fn settle(
    place: &Place,
    mut loaded: Loaded,
    wanted: &[UnitName],
    door: &Door,
) -> Result<Loaded, CliError> {
    let engines = plan::engines_to_ask(&loaded.plan, wanted);
    if engines.is_empty() {
        return Ok(loaded);
    }
    let silent = block_on(silent(engines))?;
    let held = if silent.is_empty() { Vec::new() } else { running_containers(place, door)? };
    for (engine, trouble) in &silent {
        let (plan, fallen) = plan::without_engines(loaded.plan, std::slice::from_ref(engine), &held);
        for name in fallen.iter().filter(|name| wanted.contains(name)) {
            door.say(&told(&plan, name, engine.0.command(), trouble, door.err.marks().warn));
        }
        loaded.plan = plan;
    }
    Ok(loaded)
}

/// The units whose containers run now, as far as it is known.
fn running_containers(place: &Place, door: &Door) -> Result<Vec<UnitName>, CliError> {
    let view = place.find()?.map(|stack| stack.view(door)).transpose()?;
    let units = view.into_iter().flat_map(|view| view.services);
    Ok(units.filter(|unit| unit.container.is_some() && unit.pid.is_some()).map(|unit| unit.name).collect())
}

/// The engines that cannot be asked, and why.
async fn silent(engines: Vec<Asked>) -> Vec<(Asked, ContainerTrouble)> {
    let mut silent = Vec::new();
    for asked in engines {
        let client = Client::new(asked.0);
        let client = asked.1.iter().fold(client, Client::context);
        if let Err(why) = client.patience(PATIENCE).version().await {
            let trouble = sorted(&asked, why);
            silent.push((asked, trouble));
        }
    }
    silent
}

fn sorted((engine, context): &Asked, trouble: Trouble) -> ContainerTrouble {
    let silent = |text| ContainerTrouble::NotAnswering { text };
    if trouble.kind == TroubleKind::NoSuchContext && context.is_none() {
        return silent(trouble.text);
    }
    trouble.with_the_engine(*engine, context.as_deref()).unwrap_or_else(|other| silent(other.text))
}

/// One line: what runs, instead of what, why, and how to get the real one.
fn told(plan: &Plan, name: &UnitName, engine: &str, why: &ContainerTrouble, mark: &str) -> String {
    let unit = plan.units.iter().find(|unit| unit.name == *name);
    let image = unit.and_then(|unit| unit.instead_of.as_deref()).unwrap_or("its image");
    let remedy = trouble::no_engine(name.as_str(), engine, why).remedy.into_iter().next().unwrap_or_default();
    // What stands behind a command in a list of remedies is said in brackets: here all is one sentence.
    let remedy = remedy.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "{mark} {name} runs as its fallback and not as {image}: {why}; for the real one: {remedy}, then devstack up\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::EngineKind;

    #[test]
    fn what_cannot_be_asked_is_told_as_what_it_is() {
        let asked = (EngineKind::Podman, Some("far".to_owned()));
        let told = |kind| sorted(&asked, Trouble { kind, text: "its words".to_owned() }).to_string();
        assert_eq!(told(TroubleKind::NotInstalled), "podman is not installed");
        assert_eq!(told(TroubleKind::NoSuchContext), "there is no context far");
        assert_eq!(told(TroubleKind::NotPermitted), "this user may not use the container engine");
        for kind in [TroubleKind::NotRunning, TroubleKind::TimedOut, TroubleKind::Other { code: Some(1) }] {
            assert_eq!(told(kind), "the container engine does not answer");
        }
    }
}
