//! A ledger that lies: other people's processes, groups, keepers, sockets, cgroups and marks in `lives/` and `stack.json`,
//! with their right numbers and start times. Whatever is written there, nobody is signalled.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::borrowed::copy;
use crate::innocent::Innocent;
use crate::within::namespace;
use crate::world::{World, kill, runs, stat, until};

const STACK: &str = "services:\n  api: { command: stand-in wait }\n  web: { command: stand-in wait }\n";

/// Each run of a command sees several lies at once, so that hundreds are told in seconds.
const RUNS: u32 = 40;

/// One lie. The numbers choose among what there is.
#[derive(Clone, Debug)]
enum Lie {
    /// A line that names somebody, sealed in some way.
    Line { record: u8, kind: u8, who: u8, seal: u8 },
    /// The intent of a life says something else.
    Intent { record: u8, what: u8, seal: u8 },
    /// A whole record of another stack, under its own name or one of ours.
    Foreign { record: u8, own_name: bool },
    /// `stack.json` says something else.
    Stack { what: u8, seal: u8 },
    /// A byte of a file is another one, or the file ends there.
    Damage { file: u8, at: u16, change: u8 },
    /// Rubbish.
    Rubbish { bytes: Vec<u8> },
    /// The lock names somebody as its holder.
    Lock { who: u8 },
    /// The manifest cannot be read: what was recorded last counts.
    NoManifest,
}

fn lie() -> impl Strategy<Value = Lie> {
    let byte = any::<u8>;
    prop_oneof![
        6 => (byte(), byte(), byte(), byte()).prop_map(|(record, kind, who, seal)| Lie::Line { record, kind, who, seal }),
        4 => (byte(), byte(), byte()).prop_map(|(record, what, seal)| Lie::Intent { record, what, seal }),
        2 => (byte(), any::<bool>()).prop_map(|(record, own_name)| Lie::Foreign { record, own_name }),
        3 => (byte(), byte()).prop_map(|(what, seal)| Lie::Stack { what, seal }),
        2 => (byte(), any::<u16>(), 1_u8..).prop_map(|(file, at, change)| Lie::Damage { file, at, change }),
        1 => proptest::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| Lie::Rubbish { bytes }),
        1 => byte().prop_map(|who| Lie::Lock { who }),
        2 => Just(Lie::NoManifest),
    ]
}

const COMMANDS: [&[&str]; 5] =
    [&["down", "--force"], &["down", "--force"], &["down"], &["stop", "api"], &["ps"]];

/// All that a liar could know.
struct Liar<'a> {
    world: &'a World,
    /// Number and start of each innocent, and of all that belongs to the other stack.
    people: Vec<(i32, u64)>,
    other: PathBuf,
}

fn pick<T>(from: &[T], index: u8) -> &T {
    &from[usize::from(index) % from.len()]
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("lives")).expect("records").map(|entry| entry.expect("one").path()).collect();
    files.sort();
    files
}

