//! The arena: one checkout under devstack, a second one beside it, everything that must die and all that must not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::judge::{Id, Judge, Place, is_machinery};
use crate::promise::{Mode, User};
use crate::shapes::Shape;
use crate::table::Row;
use crate::tools::{PATH, Tools};
use crate::world::{
    NOBODY, Ran, Started, World, behind, command_line, finish, is_root, kill, list, number, runs, skip, stat,
    until,
};

/// A specimen that has not become what it is by then never will.
const PATIENCE: Duration = Duration::from_secs(45);

/// Daemons of somebody else, as the judge calls them.
const FOREIGN: &str = "foreign";

/// A stack of shapes, run by one user, with its look-alikes.
pub(crate) struct Arena {
    user: User,
    shapes: Vec<&'static Shape>,
    tools: Tools,
    second: PathBuf,
    /// Look-alikes of specimens: number, start, and what they are.
    canaries: BTreeMap<Id, String>,
    bystanders: Vec<Started>,
    judge: Judge,
    // The last to go: its directory holds all the others' files.
    world: World,
}

impl Arena {
    /// Starts the second checkout and the bystanders; they stay for all modes.
    pub(crate) fn new(user: User, shapes: &[&'static Shape]) -> Self {
        let empty = "services: { none: { command: \"true\" } }\n";
        let world = if user == User::Plain { World::plain(empty) } else { World::new(empty) };
        let (second, foreign) = (world.beside("second"), world.beside(FOREIGN));
        own(&foreign, user);
        let wanted: Vec<&str> = shapes.iter().flat_map(|shape| shape.needs).copied().collect();
        let tools = Tools::prepare(&world, user, &wanted, &foreign);
        let mut names: Vec<&str> = shapes.iter().map(|shape| shape.name).collect();
        names.push(FOREIGN);
        let judge = Judge::new(&world, &names, user == User::Plain && is_root());
        let can = |shape: &&'static Shape| {
            let why = match tools.missing(shape.needs) {
                _ if !shape.is_for(user) => return false,
                _ if !judge.knows(shape) => "only root can judge it, who plays a plain user as well",
                Some(missing) => &format!("{missing} is missing"),
                None => return true,
            };
            skip(&format!("the shape `{}` as {user}: {why}", shape.name));
            false
        };
        let shapes: Vec<&'static Shape> = shapes.iter().copied().filter(can).collect();
        // Specimens that root starts as nobody (postgres, workers of nginx) must reach their directories.
        let top = world.dir().parent().expect("a parent").to_owned();
        fs::set_permissions(top, fs::Permissions::from_mode(0o711)).expect("ours");
        let (canaries, bystanders) = (BTreeMap::new(), Vec::new());
        let mut arena = Self { user, shapes, tools, second, canaries, bystanders, judge, world };
        arena.write(Place::Stack);
        arena.write(Place::Second);
        arena.start_second();
        arena.start_bystanders(&foreign);
        arena
    }

    fn checkout(&self, place: Place) -> PathBuf {
        match place {
            Place::Stack => self.world.dir(),
            Place::Second => self.second.clone(),
        }
    }

    /// Writes scripts and manifest, and takes away what an earlier run left.
    fn write(&self, place: Place) {
        let dir = self.checkout(place);
        for name in ["run", "scratch"] {
            let _ = fs::remove_dir_all(dir.join(name));
        }
        let mut manifest = "services:\n".to_owned();
        for shape in &self.shapes {
            let (name, scratch) = (shape.name, dir.join("scratch").join(shape.name));
            fs::create_dir_all(&scratch).expect("ours");
            let enter = self.judge.enter(place, name);
            let stand_in = self.judge.stand_in(&self.world, place, name).display().to_string();
            let body = shape.script.replace("@ENTER", &enter).replace("@S ", &format!("{stand_in} "));
            let body = self.tools.resolve(&body);
            let script = format!(
                "{enter}\ncd {} || exit 98\nexport HOME=$PWD PATH={PATH} SHELL=/bin/sh\nunset TMUX STY CI\n{body}\n",
                scratch.display()
            );
            let file = dir.join("run").join(format!("{name}.sh"));
            fs::create_dir_all(file.parent().expect("a parent")).expect("ours");
            fs::write(file, script).expect("ours");
            let _ =
                writeln!(manifest, "  {name}: {{ command: [sh, run/{name}.sh], stop_grace_period: 1500ms }}");
        }
        fs::write(dir.join("devstack.yaml"), manifest).expect("ours");
        own(&dir, self.user);
    }

