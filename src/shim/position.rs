//! How much of a container's log was told: kept so that the shim of a later life goes on where this one was killed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::LogPosition;
use crate::store::{private_file, read_whole};

/// Always so many bytes, written over the ones before by one call: a kill falls before it or after it.
const SIZE: usize = 256;

/// The file.
#[derive(Debug)]
pub(super) struct Position {
    file: File,
    /// Whose log it is.
    container: String,
}

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    container: &'a str,
    at: &'a str,
    seen: u32,
}

impl Position {
    /// Opens it for the log of this container, and reads how far that was told.
    pub(super) fn open(path: &Path, container: &str) -> io::Result<(Self, Option<LogPosition>)> {
        let file = private_file(OpenOptions::new().read(true).write(true).create(true), path)?;
        let mut bytes = [0; SIZE];
        let count = file.read_at(&mut bytes, 0).unwrap_or(0);
        // Anything that cannot be read is no position: the log is told from its beginning.
        let kept: Option<Kept<'_>> = serde_json::from_slice(&bytes[..count]).ok();
        let known = kept.filter(|kept| kept.container == container);
        let is_new = known.is_none();
        let position = known
            .filter(|kept| !kept.at.is_empty())
            .map(|kept| LogPosition { at: kept.at.to_owned(), seen: kept.seen });
        let file = Self { file, container: container.to_owned() };
        if is_new {
            // Whose log it will be stands there even where nothing is ever told.
            file.keep(&LogPosition { at: String::new(), seen: 0 });
        }
        Ok((file, position))
    }

    /// The container whose log was told last: that of an earlier life.
    pub(super) fn container(path: &Path) -> Option<String> {
        let bytes = read_whole(path).ok()?;
        serde_json::from_slice::<Kept<'_>>(&bytes).ok().map(|kept| kept.container.to_owned())
    }

    /// All up to here was told.
    pub(super) fn keep(&self, position: &LogPosition) {
        let kept = Kept { container: &self.container, at: &position.at, seen: position.seen };
        let mut bytes = Vec::with_capacity(SIZE);
        if serde_json::to_writer(&mut bytes, &kept).is_err() || bytes.len() >= SIZE {
            return;
        }
        bytes.resize(SIZE - 1, b' ');
        bytes.push(b'\n');
        let _ = self.file.write_all_at(&bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_of_one_container() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("position");
        let (id, other) = ("a".repeat(64), "b".repeat(64));
        let (file, none) = Position::open(&path, &id).expect("opened");
        assert_eq!(none, None);
        assert_eq!(Position::open(&path, &id).expect("opened").1, None, "nothing was told of it");
        assert_eq!(Position::container(&path).as_ref(), Some(&id));
        let long = LogPosition { at: "2026-11-21T10:57:44.139373748+01:00".into(), seen: u32::MAX };
        let short = LogPosition { at: "2026-11-21T10:57:45.1Z".into(), seen: 1 };
        for position in [long, short] {
            file.keep(&position);
            assert_eq!(Position::open(&path, &id).expect("opened").1, Some(position));
        }
        assert_eq!(Position::open(&path, &other).expect("opened").1, None);
        std::fs::write(&path, b"{\"container\":").expect("written");
        assert_eq!(Position::open(&path, &id).expect("opened").1, None);
    }
}
