//! The parts that are odd to look at: no first thread, no memory of their own, no permission to look, another user,
//! children that come when nobody expects them. Each ends by itself after its `--life`.

use std::net::TcpListener;
use std::os::fd::IntoRawFd;
use std::thread;
use std::time::Duration;

use crate::badly::{Leaving, MOST_PROCESSES, life};
use crate::kernel::{self, Side, StopSignals};
use crate::linux;
use crate::options::{Failure, Mode, Options, Outcome};
use crate::say;

pub(crate) const THREADS: Mode = Mode {
    name: "threads",
    values: &[("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "its first thread ends, another lives on: it looks like a zombie and is none",
    run: threads,
};

pub(crate) const VFORK: Mode = Mode {
    name: "vfork",
    values: &[("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "waits in the kernel for a child that shares its memory and never becomes another program",
    run: vfork,
};

pub(crate) const HIDDEN: Mode = Mode {
    name: "hidden",
    values: &[("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "is not dumpable, as a keeper of keys: its own user may not look into it",
    run: hidden,
};

pub(crate) const TRACED: Mode = Mode {
    name: "traced",
    values: &[("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "has a child that it traces and that stands still in its hands",
    run: traced,
};

pub(crate) const REAPER: Mode = Mode {
    name: "reaper",
    values: &[("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "is a child subreaper itself, with an orphan in a session of its own",
    run: reaper,
};

pub(crate) const BECOME: Mode = Mode {
    name: "become",
    values: &[("uid", "NUMBER"), ("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "becomes another user for good and says `became NUMBER`",
    run: r#become,
};

pub(crate) const HEIR: Mode = Mode {
    name: "heir",
    values: &[("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "listens, hands the socket to a daemon without environment, says `port NUMBER` and ends",
    run: heir,
};

pub(crate) const LATE: Mode = Mode {
    name: "late",
    values: &[("count", "COUNT"), ("life", "SECONDS")],
    flags: &["env-clear", "title"],
    words: true,
    about: "bears COUNT orphans in sessions of their own when it is asked to end, and only then",
    run: late,
};

pub(crate) const GROW: Mode = Mode {
    name: "grow",
    values: &[("depth", "COUNT"), ("times", "COUNT"), ("every", "MS"), ("life", "SECONDS")],
    flags: &["deaf"],
    words: true,
    about: "grows to 2^DEPTH processes, each of which hops into a new session so many times (100)",
    run: grow,
};

fn threads(options: &Options) -> Outcome {
    let life = life(options)?;
    thread::spawn(move || {
        say("threads");
        thread::sleep(life);
        kernel::leave(0);
    });
    linux::end_this_thread()
}

fn vfork(options: &Options) -> Outcome {
    linux::vfork_and_wait(life(options)?)?;
    Ok(0)
}

fn hidden(options: &Options) -> Outcome {
    linux::hide();
    say("hidden");
    Ok(kernel::rest(life(options)?))
}

fn traced(options: &Options) -> Outcome {
    let life = life(options)?;
    match kernel::fork()? {
        Side::Parent(child) => say(&format!("child {child}")),
        Side::Child => linux::be_traced(),
    }
    Ok(kernel::rest(life))
}

fn reaper(options: &Options) -> Outcome {
    linux::adopt_orphans();
    let life = life(options)?;
    let leaving = Leaving::by_ways(&["session", "double-fork", "env-clear"]);
    let orphan = leaving.start(&waiting(life))?;
    say(&format!("child {orphan}"));
    Ok(kernel::rest(life))
}

fn r#become(options: &Options) -> Outcome {
    let uid = options.need("uid")?;
    linux::set_user(uid)?;
    say(&format!("became {uid}"));
    Ok(kernel::rest(life(options)?))
}

fn heir(options: &Options) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|why| Failure::run("loopback", why))?;
    let port = listener.local_addr().map_err(|why| Failure::run("loopback", why))?.port();
    let fd = listener.into_raw_fd();
    linux::keep_at_exec(fd);
    let leaving = Leaving::by_ways(&["session", "double-fork", "env-clear", "chdir"]);
    leaving.start(&waiting(life(options)?))?;
    say(&format!("port {port}"));
    Ok(0)
}

fn late(options: &Options) -> Outcome {
    let count: u32 = options.or("count", 3)?;
    if count > MOST_PROCESSES {
        return Err(Failure::Usage(format!("late: --count can be {MOST_PROCESSES} at most")));
    }
    let life = life(options)?;
    let mut leaving = Leaving::by_ways(if options.flag("env-clear") {
        &["session", "double-fork", "chdir", "env-clear"]
    } else {
        &["session", "double-fork", "chdir"]
    });
    leaving.title = options.flag("title").then(|| "kworker/1:2".to_owned());
    let signals = StopSignals::hold();
    say("late");
    kernel::alarm(life);
    signals.wait();
    // The mask would be inherited, and the children would be deaf to SIGTERM, which is another shape.
    signals.release();
    for _ in 0..count {
        leaving.start(&waiting(life))?;
    }
    Ok(0)
}

fn grow(options: &Options) -> Outcome {
    let depth: u32 = options.or("depth", 4)?;
    let times: u32 = options.or("times", 100)?;
    let every = options.millis("every")?;
    let life = life(options)?;
    if 2_u32.checked_pow(depth).is_none_or(|count| count > MOST_PROCESSES) {
        return Err(Failure::Usage(format!("grow: more than {MOST_PROCESSES} processes")));
    }
    if options.flag("deaf") {
        kernel::ignore_everything();
    }
    for _ in 0..depth {
        thread::sleep(every);
        if matches!(kernel::fork()?, Side::Child) {
            kernel::new_session();
        }
    }
    kernel::hop(times, every, true)?;
    Ok(kernel::rest(life))
}

fn waiting(life: Duration) -> Vec<String> {
    ["wait", "--life", &life.as_secs().to_string()].map(str::to_owned).to_vec()
}
