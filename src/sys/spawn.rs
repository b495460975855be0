//! From a prepared command to a process that waits, fully set up, for the word to go.
//!
//! Everything that needs memory, a lock or a database is done before the fork: the child only makes system calls.

use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::signals::{self, Blocked};
use super::terminal::Group;
use super::users::Identity;
use crate::domain::Pid;

/// All that a child needs, ready to be used without a thought.
#[derive(Debug)]
pub struct Launch {
    /// Files to try in this order, as `execvp` would.
    pub candidates: Vec<CString>,
    /// Arguments, the program's name first; never empty.
    pub argv: Vec<CString>,
    /// `NAME=value`.
    pub environment: Vec<CString>,
    /// Entered as the user that it becomes.
    pub working_dir: CString,
    /// Whom it becomes.
    pub user: Option<Identity>,
    /// How it stands to whoever starts it.
    pub manner: Manner,
    /// The read end of its output, which it keeps beside the write end: while it lives, the pipe does.
    pub read_end: Option<RawFd>,
    /// A descriptor that it keeps.
    pub mark: Option<OwnedFd>,
    /// The cgroup that it is born in.
    pub cgroup: Option<PathBuf>,
    /// Cgroups of single controllers that it enters before it may go on.
    pub bounds: Vec<PathBuf>,
    /// How many descriptors it may ever have.
    pub open_files: Option<u64>,
    /// How many descriptors it may have, where that is not what this process may.
    pub descriptors: Option<u64>,
}

/// How a child stands to whoever starts it.
#[derive(Debug)]
pub enum Manner {
    /// As if nobody had: a session and streams of its own, no other descriptor, no signal ignored or held back.
    Apart {
        /// Its standard input.
        stdin: OwnedFd,
        /// Its standard output and error.
        output: OwnedFd,
    },
    /// As if this process's own caller had: with that one's streams, descriptors and ignored signals.
    Beside {
        /// How it stands to the terminal.
        group: Group,
        /// Signals that this process has changed for itself.
        changed: Vec<libc::c_int>,
    },
}

/// What a child was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Its session or group, its standard streams.
    SetUp = 1,
    /// Becoming the user.
    User,
    /// Entering its directory.
    WorkingDir,
    /// Executing the program.
    Exec,
}

/// Why a child never became its program.
#[derive(Debug)]
pub struct NotRun {
    /// What it was doing.
    pub step: Step,
    /// The kernel's answer.
    pub error: io::Error,
}

/// A child that waits for the word to go. It ends by itself if this is dropped.
#[derive(Debug)]
pub struct Waiting {
    /// Its number: not reaped yet, hence not given away. Its group and its session have the same number, unless it stands
    /// beside its caller.
    pub pid: Pid,
    /// Whether it was born in (or moved into) the cgroup asked for.
    pub in_cgroup: bool,
    go: PipeWriter,
    told: PipeReader,
}

impl Waiting {
    /// Lets it run. Returns when its program has begun, or with the step that failed.
    pub fn go(mut self) -> Result<(), NotRun> {
        // Where it has failed already, nobody reads this; the reason is in the other pipe.
        let _ = self.go.write_all(&[1]);
        let mut told = [0_u8; 5];
        let broken = |error| NotRun { step: Step::SetUp, error };
        let mut count = 0;
        while count < told.len() {
            match self.told.read(&mut told[count..]) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
        if count == 0 {
            return Ok(());
        }
        let [step, errno @ ..] = told;
        let step = match step {
            2 => Step::User,
            3 => Step::WorkingDir,
            4 => Step::Exec,
            _ => Step::SetUp,
        };
        Err(NotRun { step, error: io::Error::from_raw_os_error(i32::from_le_bytes(errno)) })
    }
}

/// Makes the process. It has its own session, group, user, directory and streams soon, and executes nothing yet.
pub fn fork(launch: &Launch) -> io::Result<Waiting> {
    let (wait, go) = io::pipe()?;
    let (told, tell) = io::pipe()?;
    let mut prepared = Prepared::new(launch, &wait, &go, &tell);
    // No handler of ours may run in the child: it would write into the parent's pipe.
    let blocked = Blocked::all();
    let (raw, mut in_cgroup) = fork_into(launch.cgroup.as_deref())?;
    if raw == 0 {
        prepared.run(&blocked);
    }
    drop(blocked);
    let pid = Pid::new(raw).ok_or_else(|| io::Error::other("a child has a strange number"))?;
    if let (false, Some(cgroup)) = (in_cgroup, &launch.cgroup) {
        in_cgroup = std::fs::write(cgroup.join("cgroup.procs"), pid.to_string()).is_ok();
    }
    let waiting = Waiting { pid, in_cgroup, go, told };
    for bound in &launch.bounds {
        // It waits: what it will start is born where it is. Without its limits it does not run.
        std::fs::write(bound.join("cgroup.procs"), pid.to_string())?;
    }
    Ok(waiting)
}

/// From `linux/sched.h` (5.7); the crate's constant is cut to 32 bits, which makes it zero.
#[cfg(target_os = "linux")]
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The number of the child (0 in the child itself), and whether it was born in the cgroup.
#[cfg(target_os = "linux")]
fn fork_into(cgroup: Option<&Path>) -> io::Result<(i32, bool)> {
    if let Some(directory) = cgroup.and_then(|path| std::fs::File::open(path).ok()) {
        // SAFETY: all fields are plain numbers, for which zero is a value.
        let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
        args.flags = CLONE_INTO_CGROUP;
        args.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
        args.cgroup = u64::from(directory.as_raw_fd().unsigned_abs());
        // SAFETY: without CLONE_VM this is a fork; the process has one thread, and the child only makes system calls.
        let raw = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
        if raw >= 0 {
            return Ok((i32::try_from(raw).unwrap_or(-1), true));
        }
        let error = io::Error::last_os_error();
        // A full process table is full for the other way as well.
        if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM)) {
            return Err(error);
        }
    }
    plain_fork()
}

