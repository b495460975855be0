//! Output that no reader was made for: a line of 100 MB without an end; logs removed, emptied and replaced while they are
//! written.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::world::{Ran, World, finish, until};

/// How long the line is.
const LONG: u64 = 100 << 20;

/// Says a line of [`LONG`] bytes, then `end`.
const SHOUT: &str = "head -c 104857600 /dev/zero | tr '\\\\0' x; echo; echo end";

/// A command that may not take more memory than this, whatever it reads.
fn in_little_memory(world: &World, args: &[&str]) -> Command {
    let inner = world.command(args);
    let mut outer = Command::new("sh");
    outer.args(["-c", "ulimit -v 300000; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    outer.current_dir(world.dir()).env("DEVSTACK_STATE_DIR", world.state()).stdin(Stdio::null());
    outer
}

fn little(world: &World, args: &[&str]) -> Ran {
    finish(in_little_memory(world, args))
}

/// The most memory that a process ever had, in KiB.
fn peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn size(files: &Path) -> u64 {
    let files = fs::read_dir(files).expect("logs").flatten();
    let logs = files.filter(|file| !file.file_name().to_string_lossy().ends_with(".times"));
    logs.map(|file| file.metadata().expect("it is there").len()).sum()
}

#[test]
fn a_line_of_100_mb_holds_up_nobody_and_is_read_in_little_memory() {
    let world = World::new(&format!(
        "services:\n  shout:\n    command: \"{SHOUT}; exec stand-in wait\"\n    ready: {{ log: '^end$' }}\n    \
         start_timeout: 60s\n    logs: {{ max_size: 16MiB, max_files: 20 }}\n"
    ));
    world.up();
    assert_eq!(size(&world.stack_state().join("logs")), LONG + 5, "every byte, and none twice");
    let (keeper, supervisor) = (world.keeper("shout"), world.supervisor());
    assert!(peak(keeper) < 24 << 10, "the keeper had {} KiB", peak(keeper));
    assert!(peak(supervisor) < 60 << 10, "the supervisor had {} KiB", peak(supervisor));

    assert_eq!(little(&world, &["logs", "shout", "-n", "1"]).expect(0).out, "end\n");
    assert_eq!(little(&world, &["logs", "shout", "--grep", "^end"]).expect(0).out, "end\n");
    let told = little(&world, &["logs", "shout", "-n", "1", "--grep", "x", "--json"]).expect(0).out;
    let lines: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let text = |line: &serde_json::Value| line["line"].as_str().expect("text").len() as u64;
    assert_eq!(lines.iter().map(text).sum::<u64>(), LONG, "all of the line, in pieces");
    let cut = lines.iter().filter(|line| line["cut"] == true).count();
    assert_eq!(cut, lines.len() - 1, "each piece but the last is told as one");

    let mut follow = in_little_memory(&world, &["logs", "-f", "--timestamps"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().expect("it starts");
    let (mut out, mut read, mut part) = (follow.stdout.take().expect("a pipe"), 0, vec![0; 1 << 20]);
    while read < LONG {
        let count = out.read(&mut part).expect("it goes on");
        assert!(count > 0, "it ended after {read} bytes");
        read += count as u64;
    }
    follow.kill().expect("ours");
    follow.wait().expect("ours");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_death_after_such_a_line_is_told_in_few_words() {
    let world = World::new(concat!(
        "services:\n  shout:\n",
        "    command: \"head -c 104857600 /dev/zero | tr '\\\\0' x; exit 3\"\n",
        "    ready: { log: never }\n    logs: { max_size: 16MiB, max_files: 20 }\n",
    ));
    let ran = little(&world, &["up"]).expect(1);
    assert!(ran.err.contains("error[DS028]") && ran.err.contains("exit 3"), "{} bytes", ran.err.len());
    assert!(ran.err.len() + ran.out.len() < 4096, "{} bytes", ran.err.len());
    assert!(ran.err.contains('…'), "what was cut is told: {}", ran.err);
    let events = little(&world, &["events"]).expect(0);
    assert!(events.out.len() < 8192, "{} bytes", events.out.len());
    world.down(&[], 0);
}

/// How a log is spoilt, in a word, and how that is done.
type Spoil<'a> = (&'static str, Box<dyn Fn() + 'a>);

#[test]
fn a_log_that_was_removed_emptied_or_replaced_goes_on_under_its_name() {
    let world =
        World::new("services:\n  talk: { command: stand-in talk --every 5, ready: { log: line 3 } }\n");
    world.up();
    let log = world.stack_state().join("logs/talk.log");
    let (aside, elsewhere) = (log.with_extension("aside"), world.beside("elsewhere").join("victim"));
    fs::write(&elsewhere, "precious").expect("written");
    let spoilt: [Spoil<'_>; 4] = [
        ("removed", Box::new(|| fs::remove_file(&log).expect("ours"))),
        ("emptied", Box::new(|| drop(fs::File::create(&log).expect("ours")))),
        ("moved", Box::new(|| fs::rename(&log, &aside).expect("ours"))),
        (
            "replaced",
            Box::new(|| {
                let other = log.with_extension("other");
                fs::write(&other, "somebody else's\n").expect("written");
                fs::rename(&other, &log).expect("ours");
            }),
        ),
    ];
    for (how, spoil) in &spoilt {
        let last = || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.lines().rev().find_map(|line| line.strip_prefix("line ")?.parse::<u64>().ok()).unwrap_or(0)
        };
        let before = last();
        spoil();
        until(&format!("{how}: the log goes on"), || last() > before);
        assert!(!fs::read(&log).expect("there").contains(&0), "{how}: a hole");
        world.run(&["logs", "talk", "-n", "1"]).expect(0);
    }
    // Where no log can be, the service goes on, and what it said is counted.
    fs::remove_file(&log).expect("ours");
    fs::create_dir(&log).expect("made");
    let pid = world.pid("talk");
    world.run(&["ps"]).expect(0);
    fs::remove_dir(&log).expect("ours");
    until("the log is back", || fs::read_to_string(&log).is_ok_and(|text| text.contains("line ")));
    assert_eq!(world.pid("talk"), pid);
    assert_eq!(fs::read_to_string(&elsewhere).expect("text"), "precious");
    world.down(&[], 0);
    world.assert_none_but(&[]);
}