fn lines(file: &Path) -> Vec<Value> {
    let text = String::from_utf8_lossy(&fs::read(file).expect("a record")).into_owned();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

impl Liar<'_> {
    fn tell(&self, told: &Lie) {
        let state = self.world.stack_state();
        let (ours, theirs) = (files(&state), files(&self.other));
        let stack = |dir: &Path| -> Value {
            serde_json::from_slice(&fs::read(dir.join("stack.json")).expect("there")).unwrap_or_default()
        };
        match told {
            Lie::Line { record, kind, who, seal } if !ours.is_empty() => {
                let file = pick(&ours, *record);
                let line = self.line(*kind, *who);
                append(file, &self.sealed(line, *seal, &theirs));
            }
            Lie::Intent { record, what, seal } if !ours.is_empty() => {
                let file = pick(&ours, *record);
                let text = String::from_utf8_lossy(&fs::read(file).expect("a record")).into_owned();
                let is_intent = |line: &&str| line.starts_with("{\"intent\"");
                let Some(before) = text.lines().find(is_intent) else { return };
                let Ok(mut line) = serde_json::from_str::<Value>(before) else { return };
                Self::change_intent(&mut line["intent"], *what, &theirs);
                let line = self.sealed(line, *seal, &theirs);
                // The other lines stay as they are, with their true seals.
                fs::write(file, text.replace(before, &line.to_string())).expect("written");
            }
            Lie::Foreign { record, own_name } => {
                let from = pick(&theirs, *record);
                let to = if *own_name || ours.is_empty() {
                    state.join("lives").join("other.7.jsonl")
                } else {
                    pick(&ours, *record).clone()
                };
                fs::copy(from, to).expect("copied");
            }
            Lie::Stack { what, seal } => {
                let (mut file, other) = (stack(&state), stack(&self.other));
                if !file.is_object() {
                    return;
                }
                match what % 5 {
                    0 => file["secret"] = other["secret"].clone(),
                    1 => file["plan"]["sweep"] = json!({ "patterns": [".*", "innocent"], "scope": "user" }),
                    2 => file["manifest"] = json!("/devstack.yaml"),
                    3 => file["lives"] = json!({ "api": u32::MAX, "web": 0 }),
                    _ => file = other,
                }
                let file = self.sealed(file, *seal, &theirs);
                fs::write(state.join("stack.json"), file.to_string()).expect("written");
            }
            Lie::Damage { file, at, change } => {
                let mut all = ours;
                all.push(state.join("stack.json"));
                let file = pick(&all, *file);
                let mut bytes = fs::read(file).expect("there");
                if bytes.is_empty() {
                    return;
                }
                let at = usize::from(*at) % bytes.len();
                if change % 2 == 0 {
                    bytes.truncate(at);
                } else {
                    bytes[at] ^= change;
                }
                fs::write(file, bytes).expect("written");
            }
            Lie::Rubbish { bytes } => {
                fs::write(state.join("lives").join("rubbish.1.jsonl"), bytes).expect("written");
            }
            Lie::Lock { who } => {
                let (pid, _) = pick(&self.people, *who);
                fs::write(state.join("supervisor.lock"), pid.to_string()).expect("written");
            }
            Lie::NoManifest => {
                fs::write(self.world.dir().join("devstack.yaml"), "services: [").expect("written");
            }
            Lie::Line { .. } | Lie::Intent { .. } => {}
        }
    }

    fn line(&self, kind: u8, who: u8) -> Value {
        let (pid, start) = *pick(&self.people, who);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
        let one = json!({ "pid": pid, "start": start });
        let dead = json!({ "pid": 30_000, "start": 1 });
        let leader = |keeper: &Value, leader: &Value| json!({ "leader": { "boot": boot.trim(), "keeper": keeper, "leader": leader, "at": 0 } });
        match kind % 8 {
            0..3 => json!({ "member": one }),
            3 => leader(&dead, &one),
            4 => leader(&one, &dead),
            5 => leader(&one, &one),
            6 => json!({ "member": { "pid": -1, "start": start } }),
            _ => json!({ "member": { "pid": 1, "start": u64::MAX } }),
        }
    }

    fn change_intent(intent: &mut Value, what: u8, theirs: &[PathBuf]) {
        let other =
            lines(pick::<PathBuf>(theirs, what)).into_iter().find(|line| line.get("intent").is_some());
        let other = other.expect("a whole record")["intent"].take();
        let tree = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let tree = tree.lines().find(|line| line.contains(" cgroup2 "));
        let tree = PathBuf::from(tree.and_then(|line| line.split(' ').nth(1)).unwrap_or("/sys/fs/cgroup"));
        let inode = |path: &Path| {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(path).map_or(1, |meta| meta.ino())
        };
        match what % 9 {
            0 => intent["mark"] = other["mark"].clone(),
            1 => intent["cgroup"] = json!([tree, inode(&tree)]),
            2 => intent["cgroup"] = other["cgroup"].clone(),
            3 => intent["cgroup"] = json!([tree.join("x/.."), inode(&tree)]),
            4 => intent["cgroup"] = json!(["/", inode(Path::new("/"))]),
            5 => intent["socket"] = other["socket"].clone(),
            6 => intent["life"] = json!(u32::MAX),
            7 => intent["plan"]["name"] = other["plan"]["name"].clone(),
            _ => *intent = other,
        }
    }

    /// Without a seal, with the one that it had, with a random one, or with that of another's line.
    fn sealed(&self, mut line: Value, how: u8, theirs: &[PathBuf]) -> Value {
        let own: Vec<Value> = files(&self.world.stack_state()).iter().flat_map(|file| lines(file)).collect();
        let others: Vec<Value> = theirs.iter().flat_map(|file| lines(file)).collect();
        match how % 4 {
            0 => {
                line.as_object_mut().map(|line| line.remove("seal"));
            }
            1 if !own.is_empty() => line["seal"] = pick(&own, how)["seal"].clone(),
            2 => line["seal"] = json!(format!("{:032x}", u128::from(how) << 77)),
            _ => line["seal"] = pick(&others, how)["seal"].clone(),
        }
        line
    }
}

fn append(file: &Path, line: &Value) {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().append(true).open(file).expect("a record");
    write!(file, "\n{line}\n").expect("written");
}

