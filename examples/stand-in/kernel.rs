//! The few calls that the standard library does not have. The program has one thread wherever it forks.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::options::Failure;

/// Which side of a fork this is.
pub(crate) enum Side {
    Parent(i32),
    Child,
}

/// Splits the process in two.
pub(crate) fn fork() -> Result<Side, Failure> {
    // SAFETY: the program has one thread here, so the child finds every lock free.
    match unsafe { libc::fork() } {
        -1 => Err(Failure::run("fork", io::Error::last_os_error())),
        0 => Ok(Side::Child),
        child => Ok(Side::Parent(child)),
    }
}

/// Ends this process without flushing what it shares with its parent.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// Opens a session of its own.
pub(crate) fn new_session() {
    // SAFETY: no memory is passed; it fails only for a group leader, who keeps what it has.
    unsafe { libc::setsid() };
}

/// Opens a process group of its own.
pub(crate) fn new_group() {
    // SAFETY: no memory is passed.
    unsafe { libc::setpgid(0, 0) };
}

/// Ignores every signal that can be ignored.
pub(crate) fn ignore_everything() {
    for signal in 1..32 {
        // A parent that ignores SIGCHLD has no zombies: that would be another shape.
        if signal != libc::SIGCHLD {
            ignore(signal);
        }
    }
}

/// Ignores one signal.
pub(crate) fn ignore(signal: i32) {
    // SAFETY: SIG_IGN installs no handler; the kernel refuses SIGKILL and SIGSTOP.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Freezes a child of ours that was not waited for.
pub(crate) fn freeze_child(child: i32) {
    // SAFETY: the number is a child that was not reaped, so the kernel cannot have given it away.
    unsafe { libc::kill(child, libc::SIGSTOP) };
}

/// Holds a process as a debugger does, until this one ends.
#[cfg(target_os = "linux")]
pub(crate) fn attach(pid: i32) -> Result<(), Failure> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: attaching reads and writes no memory of either process.
    if unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, nothing, nothing) } != 0 {
        return Err(Failure::run("attach", io::Error::last_os_error()));
    }
    // SAFETY: a null status is allowed. It returns when the process has stopped.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
    Ok(())
}

/// Only Linux is needed here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn attach(_: i32) -> Result<(), Failure> {
    Err(Failure::Run("not on this system".into()))
}

/// Forks and ends, so many times; each child leads a session of its own where that is wanted.
pub(crate) fn hop(times: u32, every: Duration, sessions: bool) -> Result<(), Failure> {
    for _ in 0..times {
        std::thread::sleep(every);
        match fork()? {
            Side::Parent(_) => leave(0),
            Side::Child if sessions => new_session(),
            Side::Child => {}
        }
    }
    Ok(())
}

/// Waits for the end of a child.
pub(crate) fn reap(child: i32) {
    // SAFETY: a null status is allowed.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
}

/// SIGTERM and SIGINT, held back until somebody waits for them; threads started later hold them back as well.
pub(crate) struct StopSignals(libc::sigset_t);

impl StopSignals {
    pub(crate) fn hold() -> Self {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: `sigemptyset` initialises the set before anything reads it.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            Self(set.assume_init())
        }
    }

    /// Returns when one of them has come.
    pub(crate) fn wait(&self) {
        let mut signal = 0;
        // SAFETY: both references live through the call.
        while unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } != 0 {}
    }

    /// Lets them through again.
    pub(crate) fn release(&self) {
        // SAFETY: the set lives through the call.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// Becomes this same program with other arguments, in a child whose number is given back once it is executed.
///
/// `prepare` runs in the child, before: it may fork once more, and then the last child is the one that is told.
pub(crate) fn spawn_self(
    arguments: &[String],
    change: impl Fn(&mut Command),
    prepare: impl Fn() -> Result<(), Failure>,
) -> Result<i32, Failure> {
    let program = std::env::current_exe().map_err(|why| Failure::run("own program", why))?;
    let (reader, writer) = io::pipe().map_err(|why| Failure::run("pipe", why))?;
    match fork()? {
        Side::Parent(child) => {
            drop(writer);
            let told = hear(reader)?;
            if told != child {
                reap(child);
            }
            Ok(told)
        }
        Side::Child => {
            drop(reader);
            let Ok(()) = prepare() else { leave(70) };
            tell(&writer);
            // The pipe closes at the exec: that is what tells the parent of it.
            let mut command = Command::new(program);
            command.args(arguments);
            change(&mut command);
            let _ = command.exec();
            leave(71)
        }
    }
}

/// Closes every descriptor above standard error: what a daemon does, and what drops an inherited mark.
pub(crate) fn close_all() {
    // A mark may sit on a high descriptor on purpose.
    for descriptor in 3..65_536 {
        // What closes at the exec by itself may: the pipe to the parent is among it.
        if !is_close_on_exec(descriptor) {
            // SAFETY: nothing in this process uses an inherited descriptor above 2.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Sleeps until the process is ended, at most so long: no shape outlives a lost test.
pub(crate) fn rest(life: Duration) -> u8 {
    std::thread::sleep(life);
    0
}

/// The same, or until a file is there.
pub(crate) fn rest_until(file: &Path, life: Duration) -> u8 {
    let begun = std::time::Instant::now();
    while !file.exists() && begun.elapsed() < life {
        std::thread::sleep(Duration::from_millis(10));
    }
    0
}

/// Ends the process after so long, whatever it waits for.
pub(crate) fn alarm(life: Duration) {
    // SAFETY: no memory is passed; SIGALRM keeps its default, which ends the process.
    unsafe { libc::alarm(u32::try_from(life.as_secs()).unwrap_or(u32::MAX)) };
}

fn tell(mut writer: &PipeWriter) {
    let _ = writer.write_all(&std::process::id().to_ne_bytes());
}

fn hear(mut reader: PipeReader) -> Result<i32, Failure> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|why| Failure::run("child", why))?;
    let bytes = bytes.try_into().map_err(|_| Failure::Run("the child ended too early".into()))?;
    Ok(i32::from_ne_bytes(bytes))
}

fn is_close_on_exec(descriptor: i32) -> bool {
    // SAFETY: F_GETFD only asks; a closed descriptor answers -1.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC != 0
}
