//! The parts that are many, or that hold another: crowds, storms of forks, a debugger. All of them are bounded.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::kernel::{self, Side};
use crate::options::{Failure, Mode, Options, Outcome};
use crate::say;

/// No crowd is larger.
const LARGEST_CROWD: u32 = 5_000;

/// A storm blows only where the kernel allows no more processes than this.
const LARGEST_STORM: u64 = 2_000;

pub(crate) const CROWD: Mode = Mode {
    name: "crowd",
    values: &[("count", "COUNT"), ("life", "SECONDS")],
    flags: &["no-term"],
    words: true,
    about: "COUNT processes in all, by plain forks of one; says `crowd of COUNT` when all of them run",
    run: crowd,
};

pub(crate) const STORM: Mode = Mode {
    name: "storm",
    values: &[("life", "SECONDS")],
    flags: &["sessions"],
    words: true,
    about: "forks whenever it can, and so does each of its children: only under a cgroup's limit of processes",
    run: storm,
};

pub(crate) const HOLD: Mode = Mode {
    name: "hold",
    values: &[("pid", "PID"), ("life", "SECONDS")],
    flags: &[],
    words: false,
    about: "holds process PID as a debugger does: it reacts to nothing but SIGKILL; says `held`",
    run: hold,
};

fn life(options: &Options) -> Result<Duration, Failure> {
    options.or("life", 900).map(Duration::from_secs)
}

fn crowd(options: &Options) -> Outcome {
    let count: u32 = options.need("count")?;
    if !(1..=LARGEST_CROWD).contains(&count) {
        return Err(Failure::Usage(format!("crowd: --count can be 1 to {LARGEST_CROWD}")));
    }
    let life = life(options)?;
    if options.flag("no-term") {
        kernel::ignore(libc::SIGTERM);
    }
    for _ in 1..count {
        if matches!(kernel::fork()?, Side::Child) {
            return Ok(kernel::rest(life));
        }
    }
    say(&format!("crowd of {count}"));
    Ok(kernel::rest(life))
}

fn storm(options: &Options) -> Outcome {
    // It never asks how many it may be: the kernel says so, and without its word nothing is begun.
    match most_processes() {
        Some(most) if most <= LARGEST_STORM => {}
        _ => return Err(Failure::Run("no cgroup limits the number of processes here".to_owned())),
    }
    kernel::alarm(life(options)?);
    say("storm");
    loop {
        match kernel::fork() {
            Ok(Side::Child) if options.flag("sessions") => kernel::new_session(),
            Ok(_) => {}
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// What the nearest cgroup of the `pids` controller allows.
fn most_processes() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    own.lines().find_map(|line| {
        let mut words = line.splitn(3, ':');
        let (_, controllers, path) = (words.next()?, words.next()?, words.next()?);
        let root = match controllers {
            "pids" => "/sys/fs/cgroup/pids",
            "" => "/sys/fs/cgroup",
            _ => return None,
        };
        fs::read_to_string(format!("{root}{path}/pids.max")).ok()?.trim().parse().ok()
    })
}

fn hold(options: &Options) -> Outcome {
    kernel::attach(options.need("pid")?)?;
    say("held");
    Ok(kernel::rest(life(options)?))
}
