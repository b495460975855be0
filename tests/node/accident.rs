//! The accident: `npm test` hangs and takes ever more memory and processes beside six services. As a job of the stack it is
//! held within its budget, the culprits are named, the services go on, and `down` leaves nothing.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::world::{
    NOBODY, World, behind, command_line, finish, free_port, is_root, kill, list, number, runs, skip, until,
};
use crate::{fixture, install, living_in, tell, there, turn};

/// What the job may have.
const PROCESSES: usize = 60;
const MEMORY: u64 = 2 << 30;

/// Between two looks of devstack the hogs take one step each; by themselves they stop at 80 processes and 2.4 GB.
const INTERVAL: &str = "100ms";

fn manifest() -> String {
    let port = free_port();
    let agents = ["validation-agent", "planning-agent", "review-agent"].map(|name| {
        let own = free_port();
        format!(
            "  {name}:
    command: npm start
    working_dir: packages/agents/{name}
    ports: [{own}]
    environment: {{ PORT: '{own}', API: 'http://localhost:{port}' }}
    ready: {{ port: {own} }}
    depends_on: [orchestrator]
"
        )
    });
    format!(
        "name: shop
monitor: {{ interval: {INTERVAL} }}
services:
  database: {{ command: stand-in wait }}
  cache: {{ command: stand-in crowd --count 2 --life 600 }}
  orchestrator:
    command: npm run dev
    working_dir: packages/orchestrator
    ports: [{port}]
    environment: {{ PORT: '{port}' }}
    health: http://localhost:{port}/api/v1/health
{}",
        agents.concat()
    )
}

/// A net below the test, whatever devstack does: cgroups with hard limits, and the judge of what is in them.
struct Net {
    pids: PathBuf,
    memory: PathBuf,
}

impl Net {
    fn new() -> Option<Self> {
        let name = format!("accident-{}", std::process::id());
        let dir = |controller: &str| Path::new("/sys/fs/cgroup").join(controller).join(&name);
        let net = Self { pids: dir("pids"), memory: dir("memory") };
        for (dir, file, most) in
            [(&net.pids, "pids.max", 1500), (&net.memory, "memory.limit_in_bytes", 4_u64 << 30)]
        {
            fs::create_dir(dir).ok()?;
            fs::write(dir.join(file), most.to_string()).ok()?;
            // Checked, not believed.
            (fs::read_to_string(dir.join(file)).ok()?.trim() == most.to_string()).then_some(())?;
        }
        Some(net)
    }

    fn command(&self, command: &Command) -> Command {
        let enter = format!(
            "echo $$ > {}/cgroup.procs && echo $$ > {}/cgroup.procs && exec \"$@\"",
            self.pids.display(),
            self.memory.display()
        );
        behind(&["sh", "-c", &enter, "sh"], command)
    }

    /// All that is in it and below.
    fn members(&self) -> Vec<i32> {
        fn below(dir: &Path, into: &mut Vec<i32>) {
            let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            into.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            let inner = fs::read_dir(dir).into_iter().flatten().flatten();
            inner.map(|entry| entry.path()).filter(|path| path.is_dir()).for_each(|path| below(&path, into));
        }
        let mut all = Vec::new();
        below(&self.pids, &mut all);
        all
    }

