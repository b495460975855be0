//! The process table of Linux: `/proc`.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::stat::{Stat, parse_stat};
use crate::domain::{Exit, ProcId};
use crate::sys::clock;
use crate::sys::exit::exit_of_raw;

/// `/proc` itself, opened once: paths below it are short, and a later chroot or mount does not mislead us.
fn root() -> Option<BorrowedFd<'static>> {
    static ROOT: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let open =
        || rustix::fs::open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
    ROOT.get_or_init(open).as_ref().map(std::os::fd::AsFd::as_fd)
}

fn open(path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(root().ok_or(Errno::NOENT)?, path, flags | OFlags::CLOEXEC, Mode::empty())
}

/// Up to `most` bytes of a file.
fn read(path: &str, most: usize) -> Result<Vec<u8>, Errno> {
    let file = open(path, OFlags::RDONLY)?;
    let mut chunk = [0_u8; 8192];
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let length = rustix::io::read(&file, &mut chunk[..])?;
        bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
        // `/proc` gives a page at a time where there is more: what is far shorter is the end, and saves a call.
        if length < 2048 {
            break;
        }
    }
    bytes.truncate(most);
    Ok(bytes)
}

/// Asks `/proc/PID/FILE`; where the first thread is dead, the same file of a thread that lives.
///
/// The first thread may end while others run on: then its own entry shows no memory and no descriptors.
fn of_any_thread<T>(
    pid: i32,
    file: &str,
    ask: impl Fn(&str) -> Result<Option<T>, Errno>,
) -> Result<Option<T>, Errno> {
    let first = ask(&format!("{pid}/{file}"));
    if matches!(first, Ok(Some(_))) {
        return first;
    }
    // Nothing, or a refusal: a dead first thread may not be read by its own user, while its living ones may.
    let threads = numbers(&format!("{pid}/task"));
    let others = threads.iter().filter(|tid| **tid != pid);
    others
        .take(64)
        .find_map(|tid| ask(&format!("{pid}/task/{tid}/{file}")).ok().flatten())
        .map_or(first, |it| Ok(Some(it)))
}

/// The numbers that a directory holds.
fn numbers(path: &str) -> Vec<i32> {
    let Ok(fd) = open(path, OFlags::RDONLY | OFlags::DIRECTORY) else { return Vec::new() };
    numbers_in(fd).unwrap_or_default()
}

fn numbers_in(fd: OwnedFd) -> Result<Vec<i32>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::new(fd)? {
        let entry = entry?;
        found.extend(
            std::str::from_utf8(entry.file_name().to_bytes()).ok().and_then(|name| name.parse::<i32>().ok()),
        );
    }
    Ok(found)
}

pub(super) fn stat(pid: i32) -> Option<Stat> {
    let fd = open(&format!("{pid}/stat"), OFlags::RDONLY).ok()?;
    // The line has about 52 numbers; 2 KiB hold any.
    let mut line = [0_u8; 2048];
    let length = rustix::io::read(&fd, &mut line).ok()?;
    understood(line.get(..length)?)
}

/// With the start time that the process has everywhere: the kernel shows it by the clock of the reader.
fn understood(line: &[u8]) -> Option<Stat> {
    let mut stat = parse_stat(line, page_size())?;
    stat.start = stat.start.saturating_sub(clock::start_shift() * clock_ticks() / 1000);
    Some(stat)
}

pub(super) fn exit_of_zombie(id: ProcId) -> Option<Exit> {
    let line = read(&format!("{}/stat", id.pid), 2048).ok()?;
    let stat = understood(&line).filter(|stat| stat.start == id.start && stat.is_gone())?;
    debug_assert_eq!(stat.pid, id.pid.get());
    // The last field; on kernels that had more, it would be another.
    let text = std::str::from_utf8(&line).ok()?.trim_end();
    let fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let (count, last) = fields.fold((0, ""), |(count, _), field| (count + 1, field));
    (count == 50).then(|| last.parse().ok().map(exit_of_raw)).flatten()
}

fn page_size() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    *SIZE.get_or_init(|| sysconf(libc::_SC_PAGESIZE).unwrap_or(4096))
}

