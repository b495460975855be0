//! The image: pulled or built where it is not here.

use super::NotHad;
use super::life::Shim;
use super::trouble::sort;
use crate::domain::{ContainerStep, ContainerTrouble};
use crate::engine::{Engine as _, Progress, TroubleKind};

impl Shim<'_> {
    /// Builds or pulls the image, and tells how far that is. It ends when the container is no longer wanted.
    pub(super) async fn fetch(&self) -> Result<(), NotHad> {
        tokio::select! {
            biased;
            () = self.asked_to_end() => Err(NotHad::Asked),
            fetched = async {
                match self.spec.build(self.plan) {
                    Some(build) => self.build(&build).await,
                    None => self.pull().await,
                }
            } => fetched.map_err(NotHad::Trouble),
        }
    }

    async fn pull(&self) -> Result<(), ContainerTrouble> {
        self.progress(ContainerStep::Pulling(String::new()));
        let mut pull = self.client.pull(&self.plan.image).map_err(|trouble| sort(self.plan, trouble))?;
        loop {
            match self.telling(pull.next()).await {
                Ok(Some(progress)) => self.progress(ContainerStep::Pulling(far(progress))),
                Ok(None) => return Ok(()),
                Err(trouble) => return Err(sort(self.plan, trouble)),
            }
        }
    }

    async fn build(&self, build: &crate::engine::Build) -> Result<(), ContainerTrouble> {
        self.progress(ContainerStep::Building(String::new()));
        let mut building = self.client.build(build).map_err(|trouble| sort(self.plan, trouble))?;
        loop {
            match self.telling(building.next()).await {
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => self.progress(ContainerStep::Building(line.to_owned())),
                Ok(None) => return Ok(()),
                Err(trouble) => {
                    return Err(match trouble.kind {
                        TroubleKind::NotInstalled
                        | TroubleKind::NotRunning
                        | TroubleKind::NotPermitted
                        | TroubleKind::NoSuchContext => sort(self.plan, trouble),
                        _ => ContainerTrouble::NotBuilt {
                            tail: trouble.text.lines().map(str::to_owned).collect(),
                        },
                    });
                }
            }
        }
    }
}

/// Engines tell no bytes to who is no terminal, but they tell of each layer.
fn far(progress: &Progress) -> String {
    let (done, all) = progress.layers();
    format!("{done} of {all} layers")
}
