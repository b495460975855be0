//! Merges the logs of several units by time, and goes on as they grow: told by the kernel, never by looking again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::bytes::Regex;
use rustix::event::{PollFd, PollFlags, poll};

use super::LogsError;
use super::print::Printer;
use crate::domain::WallTime;
use crate::store::log::{Follower, Lines, Wanted, bytes};
use crate::sys::watch::{Watch, WatchId};

/// After so many lines, a flood of one unit lets the others speak.
const TURN: u32 = 1024;

/// Where a unit's lines come from.
struct Source {
    path: PathBuf,
    lines: Lines,
    watched: Option<(Arc<File>, WatchId)>,
}

/// The logs of several units, merged.
pub(super) struct Merge {
    sources: Vec<Source>,
    pattern: Option<Regex>,
    watch: Option<Watcher>,
    /// The units that have a line in hand, by its time.
    heap: BinaryHeap<Reverse<(WallTime, usize)>>,
}

impl Merge {
    pub(super) fn open(paths: Vec<PathBuf>, wanted: &Wanted) -> Result<Self, LogsError> {
        let watch = if wanted.live { Some(Watcher::new(&paths)?) } else { None };
        let mut sources = Vec::new();
        for path in paths {
            let lines = Lines::open(&path, wanted).map_err(read_error(&path))?;
            sources.push(Source { path, lines, watched: None });
        }
        Ok(Self { sources, pattern: wanted.pattern.clone(), watch, heap: BinaryHeap::new() })
    }

    /// Writes all lines in order; while following, until there can be no more or the reader goes away.
    pub(super) fn print<W: Write + AsFd>(mut self, printer: &mut Printer<'_, W>) -> Result<(), LogsError> {
        let mut stirred: Vec<usize> = (0..self.sources.len()).collect();
        loop {
            for unit in stirred.drain(..) {
                self.pull(unit)?;
            }
            self.turn(printer)?;
            if self.watch.is_none() && self.heap.is_empty() || self.sources.iter().all(|s| s.lines.is_over())
            {
                return printer.end().map_err(LogsError::Write);
            }
            let wait = self.heap.is_empty();
            if wait {
                printer.flush().map_err(LogsError::Write)?;
            }
            if let Some(watch) = &self.watch {
                if !watch.wait(printer.out().as_fd(), wait)? {
                    return Ok(());
                }
                stirred = watch.stirred()?;
                // A unit that has a line in hand is read on anyway.
                stirred.retain(|unit| self.sources[*unit].lines.line().is_none());
            }
        }
    }

    /// Writes lines in the order of their times, at most a turn's worth.
    fn turn<W: Write>(&mut self, printer: &mut Printer<'_, W>) -> Result<(), LogsError> {
        let mut left = TURN;
        while let Some(Reverse((_, unit))) = self.heap.pop() {
            left = left.saturating_sub(1);
            let mut cut = false;
            if let Some(line) = self.sources[unit].lines.line() {
                printer.line(unit, &line).map_err(LogsError::Write)?;
                cut = line.cut;
            }
            self.pull(unit)?;
            if left == 0 && !cut {
                break;
            }
        }
        Ok(())
    }

    /// Takes the unit's next wanted line in hand, if there is one now.
    fn pull(&mut self, unit: usize) -> Result<(), LogsError> {
        let source = &mut self.sources[unit];
        loop {
            while source.lines.advance().map_err(read_error(&source.path))? {
                let Some(line) = source.lines.line() else { break };
                if self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(line.bytes)) {
                    self.heap.push(Reverse((line.time, unit)));
                    return Ok(());
                }
            }
            let Some(watch) = &mut self.watch else { return Ok(()) };
            // A file watched only now may have been written to before: look once more.
            if !watch.renew(unit, source.lines.follower(), &mut source.watched)? {
                return Ok(());
            }
        }
    }
}

