//! The five runaways at once (a fork bomb, a leak, a busy loop, a hung program, leaking descriptors) beside a neighbour: each
//! is held and named, the others go on. With the kernel's help, by measuring alone, and as a plain user.

use std::fs;

use serde_json::Value;

use crate::room::Room;
use crate::world::{World, behind, finish, is_root, runs, skip, until};

/// The leak and the bomb are bounded also where nobody ends them: so many bytes, and the room that the test makes.
const MANIFEST: &str = "
monitor: { interval: 200ms }
services:
  good: { command: stand-in crowd --count 2 --life 600, ready: { log: crowd of } }
  leak: { command: '(head -c 120000000 /dev/zero; exec sleep 600) | tail > /dev/null; exec sleep 600', limits: { memory: 48M } }
  loop: { command: 'sh -c \"while :; do :; done\" & exec sleep 600', limits: { cpus: 0.05, on_breach: kill-culprit } }
  hung: { command: exec sleep 600, limits: { idle: 1s } }
  files: { command: 'tail -f FILES & exec sleep 600', limits: { open_files: 24 } }
  bomb: { command: 'stand-in storm & exec sleep 600', limits: { pids: 12 }, depends_on: [good, leak, loop, files] }
";

/// How limits are held.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Memory and processors by the kernel.
    Kernel,
    /// By measuring, as root.
    Measured,
    /// By measuring, as a plain user.
    Plain,
}

fn note(world: &World, service: &str) -> String {
    world.service(service)["note"].as_str().unwrap_or_default().to_owned()
}

fn events(world: &World, service: &str) -> String {
    world.run(&["events", "--service", service]).expect(0).out
}

/// The journal as data.
fn journal(world: &World) -> Vec<Value> {
    let text = world.run(&["events", "--json"]).expect(0).out;
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Looks that found a service over a limit before it was told as broken.
fn looks_until_broken(journal: &[Value], service: &str, figure: &str, limit: u64) -> usize {
    let broken = journal.iter().position(|line| line["event"]["breached"]["unit"] == service);
    let before = &journal[..broken.expect("it was told")];
    let over = |line: &&Value| {
        let lives = line["event"]["sampled"]["lives"].as_array();
        lives
            .into_iter()
            .flatten()
            .any(|life| life["unit"] == service && life[figure].as_u64().is_some_and(|used| used > limit))
    };
    before.iter().filter(over).count()
}

fn held_one_by_one(way: Way, world: &World) {
    let gone = |word: &str| !world.living().values().any(|line| line.contains(word));
    until("the bomb was ended", || {
        events(world, "bomb").contains("over its limit of processes") && gone("storm")
    });
    let leak = match way {
        Way::Kernel => "killed by the kernel: out of memory (limit 48.0M)",
        Way::Measured | Way::Plain => "over its limit of memory: ",
    };
    until("the leak was ended", || events(world, "leak").contains(leak));
    until("what hangs was ended", || world.service("hung")["state"] == "failed");
    assert!(note(world, "hung").starts_with("neither wrote nor worked for 1."), "{}", note(world, "hung"));
    until("who has all files open is told", || {
        note(world, "files").contains("at its limit of open files: 24 of 24")
    });
    assert!(note(world, "files").contains("all of them of tail -f "), "{}", note(world, "files"));
    if way != Way::Kernel {
        until("the loop was ended", || events(world, "loop").contains("over its limit of processors"));
        assert!(note(world, "loop").ends_with("that was ended"), "{}", note(world, "loop"));
    }
    // Their first processes were no culprits, and the neighbour has not noticed.
    for service in ["leak", "loop", "files", "good"] {
        let view = world.service(service);
        assert_eq!(view["state"], "ready", "{way:?} {view:#}");
        assert!(runs(world.pid(service)) && view["restarts"] == 0, "{way:?} {view:#}");
    }
    assert_eq!(world.living().values().filter(|line| line.contains("--life 600")).count(), 2);
}

fn told_afterwards(way: Way, world: &World) {
    let lines = journal(world);
    assert!(looks_until_broken(&lines, "bomb", "processes", 12) <= 2, "two intervals");
    if way != Way::Kernel {
        assert!(looks_until_broken(&lines, "leak", "memory", 48 << 20) <= 2, "two intervals");
    }
    // Both halves of a receipt, though its life goes on.
    let killed = |line: &&Value| line["receipt"]["unit"] == "bomb" && line["receipt"]["why"] == "breach";
    let culprit = lines.iter().find(killed).expect("a receipt")["receipt"]["process"].clone();
    let outcome = |line: &Value| {
        let ends = line["outcome"]["ends"].as_array();
        ends.into_iter().flatten().any(|end| end["process"] == culprit && end["forced"] == true)
    };
    until("it is told what became of it", || journal(world).iter().any(outcome));
    let why = |service: &str| world.run(&["events", "--why", service]).expect(0).out;
    let bomb = why("bomb");
    // Of a storm some may get away three times; then its service is ended.
    assert!(bomb.contains("over its limit of processes: "), "{bomb}");
    assert!(
        why("files").contains("at its limit of open files: 24 of 24, all of them of tail"),
        "{}",
        why("files")
    );
    assert!(why("hung").contains("neither wrote nor worked"), "{}", why("hung"));
    let replay = world.run(&["events", "--replay"]).expect(0).out;
    assert!(replay.contains("all of it agrees"), "{replay}");
}

fn try_it(way: Way) {
    let Some(room) = Room::with(120) else {
        return skip("there is no cgroup tree of the pids controller that keeps a storm small");
    };
    let names: Vec<String> = (0..40).map(|n| format!("f{n}")).collect();
    let manifest = MANIFEST.replace("FILES", &names.join(" "));
    let world = if way == Way::Plain { World::plain(&manifest) } else { World::new(&manifest) };
    for name in &names {
        fs::write(world.dir().join(name), "").expect("written");
    }
    let up = room.command(&world.command(&["up", "--keep"]));
    // Trees that cannot be seen are not used. The storm wants to see the limit of its own.
    let hide = "cd /sys/fs/cgroup && for one in memory cpu unified; do mount -t tmpfs none $one || exit; done; \
                cd - >/dev/null && exec \"$@\"";
    let inside = world.command(&["up", "--keep"]);
    let up = match way {
        Way::Measured => room.command(&behind(&["unshare", "--mount", "sh", "-c", hide, "sh"], &inside)),
        Way::Kernel | Way::Plain => up,
    };
    // What hangs may be ended before all is up.
    let up = finish(up);
    assert!(up.out.contains("bomb"), "{}{}", up.out, up.err);
    held_one_by_one(way, &world);
    told_afterwards(way, &world);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn all_five_are_held_by_the_kernel_and_by_looking() {
    if !is_root() {
        return skip("only root can make a cgroup that keeps a storm small");
    }
    try_it(Way::Kernel);
}

#[test]
fn all_five_are_held_where_nothing_but_looking_is_to_be_had() {
    if !is_root() {
        return skip("only root can make a cgroup that keeps a storm small");
    }
    try_it(Way::Measured);
}

#[test]
fn all_five_are_held_for_a_plain_user() {
    if !is_root() {
        return skip("only root can make a cgroup that keeps a storm small");
    }
    try_it(Way::Plain);
}
