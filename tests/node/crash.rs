//! The worst day of a Node checkout: services with a detached browser and a watcher that bears children when it is asked
//! to end, a hanging `npm test` from another terminal, and everything of devstack killed. Then `down`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, command_line, finish, free_port, kill, list, number, runs, skip, stat, until};
use crate::{fixture, install, living_in, tell, there, turn};

/// The commands of `fixtures/node/devstack.yaml`, with ports of their own, and two services that behave as a headless
/// browser and a watcher do.
fn manifest(misbehave: bool) -> String {
    let (api, agent) = (free_port(), free_port());
    let worst = "\n  browser:
    command: stand-in child --count 3 --session --double-fork --env-clear --close --chdir --title chromium --life 900
    ready: { log: 'child [0-9]+' }
  watcher:
    command: stand-in late --count 3 --env-clear --life 900
    ready: { log: late }";
    format!(
        "name: shop
services:
  orchestrator:
    command: npm run dev
    working_dir: packages/orchestrator
    ports: [{api}]
    environment: {{ PORT: '{api}' }}
    health: http://localhost:{api}/api/v1/health
  validation-agent:
    command: npm start
    working_dir: packages/agents/validation-agent
    ports: [{agent}]
    environment: {{ PORT: '{agent}', API: 'http://localhost:{api}' }}
    health: http://localhost:{agent}/health
    depends_on: [orchestrator]{}
sweep:
  patterns: [npm run dev, npm test, tsx watch, vitest, turbo run, esbuild.*--service, vite]
",
        if misbehave { worst } else { "" }
    )
}

/// A checkout of the workspace, with its packages.
fn check_out(to: &Path) {
    let from = fixture().join(".");
    let copy = |way: &str| {
        let done = Command::new("cp").arg(way).arg(&from).arg(to).stderr(Stdio::null()).status();
        done.expect("cp runs").success()
    };
    // Links are quick; another file system or another owner wants copies.
    assert!(copy("-alf") || copy("-af"), "no checkout at {}", to.display());
    // It may be a link to the fixture's own: what is written from now on is another file.
    fs::remove_file(to.join("devstack.yaml")).expect("ours");
}

/// `npm test` beside the stack, as from another terminal; ended with the test, whatever happens.
struct Suite(Child);

impl Suite {
    fn hang(dir: &Path, log: &Path) -> Self {
        let file = fs::File::create(log).expect("a file");
        let mut command = Command::new("setsid");
        command.args(["npm", "test"]).current_dir(dir).env("HANG", "1").env_remove("CI");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a file")).stderr(file);
        Self(command.spawn().expect("it starts"))
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The second checkout: nothing of it may be touched, and all of it is ended with the test.
struct Second<'a> {
    world: &'a World,
    dir: std::path::PathBuf,
}

impl Second<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        command.current_dir(&self.dir).env("DEVSTACK_STATE_DIR", self.world.beside("s2"));
        command
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["down", "--force"]).output();
        for pid in living_in(&self.dir).into_keys().chain(living_in(&self.world.dir()).into_keys()) {
            kill(pid, Signal::KILL);
        }
    }
}

/// One package of the suite hangs, and no other is being tested any more.
fn is_at_rest(dir: &Path) -> bool {
    let packages = dir.join("packages");
    let testing = |package: &str, word: &str| {
        living_in(&packages.join(package)).values().any(|line| line.contains(word))
    };
    testing("agents/validation-agent", "vitest")
        && !testing("orchestrator", "vitest")
        && !["agent-kit", "agents/planning-agent", "agents/review-agent"].iter().any(|one| testing(one, ""))
}

/// Processes by number and start.
fn identities(of: &BTreeMap<i32, String>) -> Vec<(i32, u64)> {
    of.keys().filter_map(|pid| Some((*pid, stat(*pid)?.start))).collect()
}

/// Members of services that a plain user has no cgroup for are recorded as they are seen.
fn until_recorded(world: &World, but: &[i32]) {
    let members: Vec<i32> = world.living().into_keys().filter(|pid| !but.contains(pid)).collect();
    let recorded = || {
        let lives = fs::read_dir(world.stack_state().join("lives")).expect("records").flatten();
        let text: String = lives.map(|entry| fs::read_to_string(entry.path()).expect("text")).collect();
        let in_cgroup = text.contains("\"cgroup\":[");
        in_cgroup || members.iter().all(|pid| text.contains(&format!("\"pid\":{pid},")))
    };
    until("all members are recorded", recorded);
}