#[cfg(not(target_os = "linux"))]
fn fork_into(_cgroup: Option<&Path>) -> io::Result<(i32, bool)> {
    plain_fork()
}

/// Whether a process can be born in this cgroup: tried with one that ends at once.
pub fn try_birth(cgroup: &Path) -> io::Result<()> {
    let (raw, inside) = fork_into(Some(cgroup))?;
    if raw == 0 {
        // SAFETY: ends the process at once, which is allowed after a fork whatever threads there are.
        unsafe { libc::_exit(0) };
    }
    if let Some(child) = Pid::new(raw) {
        // It ends at once; a zombie of a busy machine goes with this process.
        let _ = super::wait(child, Duration::from_secs(1));
    }
    if inside { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn plain_fork() -> io::Result<(i32, bool)> {
    // SAFETY: the process has one thread, and the child only makes system calls.
    let raw = unsafe { libc::fork() };
    if raw < 0 { Err(io::Error::last_os_error()) } else { Ok((raw, false)) }
}

/// Null-terminated lists of pointers, and numbers: what the child works with.
struct Prepared<'a> {
    launch: &'a Launch,
    argv: Vec<*const libc::c_char>,
    /// For a script that does not say what runs it: `/bin/sh CANDIDATE ARGUMENTS`, as `execvp` does.
    shell_argv: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    altered: Vec<libc::c_int>,
    wait: RawFd,
    go: RawFd,
    tell: RawFd,
}

const SHELL: &CStr = c"/bin/sh";

impl<'a> Prepared<'a> {
    fn new(launch: &'a Launch, wait: &PipeReader, go: &PipeWriter, tell: &PipeWriter) -> Self {
        let null = std::iter::once(std::ptr::null());
        let arguments = launch.argv.iter().map(|text| text.as_ptr());
        Self {
            launch,
            argv: arguments.clone().chain(null.clone()).collect(),
            shell_argv: [SHELL.as_ptr(), std::ptr::null()]
                .into_iter()
                .chain(arguments.skip(1))
                .chain(null.clone())
                .collect(),
            environment: launch.environment.iter().map(|text| text.as_ptr()).chain(null).collect(),
            altered: match &launch.manner {
                Manner::Apart { .. } => signals::altered(),
                Manner::Beside { changed, .. } => changed.clone(),
            },
            wait: wait.as_raw_fd(),
            go: go.as_raw_fd(),
            tell: tell.as_raw_fd(),
        }
    }

    /// The child. From here to the end: system calls only, no memory, no locks, no panics.
    fn run(&mut self, blocked: &Blocked) -> ! {
        let (step, errno) = self.set_up_and_execute(blocked);
        let mut told = [0_u8; 5];
        told[0] = step as u8;
        told[1..].copy_from_slice(&errno.to_le_bytes());
        // SAFETY: a local of five bytes; nothing of the parent's is run at the end.
        unsafe {
            libc::write(self.tell, told.as_ptr().cast(), told.len());
            libc::_exit(127)
        }
    }

    fn set_up_and_execute(&mut self, blocked: &Blocked) -> (Step, i32) {
        if let Err(errno) = self.detach() {
            return (Step::SetUp, errno);
        }
        if let Some(user) = &self.launch.user
            && let Err(errno) = become_user(user)
        {
            return (Step::User, errno);
        }
        // SAFETY: the path ends in NUL.
        if unsafe { libc::chdir(self.launch.working_dir.as_ptr()) } != 0 {
            return (Step::WorkingDir, errno());
        }
        let mut word = 0_u8;
        // SAFETY: a local of one byte. All signals are blocked: nothing interrupts.
        if unsafe { libc::read(self.wait, (&raw mut word).cast(), 1) } != 1 {
            // The keeper is dead: nobody knows of this process, so nothing may run.
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(127) }
        }
        for signal in &self.altered {
            signals::reset(*signal);
        }
        match self.launch.manner {
            Manner::Apart { .. } => signals::unblock_all(),
            Manner::Beside { .. } => blocked.lift(),
        }
        (Step::Exec, self.execute())
    }

    fn detach(&self) -> Result<(), i32> {
        let launch = self.launch;
        // SAFETY: numbers only; the descriptors are open and above 2.
        let done = unsafe {
            libc::close(self.go);
            match &launch.manner {
                Manner::Apart { stdin, output } => {
                    let (stdin, output) = (stdin.as_raw_fd(), output.as_raw_fd());
                    libc::setsid() >= 0
                        && libc::dup2(stdin, 0) >= 0
                        && libc::dup2(output, 1) >= 0
                        && libc::dup2(output, 2) >= 0
                }
                Manner::Beside { group: Group::Session, .. } => libc::setsid() >= 0,
                Manner::Beside { group: Group::Own, .. } => libc::setpgid(0, 0) >= 0,
                Manner::Beside { group: Group::Shared, .. } => true,
            }
        };
        if !done {
            return Err(errno());
        }
        if let Some(most) = launch.descriptors {
            limit_descriptors(most);
        }
        if let Some(most) = launch.open_files {
            forbid_descriptors(most);
        }
        if matches!(launch.manner, Manner::Apart { .. }) {
            close_all_but_standard_on_exec();
        }
        let mark = launch.mark.as_ref().map(AsRawFd::as_raw_fd);
        for kept in [mark, launch.read_end].into_iter().flatten() {
            // SAFETY: numbers only; the descriptors are open.
            unsafe { libc::fcntl(kept, libc::F_SETFD, 0) };
        }
        Ok(())
    }

    fn execute(&mut self) -> i32 {
        let mut refused = None;
        let mut last = libc::ENOENT;
        for candidate in &self.launch.candidates {
            // SAFETY: all lists end in null, all texts in NUL, and their owners live.
            unsafe { libc::execve(candidate.as_ptr(), self.argv.as_ptr(), self.environment.as_ptr()) };
            last = errno();
            if last == libc::ENOEXEC {
                self.shell_argv[1] = candidate.as_ptr();
                // SAFETY: as above.
                unsafe {
                    libc::execve(SHELL.as_ptr(), self.shell_argv.as_ptr(), self.environment.as_ptr());
                }
                return libc::ENOEXEC;
            }
            match last {
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                // A directory of the PATH may hide what a later one offers.
                libc::EACCES => refused = Some(last),
                _ => return last,
            }
        }
        refused.unwrap_or(last)
    }
}

pub(super) fn become_user(user: &Identity) -> Result<(), i32> {
    // SAFETY: the list has as many groups as said. The order matters: after setuid the others are not allowed any more.
    let done = unsafe {
        libc::setgroups(user.groups.len() as _, user.groups.as_ptr()) == 0
            && libc::setgid(user.gid) == 0
            && libc::setuid(user.uid) == 0
    };
    if done { Ok(()) } else { Err(errno()) }
}

/// More than this child should have was only for the supervisor: some programs go through all that are allowed.
fn limit_descriptors(most: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a local that is filled before it is read.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max.min(most);
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// More than this it can never have, nor what it starts.
fn forbid_descriptors(most: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a local that is filled before it is read.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            let most = limit.rlim_max.min(most);
            let lower = libc::rlimit { rlim_cur: most, rlim_max: most };
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const lower);
        }
    }
}

/// A net below the rule that every descriptor of the keeper is opened to be closed on exec.
fn close_all_but_standard_on_exec() {
    #[cfg(target_os = "linux")]
    // SAFETY: it closes nothing now; older kernels than 5.11 refuse, and the rule above holds without it.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
