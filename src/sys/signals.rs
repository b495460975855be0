//! Signals of a program with one thread: told through a pipe, so that one `poll` sees everything.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd as _};
use std::sync::atomic::{AtomicI32, Ordering};

use crate::domain::Signal;

/// Where the handler writes; never closed, so that a late signal writes into nothing else.
static TOLD: AtomicI32 = AtomicI32::new(-1);

/// Signals that arrive as bytes of a pipe.
#[derive(Debug)]
pub struct Signals {
    reader: PipeReader,
}

impl Signals {
    /// From now on these signals are told here. At most one such pipe per process.
    pub fn listen(signals: &[libc::c_int]) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        TOLD.store(writer.into_raw_fd(), Ordering::Relaxed);
        for signal in signals {
            set_disposition(*signal, tell as *const () as libc::sighandler_t)?;
        }
        Ok(Self { reader })
    }

    /// The signals since the last call, each at most once.
    pub fn take(&mut self) -> Vec<Signal> {
        let mut found: Vec<Signal> = Vec::new();
        for Told { signal, .. } in self.take_each() {
            if !found.contains(&signal) {
                found.push(signal);
            }
        }
        found
    }

    /// The signals since the last call, one by one. Of several that wait at once the kernel tells one.
    pub fn take_each(&mut self) -> Vec<Told> {
        let mut bytes = [0_u8; 64];
        let mut found = Vec::new();
        while let Ok(count @ 1..) = self.reader.read(&mut bytes) {
            found.extend(bytes[..count].iter().map(|byte| Told {
                signal: Signal::from_number(i32::from(byte & !OF_KERNEL)),
                of_kernel: byte & OF_KERNEL != 0,
            }));
        }
        found
    }
}

/// A signal as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub signal: Signal,
    /// No process sent it: a terminal did, to a whole group.
    pub of_kernel: bool,
}

/// No signal has so high a number.
const OF_KERNEL: u8 = 0x80;

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

extern "C" fn tell(signal: libc::c_int, info: *const libc::siginfo_t, _context: *const libc::c_void) {
    // SAFETY: the kernel gives a handler that asked for it a valid structure, or none.
    let of_kernel = unsafe { info.as_ref() }.is_some_and(|info| info.si_code > 0);
    let byte = signal.to_le_bytes()[0] | if of_kernel { OF_KERNEL } else { 0 };
    let saved = errno();
    // A full pipe loses the byte, but then there is plenty to wake up for.
    // SAFETY: write is async-signal-safe; the byte is a local.
    unsafe {
        libc::write(TOLD.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
    }
    set_errno(saved);
}

/// These signals do nothing to this process any more.
pub fn ignore(signals: &[libc::c_int]) {
    for signal in signals {
        // The only failure is a signal that cannot be ignored.
        let _ = set_disposition(*signal, libc::SIG_IGN);
    }
}

/// Whether this process was started with this signal ignored, or has ignored it since.
#[must_use]
pub fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all fields are plain data, for which zero is a value.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set, the old state goes into a local.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut old) };
    result == 0 && old.sa_sigaction == libc::SIG_IGN
}

/// Stops this process by a signal that stops, as the terminal would have done. Returns when it goes on.
///
/// In a group that no shell looks after the kernel does not stop it.
pub fn stop_self(signal: Signal) {
    // SAFETY: all fields are plain data, for which zero is a value.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only the old state is asked for; it goes into a local, and comes back from there. `raise` is this thread's.
    unsafe {
        libc::sigaction(signal.number(), std::ptr::null(), &raw mut before);
        let _ = set_disposition(signal.number(), libc::SIG_DFL);
        libc::raise(signal.number());
        libc::sigaction(signal.number(), &raw const before, std::ptr::null_mut());
    }
}

/// Ends this process by a signal, so that whoever waits for it sees that; returns where that cannot be. It leaves no core
/// dump: that of the process that died first is the one to look at.
pub fn end_self(signal: Signal) {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain structure, and a signal to this thread itself.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        #[cfg(target_os = "linux")]
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        let _ = set_disposition(signal.number(), libc::SIG_DFL);
        unblock_all();
        libc::raise(signal.number());
    }
}

/// Signals that this process does not leave to their default: a child has to reset them before it executes.
#[must_use]
pub(super) fn altered() -> Vec<libc::c_int> {
    (1..=64)
        .filter(|signal| {
            // SAFETY: all fields are plain data, for which zero is a value.
            let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: nothing is set, the old state goes into a local.
            let result = unsafe { libc::sigaction(*signal, std::ptr::null(), &raw mut old) };
            // The C library keeps two for itself and tells nothing of them, and yet a parent may have ignored them.
            let unknown = cfg!(target_os = "linux") && result != 0;
            unknown || (result == 0 && old.sa_sigaction != libc::SIG_DFL)
        })
        .collect()
}

/// Sets a signal back to its default. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(super) fn reset(signal: libc::c_int) {
    // The kernel's own form of the action: all zero is the default, without flags, and no mask.
    let default = [0_u64; 4];
    // SAFETY: the kernel reads 32 bytes (24 on 32-bit systems) of a local. The C library's function would refuse two.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u64>(), 8_usize);
    }
}

/// Sets a signal back to its default. Async-signal-safe.
#[cfg(not(target_os = "linux"))]
pub(super) fn reset(signal: libc::c_int) {
    let _ = set_disposition(signal, libc::SIG_DFL);
}

/// All signals wait as long as this lives.
pub(super) struct Blocked(libc::sigset_t);

impl Blocked {
    pub(super) fn all() -> Self {
        let (mut every, mut before) = (empty_set(), empty_set());
        // SAFETY: both sets are locals.
        unsafe {
            libc::sigfillset(&raw mut every);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const every, &raw mut before);
        }
        Self(before)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.lift();
    }
}

impl Blocked {
    /// What was held back before is held back again, by a child as well. Async-signal-safe.
    pub(super) fn lift(&self) {
        // SAFETY: the set was filled by the kernel.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// One signal waits as long as this lives.
pub(super) struct Held(#[expect(dead_code, reason = "held for its end alone")] Blocked);

impl Held {
    pub(super) fn back(signal: libc::c_int) -> Self {
        let (mut one, mut before) = (empty_set(), empty_set());
        // SAFETY: both sets are locals.
        unsafe {
            libc::sigaddset(&raw mut one, signal);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const one, &raw mut before);
        }
        Self(Blocked(before))
    }
}

/// No signal is held back any more. Async-signal-safe.
pub fn unblock_all() {
    let none = empty_set();
    // SAFETY: the set is a local.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: a signal set is plain data; it is made empty at once.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        set
    }
}

fn set_disposition(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: all fields are plain data, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
    // SAFETY: the handler, where there is one, calls only async-signal-safe functions.
    if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn set_errno(value: i32) {
    #[cfg(target_os = "linux")]
    // SAFETY: the address is this thread's own errno.
    unsafe {
        *libc::__errno_location() = value;
    }
    #[cfg(target_os = "macos")]
    // SAFETY: the address is this thread's own errno.
    unsafe {
        *libc::__error() = value;
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = value;
}
