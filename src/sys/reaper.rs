//! A keeper's own standing: session, name, subreaper, and the children that it reaps.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use crate::domain::{Exit, Pid, Signal};

/// What the kernel told about the children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This child ended so, and waits to be reaped.
    Child(Pid, Exit),
    /// Children live, none has ended.
    NoneYet,
    /// The kernel's proof: no child is left (`ECHILD`).
    NoChild,
}

/// A child that has ended and is not reaped yet: nobody else can take its number or its exit. Never blocks.
pub fn ended() -> io::Result<Reaped> {
    loop {
        // SAFETY: all fields are plain data, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: the structure is a local that outlives the call.
        let result = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) };
        if result == 0 {
            // SAFETY: filled by `waitid`, or left zero where no child has ended.
            let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
            let exit = match info.si_code {
                libc::CLD_EXITED => Exit::Code(status),
                _ => Exit::Signal(Signal::from_number(status)),
            };
            return Ok(Pid::new(pid).map_or(Reaped::NoneYet, |pid| Reaped::Child(pid, exit)));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ECHILD) => return Ok(Reaped::NoChild),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}

/// Whether this child has just been stopped, and by which signal; each stop is told once.
#[must_use]
pub fn stopped(child: Pid) -> Option<Signal> {
    // SAFETY: all fields are plain data, for which zero is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = libc::id_t::try_from(child.get()).ok()?;
    // SAFETY: the structure is a local that outlives the call.
    let result = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, libc::WSTOPPED | libc::WNOHANG) };
    // SAFETY: filled by `waitid`, or left zero where it was not stopped.
    let (pid, signal) = unsafe { (info.si_pid(), info.si_status()) };
    (result == 0 && pid == child.get()).then(|| Signal::from_number(signal))
}

/// Makes a child the first of a group of its own; it may have done so itself by now.
pub fn lead_own_group(child: Pid) {
    // SAFETY: numbers only.
    unsafe { libc::setpgid(child.get(), child.get()) };
}

/// Reaps a child that has [`ended`].
pub fn reap(child: Pid) {
    // SAFETY: no status is asked for; a number that is not a child's is answered with ECHILD.
    unsafe { libc::waitpid(child.get(), std::ptr::null_mut(), libc::WNOHANG) };
}

/// Reaps a child that has [`ended`], and gives the most memory that any one process of it ever held, in bytes: the child
/// itself, or one that it has waited for.
#[must_use]
pub fn reap_measured(child: Pid) -> u64 {
    // SAFETY: all fields are plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is a local; no status is asked for; a number that is not a child's is answered with ECHILD.
    unsafe { libc::wait4(child.get(), std::ptr::null_mut(), libc::WNOHANG, &raw mut usage) };
    let unit = if cfg!(target_os = "linux") { 1024 } else { 1 };
    u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(unit)
}

/// From now on, orphans among the descendants become children of this process (Linux 3.4); elsewhere `Unsupported`.
#[cfg(target_os = "linux")]
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: this option takes a plain number.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// This system has none: only direct children can be proven gone.
#[cfg(not(target_os = "linux"))]
pub fn become_subreaper() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether this system knows subreapers; changes nothing.
#[must_use]
pub fn can_be_subreaper() -> bool {
    #[cfg(target_os = "linux")]
    {
        let mut is_one: libc::c_int = 0;
        // SAFETY: this option writes one number, into a local that outlives the call.
        unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_one, 0, 0, 0) == 0 }
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// The name that `ps` and `top` show; at most 15 bytes of it are kept.
pub fn set_own_name(name: &std::ffi::CStr) {
    #[cfg(target_os = "linux")]
    // SAFETY: the kernel reads up to 16 bytes of a text that ends in NUL.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

/// Closes every descriptor from 3 on: whatever the parent left open is not ours to hold.
pub fn close_foreign_descriptors() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: this is called first of all, before the program holds any descriptor but the standard ones.
        let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
        if done == 0 {
            return;
        }
    }
    // SAFETY: as above.
    unsafe {
        for descriptor in 3..libc::getdtablesize().min(65_536) {
            libc::close(descriptor);
        }
    }
}

/// Takes the socket that is standard input away, and points the three standard streams at nothing: this process holds no
/// terminal and no pipe of anyone.
pub fn take_standard_input() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for stream in 0..3 {
        // SAFETY: numbers only; the standard streams are nobody's property.
        if unsafe { libc::dup2(nothing.as_raw_fd(), stream) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(socket.into())
}

/// Leaves the session and the terminal of the parent.
pub fn leave_session() {
    // It fails only for one that leads a session of its own already.
    let _ = rustix::process::setsid();
}

/// Signals the group of a child that is not reaped yet: so long the kernel cannot give its number away.
pub fn signal_unreaped_group(leader: Pid, signal: Signal) {
    // SAFETY: numbers only. A `Pid` is above 1, so this is neither "everyone" nor our own group.
    unsafe { libc::kill(-leader.get(), signal.number()) };
}

/// Signals a child that is not reaped yet.
pub fn signal_unreaped(child: Pid, signal: Signal) {
    // SAFETY: as above.
    unsafe { libc::kill(child.get(), signal.number()) };
}

/// Waits until no child is left.
pub fn wait_for_all() {
    loop {
        // SAFETY: nothing is written.
        if unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } < 0
            && io::Error::last_os_error().raw_os_error() != Some(libc::EINTR)
        {
            return;
        }
    }
}

/// Gives memory that is free back to the system.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it touches only the allocator's own free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
