//! How files of ours are opened and written: regular ones, this user's alone, and whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::Serialize;

use super::HomeError;

/// Opens a file with mode 0600; a symbolic link planted in its place is refused.
///
/// So is all that is no regular file: to open a pipe can take for ever, and a stop must never wait for one.
pub(crate) fn private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let file = options.mode(0o600).custom_flags(flags).open(path).map_err(|error| {
        match error.raw_os_error() {
            Some(libc::ELOOP) => io::Error::other("it is a symbolic link"),
            // A pipe without a reader, or a socket.
            Some(libc::ENXIO) => io::Error::other("it is no regular file"),
            _ => error,
        }
    })?;
    let meta = file.metadata()?;
    match meta.file_type() {
        // By another name (a hard link) it may be a file of somebody else, which root could write to.
        kind if kind.is_file() && meta.uid() != rustix::process::geteuid().as_raw() => {
            Err(io::Error::other("it belongs to another user"))
        }
        kind if kind.is_file() => Ok(file),
        kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::other("it is no regular file")),
    }
}

/// Opens a file to be read, as [`private_file`] does.
pub(crate) fn read_private(path: &Path) -> io::Result<File> {
    private_file(OpenOptions::new().read(true), path)
}

/// More is not read of a file that is read as a whole: no state is so large, but rubbish may be.
const LARGEST: u64 = 64 << 20;

/// Reads a file as a whole, the beginning of it where it is larger than any of ours.
pub(crate) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let file = read_private(path)?;
    // Room for all of it and a little more: it is read in one call, and the next one finds the end.
    let length = file.metadata()?.len().min(LARGEST);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 64);
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a JSON document to a temporary file and renames it into place.
pub(crate) fn write_whole(path: &Path, value: &impl Serialize) -> Result<(), HomeError> {
    let text = serde_json::to_vec(value)
        .map_err(|error| HomeError::Io { path: path.to_owned(), source: error.into() })?;
    write_text(path, &text)
}

/// Writes a temporary file and renames it into place.
pub(super) fn write_text(path: &Path, text: &[u8]) -> Result<(), HomeError> {
    let failed = |source| HomeError::Io { path: path.to_owned(), source };
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    // What stands there is of a process that had our number, or was planted: it is never opened, let alone cut off.
    let _ = fs::remove_file(&temporary);
    let mut file =
        private_file(OpenOptions::new().write(true).create_new(true), &temporary).map_err(failed)?;
    file.write_all(text).and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        // On a full disk half a document would only take room that is needed.
        let _ = fs::remove_file(&temporary);
        failed(error)
    })
}

/// Makes a directory that is this user's alone, and those above it, or checks the one that is there.
pub(crate) fn private_dir(path: &Path) -> Result<(), HomeError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| match source.kind() {
            // As people say it: a file of that name is in the way.
            io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
            _ => source,
        })
        .map_err(|source| HomeError::Io { path: path.to_owned(), source })?;
    check_private(path)
}

/// Whether a directory is this user's alone.
#[must_use]
pub fn is_private(path: &Path) -> bool {
    check_private(path).is_ok()
}

/// Checks the directory that holds those of all stacks, or the one that it will be made in: whoever may write to it could
/// put a directory of his own in the place of one that was checked. Links on the way are the user's own matter.
pub(super) fn check_place(path: &Path) -> Result<(), HomeError> {
    let own = rustix::process::geteuid().as_raw();
    let found = path.ancestors().find_map(|dir| Some((dir, fs::metadata(dir).ok()?)));
    let Some((dir, meta)) = found else { return Ok(()) };
    // Where all may write (`/tmp`), only its owner may move what he made: a new directory is safe there.
    let sticky = meta.mode() & 0o1000 != 0;
    let of_root = meta.uid() == 0 && (sticky || dir != path);
    let reason = if meta.uid() != own && !of_root {
        "it belongs to another user"
    } else if meta.mode() & 0o002 != 0 && !sticky {
        "others may write to it"
    } else {
        return Ok(());
    };
    Err(HomeError::NotOurs { path: dir.to_owned(), reason })
}

/// Checks that a directory is this user's alone.
pub(super) fn check_private(path: &Path) -> Result<(), HomeError> {
    let meta =
        fs::symlink_metadata(path).map_err(|source| HomeError::Io { path: path.to_owned(), source })?;
    let reason = if meta.file_type().is_symlink() {
        "it is a symbolic link"
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        "it belongs to another user"
    } else if meta.mode() & 0o022 != 0 {
        "others may write to it"
    } else {
        return Ok(());
    };
    Err(HomeError::NotOurs { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let temp = tempfile::tempdir().expect("a directory");
        let at = |name: &str| temp.path().join(name);
        fs::create_dir(at("directory")).expect("made");
        std::os::unix::fs::symlink("/etc/passwd", at("link")).expect("made");
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().expect("mkfifo runs");
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
        for name in ["directory", "link", "pipe", "socket"] {
            assert!(read_private(&at(name)).is_err(), "{name} is read");
            let mut append = OpenOptions::new();
            let opened = private_file(append.append(true).create(true), &at(name));
            assert!(opened.is_err(), "{name} is written");
        }
        private_file(OpenOptions::new().append(true).create(true), &at("file")).expect("a file");
        read_private(&at("file")).expect("a file");
    }
}