    /// Processes of the job, and their own memory together: what devstack's process itself takes is not the job's.
    fn judge(&self) -> (usize, u64) {
        let all = self.members().into_iter().filter(|pid| runs(*pid));
        let job: Vec<i32> = all.filter(|pid| !command_line(*pid).contains("devstack")).collect();
        (job.len(), job.iter().map(|pid| own_memory(*pid)).sum())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        fn remove(dir: &Path) {
            let inner = fs::read_dir(dir).into_iter().flatten().flatten();
            inner.map(|entry| entry.path()).filter(|path| path.is_dir()).for_each(|path| remove(&path));
            let _ = fs::remove_dir(dir);
        }
        let left = || self.members().into_iter().filter(|pid| runs(*pid)).collect::<Vec<_>>();
        for _ in 0..100 {
            let left = left();
            if left.is_empty() {
                break;
            }
            for pid in left {
                kill(pid, Signal::KILL);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        remove(&self.pids);
        remove(&self.memory);
    }
}

/// Anonymous memory: what is nobody else's as well.
fn own_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A checkout of its own, which whoever runs devstack may write to.
fn check_out(world: &World, plain: bool) {
    let (from, to) = (fixture().join("."), world.dir());
    let shell = |script: &str| {
        let done = Command::new("sh").args(["-c", script, "sh"]).arg(&from).arg(&to).status();
        assert!(done.expect("sh runs").success(), "{script}");
    };
    shell("cp -alf \"$1\" \"$2\" 2>/dev/null || cp -af \"$1\" \"$2\"");
    fs::remove_file(to.join("devstack.yaml")).expect("ours");
    // What an earlier run wrote may be a link to the fixture's own.
    shell("find \"$2\" \\( -name .turbo -o -name .vite -o -name .cache \\) -prune -exec rm -rf {} +");
    if plain {
        shell(&format!("find \"$2\" -type d -exec chown {NOBODY}:{NOBODY} {{}} +"));
    }
}

fn the_accident(plain: bool) {
    if !there("node") || !there("npm") {
        return skip("node and npm are needed");
    }
    if !is_root() {
        return skip("only root can make cgroups that hold the accident should devstack not");
    }
    let _turn = turn();
    install();
    let Some(net) = Net::new() else {
        return skip("memory and pids are no cgroup trees of their own here");
    };
    let world = if plain { World::plain("services: {}\n") } else { World::new("services: {}\n") };
    check_out(&world, plain);
    world.write(&manifest());
    let home = world.beside("home");
    std::os::unix::fs::chown(&home, plain.then_some(NOBODY), None).expect("root may");
    let at_home = |mut command: Command| {
        command.env("HOME", &home).env_remove("CI");
        command
    };
    finish(at_home(world.command(&["up"]))).expect(0);

    let words = ["run", "--memory", "2G", "--pids", "60", "--", "npm", "test"];
    let mut job = net.command(&at_home(world.command(&words)));
    let log = home.join("test.log");
    let file = fs::File::create(&log).expect("a file");
    let err = home.join("terminal");
    let terminal = fs::File::create(&err).expect("a file");
    job.env("HANG", "1").env("HOG", "1").stdin(Stdio::null()).stdout(file).stderr(terminal);
    let mut job = job.spawn().expect("it starts");
    let why = || world.run(&["events", "--why", "job npm test"]).out;
    let (mut most, mut largest) = (0, 0);
    let peak = std::cell::RefCell::new((&mut most, &mut largest));
    until("the suite hangs, and both hogs were ended", || {
        let (processes, memory) = net.judge();
        let mut peak = peak.borrow_mut();
        (*peak.0, *peak.1) = (processes.max(*peak.0), memory.max(*peak.1));
        let hangs = fs::read_to_string(&log).is_ok_and(|text| text.contains("hanging"));
        hangs && !net.members().into_iter().any(|pid| runs(pid) && command_line(pid).contains("hog.mjs"))
    });
    tell(&format!("at most {most} processes and {} MB of the job at once", largest >> 20));
    // Two looks are what measuring needs; what the kernel holds is never exceeded.
    assert!(most <= PROCESSES + 15, "{most} processes");
    assert!(largest <= if plain { MEMORY + (300 << 20) } else { MEMORY }, "{largest} bytes");
    let (processes, memory) = net.judge();
    assert!(
        processes <= PROCESSES && memory <= MEMORY && processes > 3,
        "{processes} processes, {memory} bytes"
    );
    let told = why();
    assert!(told.contains("over its limit of ") && told.contains("hog.mjs"), "{told}");
    let view = world.ps();
    let services: Vec<_> = list(&view, "services").iter().filter(|one| one["kind"] != "job").collect();
    assert_eq!(services.len(), 6, "{view:#}");
    for service in services {
        assert!(
            service["state"] == "ready" && service["restarts"] == 0 && runs(number(&service["pid"])),
            "{service:#}"
        );
    }

    let down = finish(at_home(world.command(&["down"]))).expect(0);
    let ended = job.wait().expect("ours");
    let terminal = fs::read_to_string(&err).expect("text");
    tell(&format!("{}{}{terminal}", down.out, down.err));
    assert!(!ended.success(), "{:?} {:?}", ended.code(), ended.signal());
    assert!(
        terminal.contains("over its limit of processes: ") && terminal.contains("hog.mjs crowd"),
        "{terminal}"
    );
    let memory =
        if plain { "over its limit of memory: " } else { "killed by the kernel: out of memory (limit 2.0G)" };
    assert!(terminal.contains(memory), "{terminal}");
    let told = why();
    assert!(told.contains("over its limit of ") && told.contains("hog.mjs"), "{told}");
    assert!(living_in(&world.dir()).is_empty(), "left: {:?}", living_in(&world.dir()));
    assert_eq!(net.judge().0, 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_suite_that_runs_away_is_held_by_the_kernel_and_by_looking() {
    the_accident(false);
}

#[test]
fn a_suite_that_runs_away_is_held_for_a_plain_user() {
    the_accident(true);
}
