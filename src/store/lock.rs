//! A lock that the kernel lets go of when its holder dies.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::files::{private_file, read_private};

/// A held `flock`; dropping it lets go.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock alone")] File);

impl Lock {
    /// Takes the lock and writes this process's number into it; none while another process holds it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(sign(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the lock and writes this process's number into it.
    pub fn take(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(sign(file))
    }

    /// The number that the holder wrote, while somebody holds the lock.
    #[must_use]
    pub fn holder(path: &Path) -> Option<i32> {
        let mut file = read_private(path).ok()?;
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return None;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

/// Writes down who holds it. A help for people only: on a full disk the lock holds all the same.
fn sign(file: File) -> Lock {
    let _ = write_number(&file, std::process::id());
    Lock(file)
}

/// Puts a number in the place of what a file holds, as wide as the widest: what is written over need not be cut off
/// first, which gives its place on the disk back and takes milliseconds (ext4).
pub(super) fn write_number(file: &File, number: u32) -> io::Result<()> {
    const WIDTH: u64 = 11;
    if file.metadata()?.len() > WIDTH {
        file.set_len(0)?;
    }
    file.write_all_at(format!("{number:<10}\n").as_bytes(), 0)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    private_file(options.read(true).write(true).create(true).truncate(false), path)
        // Where nothing may be written, a lock needs no writing: a stop must be possible there as well.
        .or_else(|error| read_private(path).map_err(|_| error))
        .or_else(|error| path.parent().map_or(Err(error), File::open))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_its_number_is_told() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("lock");
        let held = Lock::try_take(&path).expect("opens").expect("is free");
        assert!(Lock::try_take(&path).expect("opens").is_none());
        assert_eq!(Lock::holder(&path), i32::try_from(std::process::id()).ok());
        drop(held);
        assert_eq!(Lock::holder(&path), None);
        assert!(Lock::try_take(&path).expect("opens").is_some());
    }

    #[test]
    fn whatever_stood_there_the_number_is_told() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("lock");
        for before in ["4", "4294967295\n", "7 and more than any number"] {
            std::fs::write(&path, before).expect("written");
            let _held = Lock::try_take(&path).expect("opens").expect("is free");
            assert_eq!(Lock::holder(&path), i32::try_from(std::process::id()).ok(), "{before}");
        }
    }
}