#[test]
fn a_down_after_everything_was_killed_leaves_nothing_and_touches_nobody() {
    if !there("node") || !there("npm") {
        return skip("node and npm are needed");
    }
    let _turn = turn();
    install();
    let world = World::new("services: {}\n");
    check_out(&world.dir());
    world.write(&manifest(true));
    let second = Second { world: &world, dir: world.beside("second") };
    check_out(&second.dir);
    fs::write(second.dir.join("devstack.yaml"), manifest(false)).expect("written");

    let logs = [world.beside("logs").join("first"), world.beside("logs").join("second")];
    let first_suite = Suite::hang(&world.dir(), &logs[0]);
    let second_suite = Suite::hang(&second.dir, &logs[1]);
    finish(second.command(&["up"])).expect(0);
    world.up();
    for log in &logs {
        until("the suite hangs", || fs::read_to_string(log).is_ok_and(|text| text.contains("hanging")));
    }
    // Of the second checkout nothing may end by itself while we look: one package hangs, the others have to be done.
    until("the second suite does nothing but hang", || is_at_rest(&second.dir));
    // A person's shell and editor stand in the checkout; the editor's file and docker's proxy even match a pattern.
    let mut shell = Command::new("sh");
    let shell = shell.arg("-i").current_dir(world.dir()).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut shell = shell.spawn().expect("it starts");
    let mut editor = world.start("vim", &["wait", "vite.config.ts"], &world.dir());
    let mut proxy = world.start("docker-proxy", &["wait", "-proto", "tcp", "vite"], &world.dir());
    let bystanders = [i32::try_from(shell.id()).expect("a number"), editor.pid(), proxy.pid()];
    until_recorded(&world, &bystanders);

    let view = world.ps();
    let leaders = list(&view, "services").iter().map(|service| number(&service["pid"]));
    let mut machinery: Vec<i32> = leaders.map(|pid| stat(pid).expect("it lives").parent).collect();
    machinery.push(number(&view["supervisor"]));
    assert!(machinery.iter().all(|pid| command_line(*pid).starts_with("devstack __")), "{machinery:?}");
    let left = || {
        let mut left = living_in(&world.dir());
        left.extend(world.living());
        left.retain(|pid, _| !bystanders.contains(pid));
        left
    };
    let (before, others) = (left(), identities(&living_in(&second.dir)));
    let count = |word: &str| before.values().filter(|line| line.contains(word)).count();
    assert!(count("turbo") >= 1 && count("vitest") >= 2 && count("chromium") >= 3, "{before:#?}");
    assert!(others.len() >= 6, "{others:?}");

    for pid in &machinery {
        kill(*pid, Signal::KILL);
    }
    until("everything of devstack is dead", || machinery.iter().all(|pid| !runs(*pid)));
    let down = world.run(&["down"]).expect(0);
    let after = left();
    tell(&format!(
        "{} processes before down, {} after, {:.1} s:\n{}{}",
        before.len(),
        after.len(),
        down.took.as_secs_f64(),
        down.out,
        down.err,
    ));
    assert!(after.is_empty(), "left: {after:#?}\n{}{}", down.out, down.err);
    assert!(before.keys().all(|pid| !runs(*pid)));
    assert!(shell.try_wait().expect("ours").is_none(), "a shell in the checkout was ended: {}", down.out);
    assert!(editor.lives() && proxy.lives(), "an editor or docker-proxy was ended: {}", down.out);
    let now = identities(&living_in(&second.dir));
    let gone: Vec<_> = others.iter().filter(|one| !now.contains(one)).collect();
    assert!(gone.is_empty(), "of the second checkout {gone:?} were ended: {}", down.out);
    let services = finish(second.command(&["ps", "--json"])).expect(0).json();
    assert!(list(&services, "services").iter().all(|one| one["state"] == "ready"), "{services:#}");
    sweep_the_hanging_suite(&second, &services);
    shell.kill().expect("ours");
    shell.wait().expect("ours");
    drop((first_suite, second_suite));
}

/// The second stack runs on; its own `npm test`, which hangs beside it, is swept with evidence.
fn sweep_the_hanging_suite(second: &Second<'_>, services: &Value) {
    let members = list(services, "services").iter().flat_map(|service| list(service, "processes"));
    let tracked: Vec<i32> = members.map(|one| number(&one["pid"])).collect();
    let (mut kept, mut suite) = (living_in(&second.dir), living_in(&second.dir));
    kept.retain(|pid, _| tracked.contains(pid));
    suite.retain(|pid, _| !tracked.contains(pid));
    let kept = identities(&kept);
    assert!(suite.values().any(|line| line.contains("turbo")) && suite.len() >= 3, "{suite:#?}");
    let swept = finish(second.command(&["sweep", "--json"])).expect(0);
    let report = swept.json();
    tell(&format!("{} processes swept beside the stack, {:.1} s", report["ended"], swept.took.as_secs_f64()));
    assert!(suite.keys().all(|pid| !runs(*pid)), "{report:#}");
    for row in list(&report, "strays").iter().filter(|row| row["fate"] != "leave") {
        let evidence = row["evidence"].as_str().expect("text");
        assert!(evidence.contains("works in") || evidence.contains("a descendant of"), "{row}");
    }
    let now = identities(&living_in(&second.dir));
    assert!(kept.iter().all(|one| now.contains(one)), "{report:#}");
    let services = finish(second.command(&["ps", "--json"])).expect(0).json();
    assert!(list(&services, "services").iter().all(|one| one["state"] == "ready"), "{services:#}");
}
