//! Progress while it happens: a block that is redrawn on a terminal, one line per change elsewhere.

use std::io;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::door::Door;
use super::progress::{Track, Verb};
use crate::domain::{UnitView, WallTime};

/// The progress of one command, on standard error. Ends clean when it is dropped.
pub struct Progress {
    door: Door,
    track: Track,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing shown yet. `quiet` shows nothing at all.
    #[must_use]
    pub fn new(door: &Door, verb: Verb) -> Self {
        let bar = door.err.width().map(|_| bar(ProgressDrawTarget::stderr_with_hz(30)));
        Self { door: door.clone(), track: Track::new(verb), bar }
    }

    /// Whether a terminal watches: then [`Progress::tick`] is worth calling, ten times a second.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.bar.is_some()
    }

    /// Shows the next view.
    pub fn update(&mut self, views: &[UnitView], now: WallTime) {
        let news = self.track.update(views, now, &self.door.err);
        match &self.bar {
            Some(_) => self.tick(now),
            None if news.is_empty() => {}
            None => self.door.say(&news),
        }
    }

    /// Turns the spinner and the clock.
    pub fn tick(&mut self, now: WallTime) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.track.block(now, &self.door.err).join("\n"));
        }
    }

    /// Prints something for good, above what is still moving.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.door.say(text)),
            None => self.door.say(text),
        }
    }

    /// Takes all moving lines away; what comes next starts on a clean line.
    pub fn finish(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A text on standard output that is shown again and again: in its own place on a terminal, one after the other elsewhere.
pub struct Block {
    door: Door,
    bar: Option<ProgressBar>,
}

impl Block {
    /// Nothing shown yet.
    #[must_use]
    pub fn new(door: &Door) -> Self {
        let bar = door.out.width().map(|_| bar(ProgressDrawTarget::stdout()));
        Self { door: door.clone(), bar }
    }

    /// Shows the next text; `false` when nobody reads any more.
    pub fn show(&self, text: &str) -> io::Result<bool> {
        match &self.bar {
            Some(bar) => {
                bar.set_message(text.trim_end().to_owned());
                Ok(true)
            }
            None => self.door.stream(&format!("{text}\n")),
        }
    }

    /// Prints something for good, above it.
    pub fn say(&self, text: &str) -> io::Result<bool> {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.door.stream(text)),
            None => self.door.stream(text),
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // The last text stays.
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

fn bar(target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target);
    match ProgressStyle::with_template("{msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
