//! The parts that behave badly: deaf, in other sessions, with cleared environments, coming back. Each ends by itself
//! after its `--life` (15 minutes where none is given), so that nothing outlives a lost test.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::kernel::{self, Side, StopSignals};
use crate::options::{Failure, Mode, Options, Outcome};
use crate::say;

/// No part ever makes more processes than this.
pub(crate) const MOST_PROCESSES: u32 = 1_000;

pub(crate) const DEAF: Mode = Mode {
    name: "deaf",
    values: &[("life", "SECONDS")],
    flags: &["child"],
    words: true,
    about: "ignores every signal that can be ignored; with --child in two processes",
    run: deaf,
};

pub(crate) const CHILD: Mode = Mode {
    name: "child",
    values: &[("count", "COUNT"), ("title", "TEXT"), ("leader-ends", "MS"), ("life", "SECONDS")],
    flags: &["session", "group", "env-clear", "chdir", "close", "double-fork", "deaf", "no-term", "stopped"],
    words: true,
    about: "starts children that leave in the ways asked for, says `child PID` for each, and waits or ends before them",
    run: child,
};

pub(crate) const DAEMONIZE: Mode = Mode {
    name: "daemonize",
    values: &[("when", "FILE"), ("life", "SECONDS")],
    flags: &["env-clear"],
    words: true,
    about: "as a daemon does it, once FILE is there: double fork, new session, /, nothing open; says `child PID`",
    run: daemonize,
};

