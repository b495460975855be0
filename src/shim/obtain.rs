//! From nothing, or from what an earlier life left, to a container that runs.

use std::time::Duration;

use super::NotHad;
use super::life::Shim;
use super::position::Position;
use super::trouble::{self, sort};
use crate::domain::{ContainerStep, ContainerTrouble};
use crate::engine::{Container, Engine as _, Status, Trouble, TroubleKind, label};
use crate::plan::PullPolicy;

/// A container that is between two states is asked for again after this.
const AGAIN: Duration = Duration::from_millis(50);
/// And so often at most: a removal takes seconds where much has to be unmounted.
const MOST: usize = 400;

/// What is left to do after a look at what was in the way.
enum Left {
    /// It runs.
    Runs(String),
    /// The way is free.
    Nothing,
}

impl Shim<'_> {
    /// Gives the id of the container, which runs. Anything half made is gone where it fails.
    ///
    /// The engine is asked for a new one straight away: each question takes it as long as a small program takes to start,
    /// and what is in the way it says itself.
    pub(super) async fn obtain(&self) -> Result<String, NotHad> {
        let mut fetched = self.plan.pull == PullPolicy::Always;
        if fetched {
            self.fetch().await?;
        }
        for (name, labels) in self.spec.volumes_to_make(self.plan) {
            self.client.make_volume(&name, &labels).await.map_err(|trouble| self.sorted(trouble))?;
        }
        self.clear_former().await;
        let wanted = self.spec.wanted(self.plan);
        let (mut moved, mut named) = (false, 0);
        loop {
            self.tell(|state| state.step = ContainerStep::Starting);
            let trouble = match self.client.run(&wanted).await {
                Ok(id) => return Ok(id),
                Err(trouble) => trouble,
            };
            match &trouble.kind {
                TroubleKind::NameTaken { .. } if named < 3 => {
                    named += 1;
                    if let Left::Runs(id) = self.take_over().await? {
                        return Ok(id);
                    }
                }
                TroubleKind::NoSuchImage if !fetched && self.may_fetch() => {
                    fetched = true;
                    self.fetch().await?;
                }
                TroubleKind::PortTaken { port } => {
                    self.clear_half_made().await;
                    let port = *port;
                    if moved || !self.clear_renamed(port).await {
                        return Err(self.port_taken(port).await.into());
                    }
                    moved = true;
                }
                _ => {
                    self.clear_half_made().await;
                    return Err(self.sorted(trouble).into());
                }
            }
        }
    }

    fn sorted(&self, trouble: Trouble) -> ContainerTrouble {
        sort(self.plan, trouble)
    }

    /// What is built is not pulled, whatever may be pulled.
    fn may_fetch(&self) -> bool {
        self.plan.build.is_some() || self.plan.pull != PullPolicy::Never
    }

    /// Made for this service of this stack, in whatever life.
    fn is_ours(&self, container: &Container) -> bool {
        label::is_of(&container.labels, &self.spec.owner, self.spec.unit.name.as_str())
    }

    /// A container has the name: ours goes on or makes room, a stranger's is left alone.
    async fn take_over(&self) -> Result<Left, NotHad> {
        for _ in 0..MOST {
            let found = match self.client.inspect(&self.plan.name).await {
                Ok(found) => found,
                Err(trouble) if trouble.kind == TroubleKind::NoSuchContainer => return Ok(Left::Nothing),
                Err(trouble) => return Err(self.sorted(trouble).into()),
            };
            if !self.is_ours(&found) {
                let (name, by) = (self.plan.name.clone(), trouble::stranger(&found));
                return Err(ContainerTrouble::NameTaken { name, by }.into());
            }
            let same = found.labels.get(label::DEFINITION) == Some(&self.spec.unit.definition);
            match found.status {
                Status::Running { .. } | Status::Paused if same => return Ok(Left::Runs(found.id)),
                Status::Created { .. } | Status::Exited(_)
                    if same && self.is_of_present_image(&found).await =>
                {
                    return self.start_again(&found.id).await;
                }
                Status::Between => tokio::select! {
                    () = self.asked_to_end() => return Err(NotHad::Asked),
                    () = tokio::time::sleep(AGAIN) => {}
                },
                Status::Running { .. } | Status::Paused => {
                    // It may be a database: it is asked before it is taken away.
                    let stopped = self.client.stop(&found.id, self.spec.unit.stop.grace).await;
                    stopped.map_err(|trouble| self.sorted(trouble))?;
                    return self.make_room(&found.id).await;
                }
                Status::Created { .. } | Status::Exited(_) => return self.make_room(&found.id).await,
            }
        }
        let text = format!("the container {} is neither there nor gone", self.plan.name);
        Err(ContainerTrouble::Refused { text }.into())
    }

    async fn make_room(&self, id: &str) -> Result<Left, NotHad> {
        self.client.remove(id).await.map_err(|trouble| self.sorted(trouble))?;
        Ok(Left::Nothing)
    }

    async fn start_again(&self, id: &str) -> Result<Left, NotHad> {
        match self.client.start(id).await {
            Ok(()) => Ok(Left::Runs(id.to_owned())),
            Err(Trouble { kind: TroubleKind::NoSuchContainer, .. }) => Ok(Left::Nothing),
            Err(Trouble { kind: TroubleKind::PortTaken { port }, .. }) => {
                Err(self.port_taken(port).await.into())
            }
            Err(trouble) => Err(self.sorted(trouble).into()),
        }
    }

    /// Another image may have got the name since: then the container is one of yesterday.
    async fn is_of_present_image(&self, container: &Container) -> bool {
        // Where the image is gone, a container that was made of it still starts.
        self.client.image(&self.plan.image).await.map_or(true, |image| image.id == container.image)
    }

    /// Takes away what this life made and the engine could not start.
    async fn clear_half_made(&self) {
        if let Ok(found) = self.client.inspect(&self.plan.name).await
            && self.is_ours(&found)
            && found.labels.get(label::LIFE) == Some(&self.spec.life.to_string())
        {
            let _ = self.client.remove(&found.id).await;
        }
    }

    /// The service's own container of an earlier life may have another name: left there, two would be on the same volumes.
    async fn clear_former(&self) {
        let Some(former) = Position::container(&self.spec.position) else { return };
        // Where the engine does not answer, that is told of the next question.
        let Ok(found) = self.client.inspect(&former).await else { return };
        if self.is_ours(&found) && found.name != self.plan.name {
            let _ = self.client.stop(&found.id, self.spec.unit.stop.grace).await;
            let _ = self.client.remove(&found.id).await;
        }
    }

    /// The service's own container under a name that it had before may hold its port: it is taken away.
    async fn clear_renamed(&self, port: Option<u16>) -> bool {
        let mut cleared = false;
        for port in
            self.plan.publish.iter().map(|one| one.host).filter(|one| port.is_none_or(|port| port == *one))
        {
            for found in self.client.publishing(port).await.unwrap_or_default() {
                if self.is_ours(&found) && found.name != self.plan.name {
                    let _ = self.client.stop(&found.id, self.spec.unit.stop.grace).await;
                    cleared |= self.client.remove(&found.id).await.is_ok();
                }
            }
        }
        cleared
    }

    async fn port_taken(&self, port: Option<u16>) -> ContainerTrouble {
        let mut container = None;
        for port in
            self.plan.publish.iter().map(|one| one.host).filter(|one| port.is_none_or(|port| port == *one))
        {
            let found = self.client.publishing(port).await.unwrap_or_default();
            container = container.or_else(|| found.into_iter().next().map(|found| found.name));
        }
        trouble::taken(self.plan, port, container)
    }
}