    /// The second checkout runs the very same commands, without devstack.
    fn start_second(&mut self) {
        for shape in self.shapes.iter().filter(|shape| shape.canary) {
            let mut command = self.tools.command("setsid");
            command.args(["sh", &format!("run/{}.sh", shape.name)]).current_dir(&self.second);
            let scratch = self.second.join("scratch").join(shape.name);
            let out = fs::File::create(scratch.join("said")).expect("ours");
            command.stdout(out.try_clone().expect("a file")).stderr(out);
            let mut child = command.spawn().expect("setsid exists");
            std::thread::spawn(move || child.wait());
        }
        for shape in self.shapes.iter().filter(|shape| shape.canary) {
            self.await_specimen(Place::Second, shape).unwrap_or_else(|why| panic!("a look-alike: {why}"));
        }
        for shape in self.shapes.iter().filter(|shape| shape.canary) {
            let members = self.judge.of(Place::Second, shape.name);
            self.canaries
                .extend(members.into_iter().map(|(id, name)| (id, format!("{name} of {}", shape.name))));
        }
    }

    /// A shell in the checkout, docker's proxy, and daemons that take work from everybody.
    fn start_bystanders(&mut self, foreign: &Path) {
        let plain = self.user == User::Plain && is_root();
        let mut shell = Command::new("sh");
        shell.args(["-c", "while :; do sleep 1; done", "-i"]).current_dir(self.world.dir());
        self.bystanders.push(Started::by(&shell, plain));
        self.bystanders.push(self.world.start("docker-proxy", &["wait"], &self.world.dir()));

        if !self.shapes.iter().any(|shape| shape.needs.contains(&"@FOREIGN")) {
            return;
        }
        let enter = |place, name| self.judge.enter(place, name);
        let script = self.tools.resolve(&format!(
            "{}\ncd @FOREIGN; mkfifo fifo\n\
            TMUX_TMPDIR=$PWD tmux -L foreign -f /dev/null new-session -d 'exec @S wait'\n\
            while :; do\nread -r life stack <fifo || continue\n\
            DEVSTACK_LIFE=$life DEVSTACK_STACK_ID=$stack sh -c '{} exec @S wait' &\ndone\n",
            enter(Place::Second, FOREIGN),
            enter(Place::Stack, "lent-environment"),
        ));
        fs::write(foreign.join("daemons.sh"), script).expect("ours");
        let mut daemons = self.tools.command("setsid");
        daemons.args(["sh", "daemons.sh"]).current_dir(foreign);
        let mut child = daemons.spawn().expect("setsid exists");
        std::thread::spawn(move || child.wait());
        let with_tmux = self.tools.missing(&["tmux"]).is_none();
        until("the foreign daemons run", || {
            let now = self.judge.of(Place::Second, FOREIGN);
            let windows = now.values().filter(|name| *name == "stand-in").count();
            let expected = if with_tmux { (3, 1) } else { (1, 0) };
            (now.len(), windows) == expected
        });
        self.canaries.extend(self.judge.of(Place::Second, FOREIGN));
    }