pub(crate) const TREE: Mode = Mode {
    name: "tree",
    values: &[("depth", "COUNT"), ("width", "COUNT"), ("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "WIDTH children, each with as many, DEPTH levels down; says `tree of COUNT` when all of them run",
    run: tree,
};

pub(crate) const RESPAWN: Mode = Mode {
    name: "respawn",
    values: &[("times", "COUNT"), ("life", "SECONDS")],
    flags: &["env-clear"],
    words: true,
    about: "on SIGTERM starts itself anew in another session before it ends; so many times (3)",
    run: respawn,
};

pub(crate) const HOP: Mode = Mode {
    name: "hop",
    values: &[("times", "COUNT"), ("every", "MS"), ("life", "SECONDS")],
    flags: &["stay", "deaf"],
    words: true,
    about: "forks into a new session (with --stay in its own) and ends, again and again, so many times (100)",
    run: hop,
};

pub(crate) const ZOMBIE: Mode = Mode {
    name: "zombie",
    values: &[("life", "SECONDS")],
    flags: &[],
    words: true,
    about: "has a child that has ended and never asks for its status",
    run: zombie,
};

/// How long a part lasts at most.
pub(crate) fn life(options: &Options) -> Result<Duration, Failure> {
    options.or("life", 900).map(Duration::from_secs)
}

fn deaf(options: &Options) -> Outcome {
    kernel::ignore_everything();
    let life = life(options)?;
    if options.flag("child") {
        match kernel::fork()? {
            Side::Parent(child) => say(&format!("child {child}")),
            Side::Child => return Ok(kernel::rest(life)),
        }
    }
    say("deaf");
    Ok(kernel::rest(life))
}

/// How a child leaves its parent behind.
pub(crate) struct Leaving {
    /// Names of flags of [`CHILD`].
    ways: Vec<&'static str>,
    pub(crate) title: Option<String>,
}

impl Leaving {
    pub(crate) fn by_ways(ways: &[&'static str]) -> Self {
        Self { ways: ways.to_vec(), title: None }
    }

    fn by(&self, way: &str) -> bool {
        self.ways.contains(&way)
    }

    pub(crate) fn start(&self, arguments: &[String]) -> Result<i32, Failure> {
        kernel::spawn_self(arguments, |command| self.change(command), || self.prepare())
    }

    fn change(&self, command: &mut Command) {
        if self.by("env-clear") {
            command.env_clear();
        }
        if self.by("chdir") {
            command.current_dir("/");
        }
        if let Some(title) = &self.title {
            command.arg0(title);
        }
        if self.by("close")
            && let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null")
            && let (Ok(second), Ok(third)) = (null.try_clone(), null.try_clone())
        {
            command.stdin(null).stdout(second).stderr(third);
        }
    }

    fn prepare(&self) -> Result<(), Failure> {
        if self.by("session") {
            kernel::new_session();
        }
        if self.by("group") {
            kernel::new_group();
        }
        if self.by("double-fork") && matches!(kernel::fork()?, Side::Parent(_)) {
            kernel::leave(0);
        }
        if self.by("close") {
            kernel::close_all();
        }
        Ok(())
    }
}

fn child(options: &Options) -> Outcome {
    let count: u32 = options.or("count", 1)?;
    if count > MOST_PROCESSES {
        return Err(Failure::Usage(format!("child: --count can be {MOST_PROCESSES} at most")));
    }
    let ways = CHILD.flags.iter().copied().filter(|flag| options.flag(flag)).collect();
    let leaving = Leaving { ways, title: options.text("title").map(str::to_owned) };
    let life = life(options)?;
    let mut arguments = vec!["wait".to_owned(), "--life".to_owned(), life.as_secs().to_string()];
    let passed_on = ["deaf", "no-term"].into_iter().filter(|flag| options.flag(flag));
    arguments.extend(passed_on.map(|flag| format!("--{flag}")));
    for _ in 0..count {
        let child = leaving.start(&arguments)?;
        if options.flag("stopped") {
            if leaving.by("double-fork") {
                return Err(Failure::Usage("child: --stopped needs a child of its own".into()));
            }
            kernel::freeze_child(child);
        }
        say(&format!("child {child}"));
    }
    if options.text("leader-ends").is_some() {
        thread::sleep(options.millis("leader-ends")?);
        return Ok(0);
    }
    Ok(kernel::rest(life))
}

fn daemonize(options: &Options) -> Outcome {
    let mut ways = vec!["session", "double-fork", "chdir", "close"];
    ways.extend(options.flag("env-clear").then_some("env-clear"));
    let leaving = Leaving { ways, title: None };
    let limit = life(options)?;
    if let Some(file) = options.text("when") {
        kernel::rest_until(Path::new(file), limit);
    }
    let life = limit.as_secs().to_string();
    let daemon = leaving.start(&["wait".to_owned(), "--life".to_owned(), life])?;
    say(&format!("child {daemon}"));
    Ok(0)
}

fn tree(options: &Options) -> Outcome {
    let depth: u32 = options.need("depth")?;
    let width: u32 = options.need("width")?;
    let life = life(options)?;
    let sizes = (0..=depth).map(|level| width.checked_pow(level));
    let total = sizes.sum::<Option<u32>>().filter(|total| *total <= MOST_PROCESSES);
    let total = total.ok_or_else(|| Failure::Usage(format!("tree: more than {MOST_PROCESSES} processes")))?;
    let mut children = Vec::new();
    if depth > 0 {
        for _ in 0..width {
            children.push(branch(depth - 1, width, life)?);
        }
    }
    for child in &mut children {
        let mut answer = String::new();
        let told = child.stdout.take().map(|pipe| BufReader::new(pipe).read_line(&mut answer));
        if !answer.starts_with("tree of") {
            return Err(Failure::Run(format!("a branch did not come up: {told:?}")));
        }
    }
    say(&format!("tree of {total}"));
    Ok(kernel::rest(life))
}

fn branch(depth: u32, width: u32, life: Duration) -> Result<Child, Failure> {
    let program = std::env::current_exe().map_err(|why| Failure::run("own program", why))?;
    let (depth, width, life) = (depth.to_string(), width.to_string(), life.as_secs().to_string());
    let arguments = ["tree", "--depth", &depth, "--width", &width, "--life", &life];
    let child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn();
    child.map_err(|why| Failure::run("branch", why))
}

fn respawn(options: &Options) -> Outcome {
    let times: u32 = options.or("times", 3)?;
    let life = life(options)?;
    if times > MOST_PROCESSES {
        return Err(Failure::Usage(format!("respawn: --times can be {MOST_PROCESSES} at most")));
    }
    let signals = StopSignals::hold();
    say(&format!("respawn, {times} times more"));
    // The wait has no time limit of its own: the alarm ends it, whatever happens.
    kernel::alarm(life);
    signals.wait();
    if times > 0 {
        let env_clear = options.flag("env-clear");
        let mut arguments = vec!["respawn".to_owned(), format!("--times={}", times - 1)];
        arguments.push(format!("--life={}", life.as_secs()));
        arguments.extend(env_clear.then(|| "--env-clear".to_owned()));
        let mut ways = vec!["session"];
        ways.extend(env_clear.then_some("env-clear"));
        let leaving = Leaving { ways, title: None };
        let next = leaving.start(&arguments)?;
        say(&format!("child {next}"));
    }
    Ok(143)
}

fn hop(options: &Options) -> Outcome {
    let times: u32 = options.or("times", 100)?;
    let every = options.millis("every")?;
    let life = life(options)?;
    if times > MOST_PROCESSES {
        return Err(Failure::Usage(format!("hop: --times can be {MOST_PROCESSES} at most")));
    }
    if options.flag("deaf") {
        kernel::ignore_everything();
    }
    kernel::hop(times, every, !options.flag("stay"))?;
    say(&format!("child {}", std::process::id()));
    Ok(kernel::rest(life))
}

fn zombie(options: &Options) -> Outcome {
    match kernel::fork()? {
        Side::Parent(child) => say(&format!("child {child}")),
        Side::Child => kernel::leave(0),
    }
    Ok(kernel::rest(life(options)?))
}
