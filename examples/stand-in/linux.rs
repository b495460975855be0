//! Calls that only Linux has.

use std::io;
use std::time::Duration;

use crate::kernel::{Side, leave};
use crate::options::Failure;

/// Ends the calling thread and no other: the process lives on in those.
pub(crate) fn end_this_thread() -> ! {
    loop {
        // SAFETY: `exit` ends the calling thread only and returns to nobody; what it holds is used by no other thread.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// Bears a child that shares this memory and sleeps; returns when it has ended.
pub(crate) fn vfork_and_wait(life: Duration) -> Result<(), Failure> {
    extern "C" fn child(seconds: *mut libc::c_void) -> libc::c_int {
        // SAFETY: no memory is touched but its own stack: the parent's is its own as well.
        unsafe { libc::sleep(u32::try_from(seconds as usize).unwrap_or(u32::MAX)) };
        0
    }
    let mut stack = vec![0_u128; 4096];
    let seconds = usize::try_from(life.as_secs()).unwrap_or(usize::MAX);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack outlives the child, because CLONE_VFORK makes this thread wait for its end; it is aligned.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len()).cast();
        libc::clone(child, top, flags, seconds as *mut libc::c_void)
    };
    if pid < 0 { Err(Failure::run("clone", io::Error::last_os_error())) } else { Ok(()) }
}

/// From now on only root may look into this process.
pub(crate) fn hide() {
    // SAFETY: no memory is passed.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
}

/// Orphans among the descendants become children of this process.
pub(crate) fn adopt_orphans() {
    // SAFETY: no memory is passed.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Stands still in the hands of the parent, as under a debugger.
pub(crate) fn be_traced() -> ! {
    // SAFETY: no memory is passed; the signal stops this process until the tracer lets it go.
    unsafe {
        libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
        libc::raise(libc::SIGSTOP);
    }
    leave(0)
}

/// Becomes another user, by all three numbers.
pub(crate) fn set_user(uid: u32) -> Result<(), Failure> {
    // SAFETY: no memory is passed.
    match unsafe { libc::setresuid(uid, uid, uid) } {
        0 => Ok(()),
        _ => Err(Failure::run(format!("user {uid}"), io::Error::last_os_error())),
    }
}

/// Leaves a descriptor open for the next program.
pub(crate) fn keep_at_exec(descriptor: i32) {
    // SAFETY: flags of a descriptor that the caller owns.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) };
}

/// Every signal that can be held back waits from now on until [`next_signal`] takes it.
pub(crate) fn hold_all_signals() {
    // SAFETY: `sigfillset` initialises the set before anything reads it.
    unsafe {
        let mut all = std::mem::MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
    }
}

/// Waits for the next signal; its number and who sent it (0: the kernel, or somebody outside our view).
pub(crate) fn next_signal() -> (i32, i32) {
    // SAFETY: the set is initialised before it is read, and the kernel writes the information into a local.
    unsafe {
        let mut all = std::mem::MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        let mut info: libc::siginfo_t = std::mem::zeroed();
        loop {
            let signal = libc::sigwaitinfo(all.as_ptr(), &raw mut info);
            if signal > 0 {
                let by_kernel = info.si_code > 0;
                return (signal, if by_kernel { 0 } else { info.si_pid() });
            }
        }
    }
}

/// Forks; the child gets this number, which must be free (`set_tid` of `clone3`, Linux 5.5: for who may restore processes).
pub(crate) fn fork_as(number: i32) -> io::Result<Side> {
    let numbers = [number];
    // SAFETY: all fields are plain numbers, for which zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    args.set_tid = numbers.as_ptr() as u64;
    args.set_tid_size = 1;
    // SAFETY: without CLONE_VM this is a fork; the process has one thread, and the list outlives the call.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        child => Ok(Side::Parent(i32::try_from(child).unwrap_or(0))),
    }
}