    /// A command of devstack, under the judge's eyes.
    fn devstack(&self, args: &[&str]) -> Ran {
        let mut inner = self.world.command(args);
        inner.env("PATH", PATH);
        if self.user == User::RootWithoutCgroup {
            // A machine that has no cgroup v2: its tree is not mounted where this command and its children look.
            let hide = "grep -q ' cgroup2 ' /proc/self/mounts && umount -a -t cgroup2; exec \"$@\"";
            inner = behind(&["unshare", "--mount", "--propagation=private", "sh", "-c", hide, "sh"], &inner);
        }
        finish(self.judge.within(Place::Stack, &inner))
    }

    fn await_specimen(&self, place: Place, shape: &Shape) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let members = self.judge.of(place, shape.name);
            let is_whole = shape.lives.iter().all(|(wanted, count)| {
                members.values().filter(|name| name.starts_with(wanted)).count() >= *count
            });
            // The shell that becomes the shape, or starts it and ends, is no part of it.
            let leaves = shape.lives.iter().any(|(wanted, _)| wanted.is_empty());
            if is_whole
                && (leaves || !members.values().any(|name| is_shell(name)) || shape.name == "namespace")
            {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let said = self.words(place, shape);
                return Err(format!(
                    "`{}` did not become {:?}: {members:?}\n{said}",
                    shape.name, shape.lives
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a specimen said.
    fn words(&self, place: Place, shape: &Shape) -> String {
        let file = match place {
            Place::Stack => self.world.stack_state().join("logs").join(format!("{}.log", shape.name)),
            Place::Second => self.second.join("scratch").join(shape.name).join("said"),
        };
        fs::read_to_string(file).unwrap_or_default()
    }

    /// One cell of each row: up, kill, down, and what the judge says.
    pub(crate) fn run(&mut self, mode: Mode) -> Vec<Row> {
        if self.shapes.is_empty() {
            // All of them were skipped, and said so.
            return Vec::new();
        }
        self.write(Place::Stack);
        let up = self.devstack(&["up"]);
        assert_eq!(up.status.code(), Some(0), "{}: {mode}: up\n{}\n{}", self.user, up.out, up.err);
        let mut faults: BTreeMap<&str, String> = BTreeMap::new();
        for shape in &self.shapes {
            if let Err(why) = self.await_specimen(Place::Stack, shape) {
                eprint(&format!("{}: {mode}: {why}\n", self.user));
                faults.insert(shape.name, why);
            }
        }
        self.kill_machinery(mode);
        let mut before = self.look(Place::Stack);
        let mut found_by = FoundBy::default();
        found_by.learn(&self.devstack(&["ps", "--json"]).json());
        self.end_leaders(&before);
        found_by.learn(&self.devstack(&["ps", "--json"]).json());
        for (now, before) in self.look(Place::Stack).into_iter().zip(&mut before) {
            // Where the supervisor lives it has ended by now what a leader has left.
            if !now.is_empty() {
                *before = now;
            }
        }
        let (down, emptied) = self.timed_down();
        let mut rows = Vec::new();
        for (shape, before) in self.shapes.iter().zip(before) {
            let left = self.judge.of(Place::Stack, shape.name);
            rows.push(Row {
                shape,
                mode,
                user: self.user,
                found_by: found_by.how(shape, &before),
                before,
                left: left.values().cloned().collect(),
                promised: shape.left(self.user, mode),
                time: emptied.get(shape.name).copied(),
                fault: faults.remove(shape.name),
            });
        }
        self.judge_down(mode, &down, &mut rows);
        rows
    }

    /// Kills what the mode says, and waits until it is dead.
    fn kill_machinery(&self, mode: Mode) {
        if mode.kills_keepers() && mode != Mode::Unrecorded && !self.user.has_cgroup() {
            self.await_ledger();
        }
        let ours = self.judge.machinery();
        let (supervisors, keepers): (Vec<i32>, Vec<i32>) = ours
            .keys()
            .map(|(pid, _)| *pid)
            .filter(|pid| is_machinery(*pid))
            .partition(|pid| command_line(*pid).contains(" __supervise"));
        assert_eq!(supervisors.len(), 1, "{ours:?}");
        assert!(keepers.len() >= self.shapes.len(), "{ours:?}");
        let supervisors = supervisors.into_iter().filter(|_| mode.kills_supervisor());
        let victims: Vec<i32> =
            supervisors.chain(keepers.into_iter().filter(|_| mode.kills_keepers())).collect();
        for pid in &victims {
            kill(*pid, Signal::KILL);
        }
        until("they are dead", || victims.iter().all(|pid| !runs(*pid)));
        if mode == Mode::Unrecorded {
            self.forget_members();
        }
    }

    /// Waits until the keepers have written down whom they hold: what a keeper knows is a quarter of a second old.
    fn await_ledger(&self) {
        let lives = self.world.stack_state().join("lives");
        let settled = self.shapes.iter().filter(|shape| shape.canary);
        let wanted: BTreeSet<Id> =
            settled.flat_map(|shape| self.judge.of(Place::Stack, shape.name).into_keys()).collect();
        until("all members are recorded", || {
            let records = fs::read_dir(&lives).expect("records").flatten();
            let text: String =
                records.map(|entry| fs::read_to_string(entry.path()).unwrap_or_default()).collect();
            wanted.iter().all(|(pid, start)| {
                runs_still(*pid, *start).is_none() || text.contains(&format!("\"pid\":{pid},"))
            })
        });
    }

    /// As if everything had been killed before the keepers' next look: the ledger has the leaders only.
    fn forget_members(&self) {
        for entry in fs::read_dir(self.world.stack_state().join("lives")).expect("records").flatten() {
            let text = fs::read_to_string(entry.path()).expect("text");
            let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"member\"")).collect();
            fs::write(entry.path(), kept.join("\n") + "\n").expect("ours");
        }
    }

    /// Every shape's processes.
    fn look(&self, place: Place) -> Vec<BTreeMap<Id, String>> {
        self.shapes.iter().map(|shape| self.judge.of(place, shape.name)).collect()
    }

    /// The leaders that are to end before `down` do so now.
    fn end_leaders(&self, before: &[BTreeMap<Id, String>]) {
        let waiting = |(shape, _): &(&&Shape, _)| shape.waits_for_go();
        for (shape, _) in self.shapes.iter().zip(before).filter(waiting) {
            fs::write(self.world.dir().join("scratch").join(shape.name).join("go"), "").expect("ours");
        }
        for (shape, before) in self.shapes.iter().zip(before).filter(waiting) {
            until(&format!("the leader of `{}` ends", shape.name), || {
                let now = self.judge.of(Place::Stack, shape.name);
                before.keys().any(|id| !now.contains_key(id))
            });
        }
    }

    /// `down`, with the time at which the judge saw the last of each shape.
    fn timed_down(&self) -> (Ran, BTreeMap<&'static str, Duration>) {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let (begun, mut emptied) = (Instant::now(), BTreeMap::new());
                loop {
                    let last = done.load(Ordering::Relaxed);
                    for shape in &self.shapes {
                        if !emptied.contains_key(shape.name)
                            && self.judge.of(Place::Stack, shape.name).is_empty()
                        {
                            emptied.insert(shape.name, begun.elapsed());
                        }
                    }
                    if last {
                        return emptied;
                    }
                    std::thread::sleep(Duration::from_millis(25));
                }
            });
            let ran = self.devstack(&["down", "--json"]);
            done.store(true, Ordering::Relaxed);
            (ran, watch.join().expect("it does not panic"))
        })
    }

    /// What `down` said, whether nothing of devstack itself is left, and whether all canaries live.
    fn judge_down(&mut self, mode: Mode, down: &Ran, rows: &mut [Row]) {
        let told: Vec<&Row> =
            rows.iter().filter(|row| row.promised > 0 && row.shape.catch.is_told()).collect();
        let wanted = if told.is_empty() { 0 } else { 6 };
        let report = down.json();
        let mut faults = Vec::new();
        if down.status.code() != Some(wanted) || report["clean"] != Value::Bool(wanted == 0) {
            faults.push(format!(
                "down ended with {:?}, not {wanted}\n{}{}",
                down.status.code(),
                down.out,
                down.err
            ));
        }
        for row in told {
            let named = list(&report, "survivors").iter().any(|one| one["service"] == row.shape.name);
            if !named {
                faults.push(format!("down does not name `{}`:\n{report:#}", row.shape.name));
            }
        }
        for (id, name) in &self.canaries {
            if runs_still(id.0, id.1).is_none() {
                faults.push(format!("a look-alike was ended: {name} ({})", id.0));
            }
        }
        for bystander in &mut self.bystanders {
            if !bystander.lives() {
                faults.push(format!("a bystander was ended: {}", bystander.pid()));
            }
        }
        // A keeper lives as long as what it holds.
        self.end_survivors();
        let begun = Instant::now();
        while !self.judge.machinery().is_empty() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let machinery = self.judge.machinery();
        if !machinery.is_empty() {
            faults.push(format!("of devstack itself: {machinery:?}"));
        }
        for fault in faults {
            eprint(&format!("{}: {mode}: {fault}\n", self.user));
            if let Some(row) = rows.first_mut() {
                row.fault.get_or_insert(fault.lines().next().unwrap_or_default().to_owned());
            }
        }
    }

    /// What may be left goes before the next mode.
    fn end_survivors(&self) {
        for shape in &self.shapes {
            for (pid, start) in self.judge.of(Place::Stack, shape.name).into_keys() {
                if runs_still(pid, start).is_some() {
                    kill(pid, Signal::KILL);
                }
            }
            until("the survivors are gone", || self.judge.of(Place::Stack, shape.name).is_empty());
        }
    }
}

