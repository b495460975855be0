//! What services write, end to end: nothing lost, nothing unbounded, and no reader in the way.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::Value;

use crate::world::{World, number, until};

/// Lines of a flood in these bytes: each is the next one.
fn numbered(bytes: &[u8]) -> (u64, u64) {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        assert_eq!(line.len(), 100, "a torn line: {}", String::from_utf8_lossy(line));
        std::str::from_utf8(&line[..12]).expect("digits").parse::<u64>().expect("a number")
    });
    let first = lines.next().expect("a line");
    let mut last = first;
    for number in lines {
        assert_eq!(number, last + 1);
        last = number;
    }
    (first, last)
}

fn flood(megabytes: u64, more: &str) -> (World, u64) {
    let bytes = megabytes * 1_000_000;
    let world = World::new(&format!(
        "services:\n  api:\n    command: stand-in flood --bytes {bytes} --report done --stay\n{more}"
    ));
    (world, bytes / 100)
}

#[test]
fn a_flood_is_kept_to_the_last_line() {
    let (world, lines) = flood(100, "    logs: { max_size: 200M, max_files: 3 }\n");
    world.up();
    until("all is written", || world.dir().join("done").exists());
    world.down(&[], 0);
    let log = world.log("api");
    assert_eq!(log.len(), 100_000_000);
    assert_eq!(numbered(&log), (0, lines - 1));
    world.assert_none_but(&[]);
}

#[test]
fn what_was_written_last_before_the_end_is_kept() {
    let world = World::new(concat!(
        "services:\n",
        "  api: { command: stand-in flood --bytes 3000000, restart: no }\n",
        "  other: { command: stand-in wait }\n",
    ));
    world.run(&["up"]);
    until("all is kept", || world.log("api").len() >= 3_000_000);
    world.down(&[], 0);
    let log = world.log("api");
    // Its own last words, the seconds that it took, follow the lines.
    assert_eq!(numbered(&log[..3_000_000]), (0, 29_999));
}

#[test]
fn logs_do_not_grow_without_bound_where_nobody_says_so() {
    let (world, lines) = flood(60, "");
    world.up();
    until("all is written", || world.dir().join("done").exists());
    world.down(&[], 0);
    let log = world.log("api");
    let (first, last) = numbered(&log);
    assert_eq!(last, lines - 1);
    assert!(first > 0);
    assert!(log.len() <= 3 * (10 << 20) + 200, "{}", log.len());
    assert!(log.len() >= 20 << 20, "{}", log.len());
}

fn talking() -> World {
    let world = World::new(concat!(
        "services:\n",
        "  api: { command: stand-in talk --every 10 --lines 50, ready: { log: line 50 }, restart: no }\n",
        "  err: { command: stand-in talk --every 10 --stderr, ready: { log: line 5 } }\n",
    ));
    world.run(&["up"]);
    until("it has said all", || world.log("api").ends_with(b"line 50\n"));
    world
}

#[test]
fn logs_answer_every_question() {
    let world = talking();
    let logs = |args: &[&str]| {
        let all = [&["logs"], args].concat();
        world.run(&all).expect(0).out
    };
    assert_eq!(logs(&["api", "-n", "2"]), "line 49\nline 50\n");
    assert_eq!(logs(&["api"]).lines().count(), 50);
    assert_eq!(logs(&["--service=api", "--grep", "line 1[0-9]$"]).lines().count(), 10);
    let timed = logs(&["api", "-t", "-n", "50"]);
    let stamps: Vec<&str> = timed.lines().map(|line| line.split(' ').next().expect("a time")).collect();
    assert_eq!(stamps.len(), 50);
    assert!(stamps.is_sorted() && stamps[0] < stamps[49], "{timed}");
    assert!(timed.lines().all(|line| line.contains("line ")), "{timed}");
    // From the time of a line on: that line and all after it, within the fraction that times are kept in.
    let since = logs(&["api", "--since", stamps[30]]);
    let count = since.lines().count();
    assert!(since.ends_with("line 50\n") && (15..=35).contains(&count), "{count}: {since}");
    let until = logs(&["api", "--until", stamps[30]]);
    assert!(until.starts_with("line 1\n") && !until.contains("line 50"), "{until}");
    assert_eq!(logs(&["api", "--since", "2100-01-01T00:00:00Z"]), "");
    for line in logs(&["api", "--json", "-n", "3"]).lines() {
        let line: Value = serde_json::from_str(line).expect("a document");
        assert_eq!(line["service"], "api");
        assert!(line["time"].is_string() && line.to_string().contains("line "), "{line}");
    }
    let both = logs(&["-n", "1"]);
    assert!(both.contains("api") && both.contains("err") && both.contains("line 50"), "{both}");
    world.run(&["logs", "nobody"]).expect(4);
    world.run(&["logs", "--grep", "("]).expect(2);
    world.run(&["logs", "--since", "yesterdayish"]).expect(2);
}

#[test]
fn a_follower_sees_what_is_written_and_does_not_outlive_its_reader() {
    let world = talking();
    let mut follow = world.command(&["logs", "err", "-f", "-n", "1"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(follow.stdout.take().expect("piped")).lines();
    let mut number = || -> u64 {
        let line = lines.next().expect("a line").expect("text");
        line.strip_prefix("line ").expect("a line of it").parse().expect("a number")
    };
    let first = number();
    for next in first + 1..first + 20 {
        assert_eq!(number(), next);
    }
    drop(lines);
    // As behind `head`: it ends by itself, well.
    assert!(follow.wait().expect("ours").success());
}

#[test]
fn a_reader_that_does_not_read_slows_nobody() {
    let (world, lines) = flood(50, "    logs: { max_size: 200M, max_files: 3 }\n");
    let ready = world.run(&["up", "api"]).expect(0);
    drop(ready);
    let mut follow = world.command(&["logs", "-f", "api"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().expect("it starts");
    until("all is written", || world.dir().join("done").exists());
    // The reader still holds what it has not passed on: then it goes on where it was.
    let mut head = vec![0; 100_000];
    follow.stdout.as_mut().expect("piped").read_exact(&mut head).expect("it has passed something on");
    numbered(&head);
    let report = world.down(&[], 0);
    assert_eq!(number(&report["forced"]), 0, "nobody had to be waited for: {report:#}");
    follow.kill().expect("ours");
    follow.wait().expect("ours");
    assert_eq!(numbered(&world.log("api")), (0, lines - 1));
}
