//! Bearing a sibling: a process that is the child of this process's own parent, without a new program being loaded.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use crate::domain::Pid;

/// Who one is after a birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Born {
    /// The one that was born.
    Sibling,
    /// The one that has borne the process of this number.
    Bearer(Pid),
}

/// Forks this process; the new one is a child of this process's parent (`CLONE_PARENT`), which is told of its end.
/// `Unsupported` where the system has no such thing.
///
/// For processes with one thread only: the other threads would be missing in the new one, and their locks held for ever.
#[cfg(target_os = "linux")]
pub fn bear_sibling() -> io::Result<Born> {
    const CLONE_PARENT: u64 = 0x8000;
    // SAFETY: all-zero arguments are valid: no flags, no signal, nothing shared.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_PARENT;
    // SAFETY: without CLONE_VM this is a fork; the caller has one thread, so no lock is held by another.
    let raw = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match i32::try_from(raw) {
        Ok(0) => Ok(Born::Sibling),
        Ok(raw) => Pid::new(raw).map(Born::Bearer).ok_or_else(io::Error::last_os_error),
        Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// This system cannot give a child to one's parent.
#[cfg(not(target_os = "linux"))]
pub fn bear_sibling() -> io::Result<Born> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Sends a descriptor with one byte.
pub fn send_descriptor(over: &UnixStream, descriptor: &OwnedFd) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd as _;

    let descriptors = [descriptor.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(over, &[io::IoSlice::new(b"b")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Waits for a descriptor; none at the end of the connection.
pub fn receive_descriptor(over: &UnixStream) -> io::Result<Option<OwnedFd>> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    // Not to be handed on to any program: the kernel sets close-on-exec as it arrives, where it can.
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    loop {
        match recvmsg(over, &mut [io::IoSliceMut::new(&mut byte)], &mut ancillary, flags) {
            Ok(message) if message.bytes == 0 => return Ok(None),
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
