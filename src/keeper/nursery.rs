//! The nursery: a keeper without a life, from which the others are forked.
//!
//! To load the program anew for each of a hundred keepers would take half of the time of a start, and each would have
//! memory of its own for what all have in common. The supervisor sends the socket of a new keeper; the sibling that is
//! borne here is the supervisor's own child and goes the way of every keeper.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use crate::sys::nursery::{Born, bear_sibling, receive_descriptor};
use crate::sys::{clock, proc};

/// Set in the environment of a nursery.
pub const VARIABLE: &str = "DEVSTACK_NURSERY";

/// Bears keepers until the supervisor is gone. Returns twice or more: without a socket in the nursery itself at the end,
/// with its own socket in each keeper.
pub(super) fn bear(mut supervisor: UnixStream) -> Option<UnixStream> {
    // What every keeper will have to find out is found out here: it is born with it.
    let _ = (clock::boot_id(), proc::own_children());
    while let Ok(Some(socket)) = receive_descriptor(&supervisor) {
        let answer = match bear_sibling() {
            Ok(Born::Sibling) => return Some(UnixStream::from(socket)),
            Ok(Born::Bearer(pid)) => pid.get(),
            Err(error) => -error.raw_os_error().unwrap_or(libc::EINVAL),
        };
        // Our copy goes first: the keeper's end must be seen when the keeper ends.
        drop(socket);
        supervisor.write_all(&answer.to_ne_bytes()).ok()?;
    }
    None
}
