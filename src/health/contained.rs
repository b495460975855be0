//! What can be asked of a container: what its shim tells of it, and whether its ports lead to anything.
//!
//! A bare connection proves nothing: the engine's proxy takes it before anybody listens inside, and closes it then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;

use super::endpoint::{Endpoint, reason};
use super::hub::Subscription;
use crate::domain::{ContainerState, ContainerStep, OwnHealth, Pid};
use crate::plan::PublishPlan;
use crate::store::read_whole;
use crate::sys::ports::{listeners, listeners_within};
use crate::sys::proc;

/// A proxy that reaches nobody inside closes at once; a program that waits to be spoken to is silent.
const SILENCE: Duration = Duration::from_millis(700);

/// Its first process is told a moment after it runs; of an engine on another machine it never is.
const FIRST: Duration = Duration::from_secs(1);

/// So often it is looked at whether its first process is there.
const LOOK: Duration = Duration::from_millis(250);

/// The words that run a command inside a container, by its id.
pub type Inside = Rc<dyn Fn(&str, &[String]) -> Vec<String>>;

/// A container as its probes see it. Cheap to clone.
#[derive(Clone)]
pub struct Contained {
    /// What its shim tells.
    pub state: watch::Receiver<ContainerState>,
    /// Its ports of the host.
    pub publish: Rc<[PublishPlan]>,
    /// How a command is run inside.
    pub inside: Inside,
}

/// Tells what a shim tells of its container, at each change, for ever.
pub async fn follow(path: PathBuf, mut tell: impl FnMut(ContainerState)) {
    let mut last = None;
    // Before the first look: what is written in between must be told.
    let Ok(mut stirs) = Subscription::new(&path) else {
        tracing::warn!(path = %path.display(), "what becomes of a container cannot be watched");
        return;
    };
    loop {
        if let Some(state) = read(&path).filter(|state| last.as_ref() != Some(state)) {
            last = Some(state.clone());
            tell(state);
        }
        if stirs.next().await.is_err() {
            return;
        }
    }
}

/// Whether its first process is alive. Who told its number has seen it here.
fn is_there(pid: i32) -> bool {
    Pid::new(pid).and_then(proc::identify).is_some_and(proc::is_alive)
}

fn read(path: &Path) -> Option<ContainerState> {
    serde_json::from_slice(&read_whole(path).ok()?).ok()
}

impl Contained {
    /// The published port that an address of this machine leads to, if it is one.
    pub(super) fn published(&self, host: &str, port: u16) -> Option<PublishPlan> {
        let local = Endpoint::new(host, port).is_local();
        self.publish.iter().copied().find(|one| local && one.host == port)
    }

    /// Its own health check, as the shim told it last; an error is the answer in words.
    pub(super) fn own(&mut self) -> Result<(), String> {
        let state = self.state.borrow_and_update();
        // The kernel knows of its end before anybody has told it.
        if state.step == ContainerStep::Running && state.pid.is_some_and(|pid| !is_there(pid)) {
            return Err("its container has ended".to_owned());
        }
        match (&state.step, &state.health) {
            (ContainerStep::Running, OwnHealth::None | OwnHealth::Healthy) => Ok(()),
            (ContainerStep::Running, OwnHealth::Starting) => Err("not healthy yet".to_owned()),
            (ContainerStep::Running, OwnHealth::Unhealthy(last)) if last.is_empty() => {
                Err("unhealthy".to_owned())
            }
            (ContainerStep::Running, OwnHealth::Unhealthy(last)) => Err(format!("unhealthy: {last}")),
            (ContainerStep::Stopping | ContainerStep::Ended, _) => Err("its container has ended".to_owned()),
            _ => Err("its container does not run yet".to_owned()),
        }
    }

    /// Waits until its own health check is good.
    pub(super) async fn is_well(&mut self) {
        while self.own().is_err() {
            let told = self.state.changed();
            // What is seen of its first process is told by nobody, and one that becomes another program is gone for a moment.
            match tokio::time::timeout(LOOK, told).await {
                Ok(Ok(())) | Err(_) => {}
                // Nobody is there any more who could tell.
                Ok(Err(_)) => std::future::pending::<()>().await,
            }
        }
    }

    /// Whether each of its ports leads to somebody who listens inside.
    pub(super) async fn reaches_all(&self) -> Result<(), String> {
        for port in self.publish.iter() {
            let reached = self.reaches(port).await;
            let healthy = self.state.borrow().health == OwnHealth::Healthy;
            reached.map_err(|why| {
                if healthy { format!("healthy inside, dead from the host: {why}") } else { why }
            })?;
        }
        Ok(())
    }

    /// Whether a port of the host leads to somebody who listens inside.
    pub(super) async fn reaches(&self, port: &PublishPlan) -> Result<(), String> {
        let mut state = self.state.clone();
        let known = tokio::time::timeout(FIRST, state.wait_for(|state| state.pid.is_some())).await;
        let pid = known.ok().and_then(Result::ok).and_then(|state| state.pid);
        let address = match port.address {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        let mut endpoint = Endpoint::new(&address.to_string(), port.host);
        if let Some(inside) = pid.and_then(listeners_within) {
            let there = inside.iter().filter(|one| one.port == port.inside);
            let (mut outward, mut any) = (false, false);
            for one in there {
                any = true;
                outward |= !one.address.to_canonical().is_loopback();
            }
            if !any {
                return Err(format!("nothing listens on port {} inside its container", port.inside));
            }
            if !outward {
                return Err(format!(
                    "port {} is listened on at the loopback address inside its container only, which no port of the host leads to",
                    port.inside
                ));
            }
            // A connection would only be one more line in its log.
            if listeners().iter().any(|one| one.port == port.host) {
                return Ok(());
            }
        }
        let text = endpoint.text();
        let cannot = |error: &std::io::Error| format!("{text}: {}", reason(error));
        let mut stream = endpoint.connect().await.map_err(|error| cannot(&error))?;
        match tokio::time::timeout(SILENCE, stream.read_u8()).await {
            Err(_) | Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(format!("{text}: closed at once, nothing listens inside"))
            }
            Ok(Err(error)) => Err(cannot(&error)),
        }
    }
}
