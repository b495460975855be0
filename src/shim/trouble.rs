//! An engine's trouble in the words of whoever has to tell it.

use crate::cage;
use crate::domain::{ContainerTrouble, MissingImage};
use crate::engine::{Container, Trouble, TroubleKind};
use crate::plan::ContainerPlan;

/// What is known without asking again. Ports and names are looked at by who asked.
pub(super) fn sort(plan: &ContainerPlan, trouble: Trouble) -> ContainerTrouble {
    let trouble = match trouble.with_the_engine(plan.engine, plan.context.as_deref()) {
        Ok(trouble) => return trouble,
        Err(other) => other,
    };
    let text = trouble.text;
    let image = |why, text| ContainerTrouble::NoImage { image: plan.image.clone(), why, text };
    match trouble.kind {
        TroubleKind::NameTaken { by } => {
            ContainerTrouble::NameTaken { name: plan.name.clone(), by: by.unwrap_or_default() }
        }
        TroubleKind::NoSuchImage => image(MissingImage::NotPulled, text),
        TroubleKind::NotInRegistry => image(MissingImage::NotInRegistry, text),
        TroubleKind::Offline => image(MissingImage::Offline, text),
        TroubleKind::NoSuchNetwork => {
            ContainerTrouble::NoSuchNetwork { network: plan.network.clone().unwrap_or_default() }
        }
        TroubleKind::NotExecutable => ContainerTrouble::NotExecutable { text },
        TroubleKind::PortTaken { port } => taken(plan, port, None),
        TroubleKind::NoSuchContainer => ContainerTrouble::Removed,
        // The first five were told above.
        TroubleKind::NotInstalled
        | TroubleKind::NotRunning
        | TroubleKind::NotPermitted
        | TroubleKind::NoSuchContext
        | TroubleKind::TimedOut
        | TroubleKind::ContainerStopped
        | TroubleKind::NoSuchVolume
        | TroubleKind::VolumeInUse
        | TroubleKind::NoLog
        | TroubleKind::Unreadable
        | TroubleKind::Other { .. } => ContainerTrouble::Refused { text },
    }
}

/// A port is held: by whom, as far as it can be seen from here.
pub(super) fn taken(plan: &ContainerPlan, port: Option<u16>, container: Option<String>) -> ContainerTrouble {
    let declared = || plan.publish.iter().map(|port| port.host);
    // Not every engine tells which; the first that somebody listens on is as good as told.
    let port = port.or_else(|| declared().find(|port| cage::holder(*port).is_some()));
    let port = port.or_else(|| declared().next()).unwrap_or_default();
    ContainerTrouble::PortTaken { port, container, holder: cage::holder(port) }
}

/// A container of somebody else, so that he is found: `3f2a91b0c4d5 (image redis:7, compose project shop)`.
pub(super) fn stranger(container: &Container) -> String {
    let mut known = vec![format!("image {}", container.image_name)];
    let label = |name: &str| container.labels.get(name);
    if let Some(project) = label("com.docker.compose.project") {
        known.push(format!("compose project {project}"));
    } else if let Some(stack) = label(crate::engine::label::NAME) {
        known.push(format!("devstack stack {stack} of another user, machine or state"));
    }
    format!("{} ({})", container.id.get(..12).unwrap_or(&container.id), known.join(", "))
}