pub(super) fn pids() -> Vec<i32> {
    let Some(root) = root() else { return Vec::new() };
    // `Dir` needs a descriptor that can be read; the one kept is for paths only.
    let Ok(fd) =
        rustix::fs::openat(root, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    else {
        return Vec::new();
    };
    numbers_in(fd).unwrap_or_default()
}

pub(super) fn count() -> usize {
    // The links of `/proc` count processes, those of other PID namespaces too.
    let links = root().and_then(|root| rustix::fs::statat(root, "", AtFlags::EMPTY_PATH).ok());
    links.and_then(|stat| usize::try_from(stat.st_nlink).ok()).unwrap_or(usize::MAX)
}

pub(super) fn children(of: &Stat) -> Option<Vec<i32>> {
    static LISTED: OnceLock<bool> = OnceLock::new();
    // CONFIG_PROC_CHILDREN is not everywhere: ask once, of ourselves.
    if !*LISTED.get_or_init(|| open("thread-self/children", OFlags::RDONLY).is_ok()) {
        return None;
    }
    let pid = of.pid;
    let threads = if of.threads <= 1 { vec![pid] } else { numbers(&format!("{pid}/task")) };
    let mut found = Vec::new();
    for tid in threads {
        let list = read(&format!("{pid}/task/{tid}/children"), super::MOST).unwrap_or_default();
        let list = String::from_utf8_lossy(&list).into_owned();
        found.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Some(found)
}

pub(super) fn cmdline(pid: i32, most: usize) -> Vec<u8> {
    let ask = |path: &str| read(path, most).map(|bytes| Some(bytes).filter(|bytes| !bytes.is_empty()));
    of_any_thread(pid, "cmdline", ask).ok().flatten().unwrap_or_default()
}

fn link(pid: i32, file: &str) -> Option<PathBuf> {
    let ask = |path: &str| {
        let target = rustix::fs::readlinkat(root().ok_or(Errno::NOENT)?, path, Vec::new())?;
        Ok(Some(PathBuf::from(OsStr::from_bytes(target.to_bytes()))))
    };
    of_any_thread(pid, file, ask).ok().flatten()
}

pub(super) fn cwd(pid: i32) -> Option<PathBuf> {
    link(pid, "cwd")
}

pub(super) fn exe(pid: i32) -> Option<PathBuf> {
    link(pid, "exe")
}

pub(super) fn uid(pid: i32) -> Option<u32> {
    let owner = rustix::fs::statat(root()?, format!("{pid}"), AtFlags::empty()).ok()?.st_uid;
    if owner != 0 {
        return Some(owner);
    }
    // The directory of a process that may not be dumped (ssh-agent) belongs to root: only its status is true.
    status(pid, b"Uid:", 1)
}

/// A number in `/proc/PID/status`, in the line of this name.
fn status<N: std::str::FromStr>(pid: i32, name: &[u8], at: usize) -> Option<N> {
    number_in(&read(&format!("{pid}/status"), 8192).ok()?, name, at)
}

/// A number in the text of such a file.
pub(in crate::sys) fn number_in<N: std::str::FromStr>(status: &[u8], name: &[u8], at: usize) -> Option<N> {
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(at)?.parse().ok()
}

pub(super) fn process_of(thread: i32) -> Option<i32> {
    status(thread, b"Tgid:", 0)
}

pub(super) fn environ(pid: i32) -> Option<Vec<u8>> {
    let ask = |path: &str| read(path, super::MOST).map(|bytes| Some(bytes).filter(|bytes| !bytes.is_empty()));
    of_any_thread(pid, "environ", ask).ok().map(Option::unwrap_or_default)
}

pub(super) fn cgroups(pid: i32) -> Option<String> {
    let bytes = read(&format!("{pid}/cgroup"), super::MOST).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Calls `see` with what each descriptor of a process points to.
fn each_descriptor(pid: i32, mut see: impl FnMut(&[u8])) -> Result<(), Errno> {
    if each_descriptor_of(&format!("{pid}/fd"), &mut see)? > 0 {
        return Ok(());
    }
    // Either it holds none, or its first thread is dead and another holds them.
    match numbers(&format!("{pid}/task")).into_iter().find(|tid| *tid != pid) {
        Some(tid) => each_descriptor_of(&format!("{pid}/task/{tid}/fd"), &mut see).map(drop),
        None => Ok(()),
    }
}

fn each_descriptor_of(path: &str, see: &mut impl FnMut(&[u8])) -> Result<usize, Errno> {
    let dir = match open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
        // A dead first thread has no descriptors to list.
        Err(Errno::NOENT) => return Ok(0),
        opened => opened?,
    };
    let at = rustix::io::fcntl_dupfd_cloexec(&dir, 0)?;
    let numbers = numbers_in(dir)?;
    links(&at, &numbers, see)?;
    Ok(numbers.len())
}

fn links(dir: &OwnedFd, numbers: &[i32], see: &mut impl FnMut(&[u8])) -> Result<(), Errno> {
    let mut buffer = [0_u8; 256];
    for number in numbers {
        let name = number.to_string();
        // A descriptor closed meanwhile is no error; a target cut at 256 bytes is neither memfd of ours nor socket.
        match rustix::fs::readlinkat_raw(dir, name.as_str(), &mut buffer[..]) {
            Ok(length) => see(buffer.get(..length).unwrap_or_default()),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The name of a memfd, as the target of a link tells it.
pub(in crate::sys) fn memfd_name(target: &[u8], prefix: &str) -> Option<String> {
    let name = target.strip_prefix(b"/memfd:")?;
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    name.starts_with(prefix.as_bytes()).then(|| String::from_utf8_lossy(name).into_owned())
}

pub(super) fn memfds(pid: i32, prefix: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let seen = each_descriptor(pid, |target| names.extend(memfd_name(target, prefix)));
    seen.ok().map(|()| names)
}

pub(super) fn memfd_at(pid: i32, descriptor: i32, prefix: &str) -> Option<String> {
    let mut buffer = [0_u8; 256];
    let path = format!("{pid}/fd/{descriptor}");
    let length = rustix::fs::readlinkat_raw(root()?, path, &mut buffer[..]).ok()?;
    memfd_name(buffer.get(..length)?, prefix)
}

pub(super) fn sockets(pid: i32) -> Vec<u64> {
    let mut inodes = Vec::new();
    // What may not be read holds nothing that we could name.
    let _unreadable = each_descriptor(pid, |target| {
        inodes.extend(socket_inode(target));
    });
    inodes
}

pub(super) fn proportional_memory(pid: i32) -> Option<u64> {
    let ask = |path: &str| {
        let kilobytes = number_in::<u64>(&read(path, 8192)?, b"Pss:", 0);
        Ok(kilobytes.map(|kilobytes| kilobytes.saturating_mul(1024)))
    };
    of_any_thread(pid, "smaps_rollup", ask).ok().flatten()
}

pub(super) fn open_files(pid: i32, below: u64) -> Option<u64> {
    let listed = open(&format!("{pid}/fd"), OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
    let counts = |number: &i32| u64::try_from(*number).is_ok_and(|number| number < below);
    u64::try_from(numbers_in(listed).ok()?.iter().filter(|number| counts(number)).count()).ok()
}

pub(super) fn waited(pid: i32) -> Option<u64> {
    // Time on a core, time in the queue, turns.
    let fd = open(&format!("{pid}/schedstat"), OFlags::RDONLY).ok()?;
    let mut line = [0_u8; 128];
    let length = rustix::io::read(&fd, &mut line).ok()?;
    std::str::from_utf8(line.get(..length)?).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The inode of a socket, as the target of a link tells it.
pub(in crate::sys) fn socket_inode(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub(super) fn shares_files(pid: i32) -> bool {
    static OURS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let ours = OURS.get_or_init(|| std::fs::read_link("/proc/self/ns/mnt").ok());
    ours.is_some() && link(pid, "ns/mnt") == *ours
}

pub(super) fn clock_ticks() -> u64 {
    static TICKS: OnceLock<u64> = OnceLock::new();
    *TICKS.get_or_init(|| sysconf(libc::_SC_CLK_TCK).unwrap_or(100))
}

fn sysconf(name: libc::c_int) -> Option<u64> {
    // SAFETY: takes a number, gives a number, touches no memory of ours.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|value| *value > 0)
}

pub(super) fn age(start: u64) -> Duration {
    let millis = u128::from(start) * 1000 / u128::from(clock_ticks());
    let born = u64::try_from(millis).unwrap_or(u64::MAX);
    Duration::from_millis(clock::since_boot().saturating_sub(born))
}