/// Gives a directory to the plain user that root plays.
fn own(dir: &Path, user: User) {
    if user == User::Plain && is_root() {
        let owner = format!("{NOBODY}:{NOBODY}");
        assert!(Command::new("chown").args(["-R", &owner]).arg(dir).status().expect("chown").success());
    }
}

fn is_shell(name: &str) -> bool {
    ["dash", "sh", "bash", "setsid", "nohup", "env", "prlimit", "cp"].contains(&name)
}

fn runs_still(pid: i32, start: u64) -> Option<()> {
    stat(pid).filter(|line| line.start == start).map(|_| ())
}

/// By which proof `ps` shows each process, and how many of each service.
#[derive(Default)]
struct FoundBy {
    processes: BTreeMap<i32, String>,
    services: BTreeMap<String, Vec<String>>,
}

impl FoundBy {
    fn learn(&mut self, ps: &Value) {
        let proof = |one: &Value| one["found_by"].as_str().unwrap_or_default().to_owned();
        for service in list(ps, "services") {
            let all = list(service, "processes");
            let name = service["name"].as_str().unwrap_or_default().to_owned();
            if !all.is_empty() {
                self.services.insert(name, all.iter().map(proof).collect());
            }
            self.processes.extend(all.iter().map(|one| (number(&one["pid"]), proof(one))));
        }
        self.processes.extend(list(ps, "strays").iter().map(|one| (number(&one["pid"]), proof(one))));
    }

    fn how(&self, shape: &Shape, members: &BTreeMap<Id, String>) -> String {
        let unseen = || "not seen".to_owned();
        let known = |pid: &i32| self.processes.get(pid).cloned().unwrap_or_else(unseen);
        let proofs: Vec<String> = match self.services.get(shape.name) {
            // Those of `ps` have hopped on since: their successors have no number yet that it could have told.
            Some(told) if shape.hops() => told.clone(),
            _ => members.keys().map(|(pid, _)| known(pid)).collect(),
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for proof in proofs {
            *counts.entry(proof).or_default() += 1;
        }
        let words: Vec<String> = counts.into_iter().map(|(how, count)| format!("{how} {count}")).collect();
        words.join(", ")
    }
}

/// Past the test runner, which keeps what a passing test prints to itself.
pub(crate) fn eprint(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}
