//! The file by which a shim tells what becomes of its container.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{ContainerState, ContainerStep};
use crate::store::write_whole;

/// Whoever watches the file is woken by each change: how far a pull is changes faster than anybody reads.
const RATE: Duration = Duration::from_millis(100);

/// What is known of the container, on disk whole after each change.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    now: ContainerState,
    told: Option<Instant>,
    /// How far something is by now, where the last word was too young to be followed by another.
    held: Option<ContainerStep>,
}

impl State {
    /// Nothing is known yet, and that is told.
    pub(super) fn new(path: PathBuf) -> Self {
        let mut state = Self { path, now: ContainerState::default(), told: None, held: None };
        state.write();
        state
    }

    pub(super) fn now(&self) -> &ContainerState {
        &self.now
    }

    /// Changes it; what is as it was is not written again.
    pub(super) fn set(&mut self, change: impl FnOnce(&mut ContainerState)) {
        self.held = None;
        let before = self.now.clone();
        change(&mut self.now);
        if self.now != before {
            self.write();
        }
    }

    /// How far something is that takes its time; held back where the last word is too young (see [`Self::due`]).
    pub(super) fn progress(&mut self, step: ContainerStep) {
        let same_kind = std::mem::discriminant(&self.now.step) == std::mem::discriminant(&step);
        if !same_kind || self.told.is_none_or(|told| told.elapsed() >= RATE) {
            self.set(|state| state.step = step);
        } else {
            self.held = Some(step);
        }
    }

    /// When what was held back may be told: it must be, or a pull that stands still shows an old word for ever.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.as_ref().and(self.told).map(|told| told + RATE)
    }

    /// Tells what was held back.
    pub(super) fn tell_held(&mut self) {
        if let Some(step) = self.held.take() {
            self.set(|state| state.step = step);
        }
    }

    fn write(&mut self) {
        self.told = Some(Instant::now());
        // On a full disk the next change is told, and the exit code in any case.
        let _ = write_whole(&self.path, &self.now);
    }
}
