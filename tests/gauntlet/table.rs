//! What came of it: one row for each shape and mode, and the tables made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::judge::Id;
use crate::promise::{Mode, User};
use crate::shapes::Shape;

/// One shape in one mode.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) shape: &'static Shape,
    pub(crate) mode: Mode,
    pub(crate) user: User,
    /// Who lived before `down`.
    pub(crate) before: BTreeMap<Id, String>,
    /// By which proof devstack knew them.
    pub(crate) found_by: String,
    /// Who lives after it.
    pub(crate) left: Vec<String>,
    /// How many may.
    pub(crate) promised: usize,
    /// Until the last had gone.
    pub(crate) time: Option<Duration>,
    /// What else went wrong.
    pub(crate) fault: Option<String>,
}

impl Row {
    pub(crate) fn holds(&self) -> bool {
        self.fault.is_none() && self.left.len() == self.promised && !self.before.is_empty()
    }

    fn verdict(&self) -> &'static str {
        match (self.holds(), self.promised) {
            (true, 0) => "held",
            (true, _) if self.shape.catch.is_told() => "told, exit 6",
            (true, _) => "not promised",
            (false, _) => "BROKEN",
        }
    }

    fn time(&self) -> String {
        self.time.map_or_else(|| "–".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
    }

    fn line(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.shape.about,
            self.mode,
            self.user,
            names(self.before.values()),
            self.left.len(),
            self.found_by,
            self.time(),
            self.verdict(),
        )
    }

    /// The same as one cell of the short table.
    fn cell(&self) -> String {
        let left = self.left.len();
        let held = if self.holds() { "" } else { "**BROKEN** " };
        let why = if self.promised > 0 { format!(" ({})", self.verdict()) } else { String::new() };
        format!("{held}{left}{why} · {} · {}", self.found_by, self.time())
    }
}

fn names<'a>(all: impl Iterator<Item = &'a String>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in all {
        *counts.entry(name).or_default() += 1;
    }
    let words: Vec<String> = counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    words.join(", ")
}

/// Every row, as it is written to `target/gauntlet`.
pub(crate) fn long(rows: &[Row]) -> String {
    let text = "| shape | mode | user | specimen | left | found by | time | verdict |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    text + &rows.iter().map(Row::line).collect::<String>()
}

/// One row for each shape, one column for each mode, for people.
pub(crate) fn short(user: User, rows: &[Row]) -> String {
    let modes: Vec<Mode> =
        Mode::of(user).iter().copied().filter(|mode| rows.iter().any(|row| row.mode == *mode)).collect();
    let mut text = "| shape |".to_owned();
    for mode in &modes {
        let _ = write!(text, " {mode} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(modes.len()));
    let mut seen = BTreeSet::new();
    for shape in rows.iter().map(|row| row.shape).filter(|shape| seen.insert(shape.name)) {
        let _ = write!(text, "| {} |", shape.about);
        for mode in &modes {
            let row = rows.iter().find(|row| row.shape.name == shape.name && row.mode == *mode);
            let _ = write!(text, " {} |", row.map_or_else(|| "–".to_owned(), Row::cell));
        }
        text.push('\n');
    }
    text
}

/// Writes both tables of a user where `scripts/gauntlet` finds them.
pub(crate) fn write(user: User, rows: &[Row]) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    let dir = target.join("gauntlet");
    // A plain user may have no right to it: the table is printed all the same.
    let written = fs::create_dir_all(&dir)
        .and_then(|()| fs::write(dir.join(format!("{user}.md")), long(rows)))
        .and_then(|()| fs::write(dir.join(format!("{user}.short.md")), short(user, rows)));
    if let Err(why) = written {
        crate::arena::eprint(&format!("no table in {}: {why}\n", dir.display()));
    }
}
