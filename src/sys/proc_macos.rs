//! The process table of macOS: libproc and sysctl. Sockets and memfds of others are not shown there.

use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::stat::{RunState, Stat, visible};
use crate::domain::{Exit, ProcId};

fn task(pid: i32) -> Option<libc::proc_taskallinfo> {
    let size = libc::c_int::try_from(size_of::<libc::proc_taskallinfo>()).ok()?;
    // SAFETY: the structure is plain numbers, for which all zeroes are a value.
    let mut info: libc::proc_taskallinfo = unsafe { std::mem::zeroed() };
    let to = (&raw mut info).cast::<c_void>();
    // SAFETY: the kernel writes at most `size` bytes into a structure of that size.
    let written = unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTASKALLINFO, 0, to, size) };
    (written == size).then_some(info)
}

pub(super) fn stat(pid: i32) -> Option<Stat> {
    let info = task(pid)?;
    let base = info.pbsd;
    // `p_stat` of sys/proc.h.
    let state = match base.pbi_status {
        2 => RunState::Running,
        3 => RunState::Sleeping,
        4 => RunState::Stopped,
        5 => RunState::Zombie,
        _ => RunState::Other,
    };
    let comm: Vec<u8> = base.pbi_comm.iter().map(|c| c.to_ne_bytes()[0]).take_while(|b| *b != 0).collect();
    // SAFETY: takes a number, gives a number, touches no memory of ours.
    let sid = unsafe { libc::getsid(pid) };
    Some(Stat {
        pid,
        comm: visible(&String::from_utf8_lossy(&comm)),
        state,
        ppid: i32::try_from(base.pbi_ppid).unwrap_or(0),
        pgid: i32::try_from(base.pbi_pgid).unwrap_or(0),
        sid: sid.max(0),
        kernel: false,
        cpu_ticks: info.ptinfo.pti_total_user.saturating_add(info.ptinfo.pti_total_system),
        copy: false,
        reaped_ticks: 0,
        threads: u32::try_from(info.ptinfo.pti_threadnum).unwrap_or(0),
        start: base.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(base.pbi_start_tvusec),
        rss: info.ptinfo.pti_resident_size,
    })
}

pub(super) fn count() -> usize {
    pids().len()
}

pub(super) fn pids() -> Vec<i32> {
    let mut found = vec![0_i32; 16_384];
    let size = libc::c_int::try_from(found.len() * size_of::<i32>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `size` bytes into a buffer of that size.
    let count = unsafe { libc::proc_listallpids(found.as_mut_ptr().cast::<c_void>(), size) };
    found.truncate(usize::try_from(count).unwrap_or(0));
    found
}

pub(super) fn process_of(_thread: i32) -> Option<i32> {
    None
}

pub(super) fn children(_of: &Stat) -> Option<Vec<i32>> {
    None
}

/// What `KERN_PROCARGS2` gives: the number of arguments, and the bytes behind the program's path.
fn arguments(pid: i32) -> Option<(usize, Vec<u8>)> {
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let mut bytes = vec![0_u8; 1 << 20];
    let mut length = bytes.len();
    let to = bytes.as_mut_ptr().cast::<c_void>();
    // SAFETY: three numbers in, at most `length` bytes out into a buffer of that length.
    let failed = unsafe { libc::sysctl(name.as_mut_ptr(), 3, to, &raw mut length, std::ptr::null_mut(), 0) };
    if failed != 0 {
        return None;
    }
    bytes.truncate(length);
    let count = i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let path_end = 4 + bytes.get(4..)?.iter().position(|b| *b == 0)?;
    let first = path_end + bytes.get(path_end..)?.iter().position(|b| *b != 0)?;
    Some((usize::try_from(count).ok()?, bytes.split_off(first)))
}

pub(super) fn cmdline(pid: i32, most: usize) -> Vec<u8> {
    let Some((count, bytes)) = arguments(pid) else { return Vec::new() };
    let mut line: Vec<u8> = bytes.split_inclusive(|b| *b == 0).take(count).flatten().copied().collect();
    line.truncate(most);
    line
}

pub(super) fn environ(pid: i32) -> Option<Vec<u8>> {
    let (count, bytes) = arguments(pid)?;
    Some(bytes.split_inclusive(|b| *b == 0).skip(count).flatten().copied().collect())
}

pub(super) fn cgroups(_pid: i32) -> Option<String> {
    None
}

pub(super) fn cwd(_pid: i32) -> Option<PathBuf> {
    None
}

pub(super) fn exe(pid: i32) -> Option<PathBuf> {
    let mut path = vec![0_u8; 4096];
    let size = u32::try_from(path.len()).ok()?;
    // SAFETY: the kernel writes at most `size` bytes into a buffer of that size.
    let length = unsafe { libc::proc_pidpath(pid, path.as_mut_ptr().cast::<c_void>(), size) };
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    Some(PathBuf::from(OsStr::from_bytes(path.get(..length)?)))
}

pub(super) fn uid(pid: i32) -> Option<u32> {
    task(pid).map(|info| info.pbsd.pbi_uid)
}

pub(super) fn memfds(_pid: i32, _prefix: &str) -> Option<Vec<String>> {
    None
}

pub(super) fn memfd_at(_pid: i32, _descriptor: i32, _prefix: &str) -> Option<String> {
    None
}

pub(super) fn proportional_memory(_pid: i32) -> Option<u64> {
    None
}

pub(super) fn open_files(_pid: i32, _below: u64) -> Option<u64> {
    None
}

pub(super) fn waited(_pid: i32) -> Option<u64> {
    None
}

pub(super) fn sockets(_pid: i32) -> Vec<u64> {
    Vec::new()
}

pub(super) fn shares_files(_pid: i32) -> bool {
    true
}

/// Times of a task are counted in ticks of the machine's own clock: 24 MHz on Apple silicon, 1 GHz elsewhere.
pub(super) fn clock_ticks() -> u64 {
    if cfg!(target_arch = "aarch64") { 24_000_000 } else { 1_000_000_000 }
}

pub(super) fn age(start: u64) -> Duration {
    let begun = SystemTime::UNIX_EPOCH + Duration::from_micros(start);
    SystemTime::now().duration_since(begun).unwrap_or_default()
}

pub(super) fn exit_of_zombie(_id: ProcId) -> Option<Exit> {
    None
}
