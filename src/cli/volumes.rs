//! The named volumes of a stack: kept by `down`, removed by `down --volumes` after it was asked.

use std::io::{self, BufRead as _, IsTerminal as _};

use super::exit::CliError;
use crate::domain::{ContainerTrouble, DownReport};
use crate::engine::{Client, Engine as _, Trouble, TroubleKind, label};
use crate::plan::{ContainerPlan, EngineKind, Plan, VolumeSource};
use crate::show::down::Volumes;
use crate::show::{Door, Paint};

/// An engine that a stack uses.
struct Used {
    kind: EngineKind,
    context: Option<String>,
    client: Client,
}

/// The volumes of a stack, by the engines that have them.
pub(super) struct Found {
    engines: Vec<(Used, Vec<String>)>,
}

/// What `down --volumes` may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consent {
    Given,
    Ask,
    /// Nobody is there to be asked.
    Impossible,
}

impl Found {
    /// Every volume that carries this stack's label, in each engine that one of these plans names.
    pub(super) async fn of(owner: &str, plans: &[&Plan]) -> Result<Self, CliError> {
        let mut engines: Vec<(Used, Vec<String>)> = Vec::new();
        for plan in containers(plans) {
            if engines.iter().any(|(used, _)| used.kind == plan.engine && used.context == plan.context) {
                continue;
            }
            let used = Used { kind: plan.engine, context: plan.context.clone(), client: Client::of(plan) };
            let mut names = used
                .client
                .volumes(&label::of_owner(owner))
                .await
                .map_err(|trouble| refused(&used, trouble))?;
            names.sort();
            engines.push((used, names));
        }
        Ok(Self { engines })
    }

    fn names(&self) -> Vec<&str> {
        self.engines.iter().flat_map(|(_, names)| names).map(String::as_str).collect()
    }

    /// Asks whoever sits there. False where he does not want it.
    pub(super) fn agreed(&self, door: &Door, yes: bool, json: bool) -> Result<bool, CliError> {
        let names = self.names();
        if names.is_empty() {
            return Ok(true);
        }
        let terminal = !json && io::stdin().is_terminal() && io::stderr().is_terminal();
        match consent(yes, terminal) {
            Consent::Given => Ok(true),
            Consent::Impossible => Err(CliError::Usage(format!(
                "`down --volumes` removes {} with all that is in them, and nobody can be asked here: add --yes",
                names.join(", ")
            ))),
            Consent::Ask => {
                door.say(&question(&door.err, &names));
                let mut answer = String::new();
                io::stdin().lock().read_line(&mut answer)?;
                Ok(is_yes(&answer))
            }
        }
    }

    /// Removes them. What was not removed is told with its reason.
    pub(super) async fn remove(self) -> Volumes {
        let mut told = Volumes::default();
        for (used, names) in self.engines {
            for name in names {
                match used.client.remove_volume(&name).await {
                    Ok(()) | Err(Trouble { kind: TroubleKind::NoSuchVolume, .. }) => told.removed.push(name),
                    Err(trouble) => told.left.push((name, trouble.text)),
                }
            }
        }
        told
    }

    /// Leaves them, and says so.
    pub(super) fn left(self, why: &str) -> Volumes {
        let names = self.engines.into_iter().flat_map(|(_, names)| names);
        Volumes { left: names.map(|name| (name, why.to_owned())).collect(), ..Volumes::default() }
    }
}

/// The volumes that a stop of the whole stack has kept, by their names in the manifest.
pub(super) fn kept(report: &DownReport, plans: &[&Plan]) -> Volumes {
    let ended =
        |name: &str| report.units.iter().any(|unit| unit.name.as_str() == name && unit.container.is_some());
    let units = plans.iter().flat_map(|plan| &plan.units).filter(|unit| ended(unit.name.as_str()));
    let mounted = units.filter_map(|unit| unit.container.as_ref()).flat_map(|container| &container.volumes);
    let mut kept: Vec<String> = mounted
        .filter_map(|volume| match &volume.source {
            VolumeSource::Named { written, external: false, .. } => Some(written.clone()),
            // What is not this stack's is not kept by it either.
            VolumeSource::Named { .. } | VolumeSource::Path(_) | VolumeSource::Anonymous => None,
        })
        .collect();
    kept.sort();
    kept.dedup();
    Volumes { kept, ..Volumes::default() }
}

fn containers<'a>(plans: &[&'a Plan]) -> impl Iterator<Item = &'a ContainerPlan> {
    let units = plans.iter().flat_map(|plan| &plan.units).collect::<Vec<_>>();
    units.into_iter().filter_map(|unit| unit.container.as_deref())
}

fn consent(yes: bool, terminal: bool) -> Consent {
    match (yes, terminal) {
        (true, _) => Consent::Given,
        (false, true) => Consent::Ask,
        (false, false) => Consent::Impossible,
    }
}

fn question(paint: &Paint, names: &[&str]) -> String {
    let list: Vec<String> = names.iter().map(|name| format!("  {}", paint.clean(name))).collect();
    format!(
        "these volumes will be removed, with all that is in them:\n{}\nremove them? [y/N] ",
        list.join("\n")
    )
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn refused(used: &Used, trouble: Trouble) -> CliError {
    let trouble = trouble
        .with_the_engine(used.kind, used.context.as_deref())
        .unwrap_or_else(|other| ContainerTrouble::NotAnswering { text: other.text });
    CliError::NoEngine {
        whom: "down --volumes".to_owned(),
        engine: used.kind.command().to_owned(),
        trouble: Box::new(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_without_a_yes() {
        assert_eq!(consent(false, false), Consent::Impossible);
        assert_eq!(consent(false, true), Consent::Ask);
        assert_eq!(consent(true, false), Consent::Given);
        for yes in ["y\n", " YES \n", "Yes"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yeah", "no\n", "y y"] {
            assert!(!is_yes(no), "{no:?}");
        }
        let told = question(&Paint::plain(), &["shop-pgdata-1a2b3c", "x\x1b[2J"]);
        assert!(told.contains("  shop-pgdata-1a2b3c\n") && !told.contains('\x1b'), "{told}");
    }
}