/// Writes one unit's log as it is, byte for byte; while following, half lines at once.
pub(super) fn raw<W: Write + AsFd>(
    path: &Path,
    wanted: &Wanted,
    printer: &mut Printer<'_, W>,
) -> Result<(), LogsError> {
    let mut follower = bytes(path, wanted).map_err(read_error(path))?;
    let mut watch = if wanted.live { Some(Watcher::new(&[path.to_owned()])?) } else { None };
    let mut watched = None;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = follower.read(&mut buffer).map_err(read_error(path))?;
        printer.bytes(&buffer[..count]).map_err(LogsError::Write)?;
        if count > 0 {
            continue;
        }
        let Some(watch) = &mut watch else { return printer.end().map_err(LogsError::Write) };
        if watch.renew(0, &follower, &mut watched)? {
            continue;
        }
        printer.flush().map_err(LogsError::Write)?;
        if !watch.wait(printer.out().as_fd(), true)? {
            return Ok(());
        }
        watch.stirred()?;
    }
}

/// Knows which unit's log stirred.
struct Watcher {
    watch: Watch,
    files: HashMap<WatchId, usize>,
    dirs: HashMap<WatchId, Vec<(usize, PathBuf)>>,
    units: usize,
}

impl Watcher {
    fn new(paths: &[PathBuf]) -> Result<Self, LogsError> {
        let watch = Watch::new().map_err(read_error(Path::new("inotify")))?;
        let mut dirs: HashMap<WatchId, Vec<(usize, PathBuf)>> = HashMap::new();
        for (unit, path) in paths.iter().enumerate() {
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let id = watch.dir(dir).map_err(read_error(dir))?;
            dirs.entry(id).or_default().push((unit, path.file_name().unwrap_or_default().into()));
        }
        Ok(Self { watch, files: HashMap::new(), dirs, units: paths.len() })
    }

    /// Watches the unit's newest file; true if that was not so before.
    fn renew(
        &mut self,
        unit: usize,
        follower: &Follower,
        watched: &mut Option<(Arc<File>, WatchId)>,
    ) -> Result<bool, LogsError> {
        let Some(newest) = follower.newest() else { return Ok(false) };
        if watched.as_ref().is_some_and(|(file, _)| Arc::ptr_eq(file, newest)) {
            return Ok(false);
        }
        if let Some((_, old)) = watched.take() {
            self.files.remove(&old);
            self.watch.forget(old);
        }
        let id = self.watch.file(newest).map_err(read_error(Path::new("inotify")))?;
        self.files.insert(id, unit);
        *watched = Some((newest.clone(), id));
        Ok(true)
    }

    /// Waits until a log stirred; false when the reader of `out` has gone away.
    fn wait(&self, out: BorrowedFd<'_>, forever: bool) -> Result<bool, LogsError> {
        let none = rustix::event::Timespec::default();
        loop {
            // No events are asked of `out`: errors and hang-ups are told all the same.
            let mut fds =
                [PollFd::new(&self.watch, PollFlags::IN), PollFd::from_borrowed_fd(out, PollFlags::empty())];
            match poll(&mut fds, if forever { None } else { Some(&none) }) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(read_error(Path::new("inotify"))(error.into())),
            }
            let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
            return Ok(!fds[1].revents().intersects(gone));
        }
    }

    /// The units whose logs stirred, each once.
    fn stirred(&self) -> Result<Vec<usize>, LogsError> {
        let mut units = Vec::new();
        let told = self.watch.drain(|stirred| {
            let Some(id) = stirred.id else {
                units.extend(0..self.units);
                return;
            };
            units.extend(self.files.get(&id));
            for (unit, name) in self.dirs.get(&id).into_iter().flatten() {
                if stirred.name.as_ref().is_none_or(|other| other == name.as_os_str()) {
                    units.push(*unit);
                }
            }
        });
        told.map_err(read_error(Path::new("inotify")))?;
        units.sort_unstable();
        units.dedup();
        Ok(units)
    }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> LogsError {
    let path = path.to_owned();
    move |source| LogsError::Read { path, source }
}
