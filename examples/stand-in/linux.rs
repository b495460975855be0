//! Calls that only Linux has.

use std::io;
use std::time::Duration;

use crate::kernel::leave;
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
