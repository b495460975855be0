//! How long the last starts of each unit took: by this it is known what is usual.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::HomeError;
use super::files::{read_whole, write_whole};
use crate::domain::UnitName;

/// So many starts of each unit are kept.
const KEPT: usize = 10;

/// The last starts of each unit, in milliseconds until its gate held; the latest is the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Starts(BTreeMap<UnitName, VecDeque<u64>>);

impl Starts {
    /// Those on disk; none where there are none, or the file is damaged: it is a help, never a condition.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        read_whole(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Those of one unit.
    #[must_use]
    pub fn of(&self, unit: &UnitName) -> Vec<u64> {
        self.0.get(unit).into_iter().flatten().copied().collect()
    }

    /// One more start of a unit.
    pub fn note(&mut self, unit: &UnitName, millis: u64) {
        let starts = self.0.entry(unit.clone()).or_default();
        starts.push_back(millis);
        let surplus = starts.len().saturating_sub(KEPT);
        starts.drain(..surplus);
    }

    /// Forgets units that the manifest does not have any more.
    pub fn keep(&mut self, known: impl Fn(&UnitName) -> bool) {
        self.0.retain(|unit, _| known(unit));
    }

    /// Puts them on disk, as a whole.
    pub fn write(&self, path: &Path) -> Result<(), HomeError> {
        write_whole(path, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_starts_of_known_units_are_kept_and_a_damaged_file_is_none() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("starts.json");
        let (web, db) = (UnitName::parse("web").expect("a name"), UnitName::parse("db").expect("a name"));
        let mut starts = Starts::read(&path);
        (1..=13).for_each(|millis| starts.note(&web, millis));
        starts.note(&db, 7);
        starts.keep(|unit| *unit == web);
        starts.write(&path).expect("it can be written");
        let read = Starts::read(&path);
        assert_eq!((&read, read.of(&web)), (&starts, (4..=13).collect()));
        assert_eq!(read.of(&db), [0; 0]);
        std::fs::write(&path, b"{\"web\": [1, \"").expect("it can be written");
        assert_eq!(Starts::read(&path), Starts::default());
    }
}
