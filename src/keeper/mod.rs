//! The keeper: one small process for each life. It starts the service in a session of its own, owns its output,
//! reaps, and ends when the kernel says that no child is left (`ECHILD`). It knows nothing of health, order or policy.
//!
//! It has one thread, waits in one `poll`, and never for the supervisor: when that dies, the keeper goes on, and tells
//! the next one what has happened. SIGTERM to a keeper is handed on to its service; on SIGHUP it makes its socket anew,
//! where that was swept away; other signals that can be ignored are.

mod alone;
mod census;
mod ending;
mod explain;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hold;
mod known;
mod notify;
mod nursery;
mod output;
mod protocol;
mod record;
mod start;
mod talk;

use std::io::Read as _;
use std::os::unix::net::UnixStream;

pub(crate) use census::Census;
pub(crate) use ending::{Ending, Sent};
pub use known::{bounds_of, cage_of, leaf_of};
pub use nursery::VARIABLE as NURSERY;
pub use output::Output;
pub use protocol::{FromKeeper, LogSpec, Spec};
pub(crate) use record::Record;
pub(crate) use talk::Talk;

use crate::domain::Failure;
use crate::sys::kill_point::{KillPoint, here};
use crate::sys::{reaper, signals};

/// No manifest makes a spec that is longer than this.
const LONGEST_SPEC: usize = 64 << 20;

/// The whole life of a keeper: `devstack __keeper`, with one end of a socket pair as standard input.
///
/// Gives the exit code of the process: 0 where a service was held until nothing of it was left, 1 where it could not be
/// started (told as [`FromKeeper::NotStarted`]), 125 where nobody said what to start.
#[must_use]
pub fn run() -> i32 {
    reaper::close_foreign_descriptors();
    let Ok(supervisor) = reaper::take_standard_input() else { return 125 };
    signals::unblock_all();
    signals::ignore(&[
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ]);
    // Relative paths are the service's matter; this process holds no directory that someone wants to unmount.
    let _ = std::env::set_current_dir("/");
    if std::env::var_os(nursery::VARIABLE).is_none() {
        return keep(supervisor);
    }
    reaper::leave_session();
    reaper::set_own_name(c"devstack-nurse");
    nursery::bear(supervisor).map_or(0, keep)
}

/// Holds one life.
fn keep(mut supervisor: UnixStream) -> i32 {
    reaper::leave_session();
    reaper::set_own_name(c"devstack-keeper");
    // Where there is none, direct children are all that can be proven; `doctor` says so.
    let _ = reaper::become_subreaper();
    let Some(line) = read_line(&mut supervisor) else { return 125 };
    let spec: Spec = match serde_json::from_slice(&line) {
        Ok(spec) => spec,
        Err(error) => {
            let reason = format!("its keeper does not understand what it shall start: {error}");
            talk::tell_once(&mut supervisor, &FromKeeper::NotStarted { why: Failure::Start { reason } });
            return 125;
        }
    };
    drop(line);
    here(KillPoint::SpecRead);
    let Some(hold) = start::start(&spec, supervisor) else { return 1 };
    drop(spec);
    reaper::give_back_memory();
    hold.until_empty();
    0
}

/// The first line. `None` where the supervisor is gone before it has said all.
fn read_line(supervisor: &mut UnixStream) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut chunk = [0_u8; 4096];
    while line.len() < LONGEST_SPEC {
        let count = supervisor.read(&mut chunk).ok().filter(|count| *count > 0)?;
        line.extend_from_slice(&chunk[..count]);
        if line.last() == Some(&b'\n') {
            return Some(line);
        }
    }
    None
}