fn runs_wanted() -> u32 {
    std::env::var("IDENTITY_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS)
}

/// What belongs to this stack dies first, by force; its ledger stays and is what lies are added to.
fn dead_stack(plain: bool) -> World {
    let world = if plain { World::plain(STACK) } else { World::new(STACK) };
    world.up();
    let mut all: Vec<i32> = vec![world.supervisor(), world.keeper("api"), world.keeper("web")];
    all.extend(world.living().into_keys());
    for pid in &all {
        kill(*pid, Signal::KILL);
    }
    until("all are dead", || all.iter().all(|pid| !runs(*pid)));
    world
}

fn a_lying_ledger(plain: bool) {
    let world = dead_stack(plain);
    let saved = world.beside("saved");
    copy(&world.state(), &saved);
    let manifest = fs::read(world.dir().join("devstack.yaml")).expect("there");
    // Another stack that runs, of people who count signals.
    let text = "services:\n  one: { command: stand-in innocent --child --file ../one, ready: { exec: test -e ../one.child } }\n  \
                two: { command: stand-in innocent --file ../two, ready: { exec: test -e ../two } }\n";
    let other = if plain { World::plain(text) } else { World::new(text) };
    other.up();
    let beside = other.dir().join("..");
    let mut innocents: Vec<Innocent> =
        ["one", "one.child", "two"].map(|name| Innocent::at(beside.join(name))).into();
    let machinery = [other.supervisor(), other.keeper("one"), other.keeper("two")];
    let starters: Vec<_> = ["a", "b"].map(|name| Innocent::start(&world, name)).into();
    innocents.extend(starters.iter().flat_map(|(_, both)| both.clone()));
    let start = |pid: i32| (pid, stat(pid).expect("it lives").start);
    let mut people: Vec<(i32, u64)> = innocents.iter().map(|one| start(one.pid())).collect();
    let machinery = machinery.map(start);
    people.extend(machinery);
    // The shell that is the parent of this test's process, and the test itself: its children are many.
    people.push(start(i32::try_from(std::process::id()).expect("a number")));
    let liar = Liar { world: &world, people, other: other.stack_state() };
    let config = Config { cases: runs_wanted(), max_shrink_iters: 0, ..crate::chance::config() };
    let cases = (proptest::collection::vec(lie(), 3..15), any::<u8>());
    let told = TestRunner::new(config).run(&cases, |(lies, command)| {
        copy(&saved, &world.state());
        fs::write(world.dir().join("devstack.yaml"), &manifest).expect("written");
        for lie in &lies {
            liar.tell(lie);
        }
        let command = pick(&COMMANDS, command);
        let ran = world.run(command);
        let after = format!("{command:?} after {lies:#?}\n{}{}", ran.out, ran.err);
        for one in &innocents {
            one.assert_untouched(&after);
        }
        for (pid, start) in machinery {
            assert!(stat(pid).is_some_and(|line| line.start == start && line.state != 'T'), "{after}");
        }
        assert!(!ran.err.contains("panicked"), "{after}");
        Ok(())
    });
    told.expect("no innocent was touched");
    drop(liar);
    fs::write(world.dir().join("devstack.yaml"), &manifest).expect("written");
    what_is_sealed_is_believed(&world, &saved, &innocents);
    drop(starters);
}

/// The same lie, in this stack's own seal, is believed: without that the test would prove nothing.
fn what_is_sealed_is_believed(world: &World, saved: &Path, innocents: &[Innocent]) {
    use devstack::domain::Mark;
    use devstack::store::Seal;

    copy(saved, &world.state());
    let (mut victim, both) = Innocent::start(world, "victim");
    let state = world.stack_state();
    let hash = state.to_str().and_then(|path| path.rsplit_once('-')).expect("a hash").1.to_owned();
    let file = files(&state).remove(0);
    let intent =
        lines(&file).into_iter().find(|line| line.get("intent").is_some()).expect("one")["intent"].take();
    let mark = Mark::parse(intent["mark"].as_str().expect("text")).expect("a mark");
    let unit = intent["plan"]["name"].as_str().expect("a name");
    let seal = Seal::of(&mark, &["life", &hash, unit, &intent["life"].to_string()]);
    let pid = both[0].pid();
    let line = format!("{{\"member\":{{\"pid\":{pid},\"start\":{}}}}}", stat(pid).expect("it lives").start);
    let line = seal.close(line.into_bytes());
    let mut text = fs::read(&file).expect("there");
    text.extend_from_slice(&line);
    text.push(b'\n');
    fs::write(&file, text).expect("written");
    world.down(&["--force"], 0);
    assert!(!victim.lives(), "a line of our own is not believed");
    for one in innocents {
        one.assert_untouched("the end of the victim");
    }
}

#[test]
fn no_lie_in_the_ledger_reaches_anybody() {
    namespace("forged::no_lie_in_the_ledger_reaches_anybody", a_lying_ledger);
}
