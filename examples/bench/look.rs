//! What the kernel says of processes: memory, processor time, the moment of an exit. Linux only, as the goals are.

use std::collections::HashMap;
use std::fs;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::FromRawFd;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Trouble;

/// Clock ticks per second in /proc: 100 on every Linux that one meets.
const TICKS: f64 = 100.0;

/// Somebody wants the run to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ctrl-C and SIGTERM end the wait that is under way, and with it the run: in order, with the stack taken down.
pub(crate) fn heed_interrupts() {
    extern "C" fn note(_: i32) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let handler: extern "C" fn(i32) = note;
    // SAFETY: the handler stores one atomic, so it may run at any moment; unlike SIG_IGN it is not inherited.
    unsafe {
        libc::signal(libc::SIGINT, handler as libc::sighandler_t);
        libc::signal(libc::SIGTERM, handler as libc::sighandler_t);
    }
}

/// Forgets an interruption, so that the stack can be taken down.
pub(crate) fn forget_interrupts() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}

/// Root can take on any user.
pub(crate) fn is_root() -> bool {
    // SAFETY: takes nothing, gives a number.
    unsafe { libc::geteuid() == 0 }
}

/// Sends SIGTERM to a child that was not waited for.
pub(crate) fn terminate(child: &Child) {
    let Ok(pid) = i32::try_from(child.id()) else { return };
    // SAFETY: the child was not reaped, so its number is still its own.
    unsafe { libc::kill(pid, libc::SIGTERM) };
}

/// The processes below one, which run this program (its file, not its name).
pub(crate) fn of_program(root: i32, program: &Path) -> Result<Vec<i32>, Trouble> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(fields) = stat(pid) else { continue };
        children.entry(fields[1].parse()?).or_default().push(pid);
    }
    let program = fs::canonicalize(program)?;
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program) {
            found.push(pid);
        }
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    Ok(found)
}

/// Proportional set size of all of them, in bytes.
pub(crate) fn memory(pids: &[i32]) -> Result<f64, Trouble> {
    let mut kilobytes = 0.0;
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss")?;
        kilobytes += line.trim().trim_end_matches(" kB").parse::<f64>()?;
    }
    Ok(kilobytes * 1024.0)
}

/// Seconds of processor time of all of them, children that they have waited for included.
///
/// The living are counted by the scheduler in nanoseconds: the ticks of /proc/PID/stat are too coarse for an idle minute.
pub(crate) fn processor(pids: &[i32]) -> Result<f64, Trouble> {
    let mut seconds = 0.0;
    for pid in pids {
        let fields = stat(*pid).ok_or("a process of devstack has ended")?;
        let ticks = |at: usize| fields[at].parse::<f64>().map(|ticks| ticks / TICKS);
        seconds += ticks(13)? + ticks(14)?;
        match scheduled(*pid) {
            Some(own) => seconds += own,
            None => seconds += ticks(11)? + ticks(12)?,
        }
    }
    Ok(seconds)
}

fn scheduled(pid: i32) -> Option<f64> {
    let mut seconds = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        seconds += text.split(' ').next()?.parse::<f64>().ok()? / 1e9;
    }
    Some(seconds)
}

/// The fields of /proc/PID/stat behind the name: state first.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Processes whose last exit is to be timed.
pub(crate) struct Watched(Vec<OwnedFd>);

impl Watched {
    pub(crate) fn open(pids: &[i32]) -> Result<Self, Trouble> {
        Ok(Self(pids.iter().map(|pid| Ok(pidfd_open(*pid)?)).collect::<Result<_, Trouble>>()?))
    }

    /// Waits until all have ended and gives the moment of the last exit.
    pub(crate) fn last_exit(mut self, patience: Duration) -> Result<Instant, Trouble> {
        let give_up = Instant::now() + patience;
        let mut last = Instant::now();
        while !self.0.is_empty() {
            let mut polled: Vec<libc::pollfd> = (self.0.iter())
                .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
                .collect();
            let count = libc::nfds_t::try_from(polled.len())?;
            // SAFETY: the pointer and the count describe one living vector.
            let ready = unsafe { libc::poll(polled.as_mut_ptr(), count, 100) };
            let now = Instant::now();
            if ready > 0 {
                last = now;
                let mut at = 0;
                self.0.retain(|_| {
                    at += 1;
                    polled[at - 1].revents == 0
                });
            } else if INTERRUPTED.load(Ordering::Relaxed) {
                return Err("interrupted".into());
            } else if now > give_up {
                return Err(format!("not ended after {} s", patience.as_secs()).into());
            }
        }
        Ok(last)
    }
}

#[cfg(target_os = "linux")]
fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: `pidfd_open` takes two numbers and gives a new descriptor or -1.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match i32::try_from(descriptor) {
        // SAFETY: the descriptor is new, so nobody else owns it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
fn pidfd_open(_: i32) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}
