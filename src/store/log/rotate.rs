//! A new file begins: older ones move up by one, the oldest goes.

use std::io;
use std::path::{Path, PathBuf};

use super::times::times_path;

/// The file that was the present one `age` rotations ago; 0 is the present one.
#[must_use]
pub fn rotated_path(log: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return log.to_owned();
    }
    let mut path = log.as_os_str().to_owned();
    path.push(format!(".{age}"));
    path.into()
}

/// Moves each file up by one, so that the path is free; at most `max_files` files are left once it is used again.
pub(super) fn make_room(log: &Path, max_files: u32) -> io::Result<()> {
    let oldest_kept = max_files.saturating_sub(1);
    let mut free = 1;
    while free < oldest_kept && rotated_path(log, free).exists() {
        free += 1;
    }
    // Never renamed over: ext4 takes that for the saving of a precious file and begins to write the whole of it to the
    // disk at once, which the next removal then waits for (measured: half the speed under a flood).
    remove(&rotated_path(log, free.min(oldest_kept)))?;
    for age in (0..free.min(oldest_kept)).rev() {
        shift(&rotated_path(log, age), &rotated_path(log, age + 1))?;
    }
    // A smaller limit than in an earlier life leaves files behind that nobody would ever remove.
    let mut beyond = oldest_kept.saturating_add(1);
    while oldest_kept > 0 && remove(&rotated_path(log, beyond))? {
        beyond += 1;
    }
    Ok(())
}

fn shift(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    match std::fs::rename(times_path(from), times_path(to)) {
        // Without times of its own, the file must not get those of another.
        Err(_) => ignore_missing(std::fs::remove_file(times_path(to))).map(|_| ()),
        Ok(()) => Ok(()),
    }
}

/// Whether there was such a file.
fn remove(log: &Path) -> io::Result<bool> {
    let was_there = ignore_missing(std::fs::remove_file(log))?;
    ignore_missing(std::fs::remove_file(times_path(log)))?;
    Ok(was_there)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("plain names"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_goes_and_times_move_along() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("a.log");
        for round in 0..5 {
            std::fs::write(&log, round.to_string()).expect("written");
            std::fs::write(times_path(&log), round.to_string()).expect("written");
            make_room(&log, 3).expect("room");
        }
        assert_eq!(names(dir.path()), ["a.log.1", "a.log.1.times", "a.log.2", "a.log.2.times"]);
        assert_eq!(std::fs::read_to_string(rotated_path(&log, 1)).expect("kept"), "4");
        assert_eq!(std::fs::read_to_string(times_path(&rotated_path(&log, 2))).expect("kept"), "3");
    }

    #[test]
    fn a_smaller_limit_removes_what_is_beyond_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("a.log");
        for name in ["a.log", "a.log.1", "a.log.2", "a.log.3", "a.log.4"] {
            std::fs::write(dir.path().join(name), name).expect("written");
        }
        make_room(&log, 2).expect("room");
        assert_eq!(names(dir.path()), ["a.log.1"]);
        std::fs::write(&log, "new").expect("written");
        make_room(&log, 1).expect("room");
        assert!(!log.exists());
    }
}
