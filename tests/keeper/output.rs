//! A log holds what the service wrote, all of it, byte for byte, and nobody holds anybody up.

use std::fs;
use std::io::Write as _;

use devstack::domain::{Exit, WallTime};
use devstack::store::log::{rotated_path, times_path};
use devstack::sys::clock;

use crate::world::World;

#[test]
fn a_flood_is_kept_byte_for_byte_across_files() {
    let mut keeper = World::shell("seq 1 12500000 | tee copy").start();
    assert_eq!(keeper.whole_life(), Exit::Code(0));
    let (log, copy) = (keeper.log(), fs::read(keeper.world.path("copy")).expect("a copy"));
    assert!(copy.len() > 100_000_000);
    assert!(log == copy, "{} of {} bytes", log.len(), copy.len());
    let spec = &keeper.world.spec.log;
    for age in 0..10 {
        let file = fs::read(rotated_path(&spec.path, age)).expect("it rotated");
        assert!(file.len() as u64 <= spec.max_size + 64);
        assert_eq!(file.last(), Some(&b'\n'), "a file ends with a line");
    }
}

#[test]
fn any_bytes_are_kept_and_so_is_a_last_line_without_an_end() {
    let mut world = World::shell("head -c 3000000 /dev/urandom | tee copy; printf 'half a line' >&2");
    world.spec.log.max_size = 200_000;
    let mut keeper = world.start();
    assert_eq!(keeper.whole_life(), Exit::Code(0));
    let mut expected = fs::read(keeper.world.path("copy")).expect("a copy");
    expected.extend(b"half a line");
    assert!(keeper.log() == expected);
}

#[test]
fn what_was_written_is_in_the_log_when_the_exit_is_told() {
    for _ in 0..10 {
        let mut keeper = World::shell("printf 'last words' >&2; exit 1").start();
        keeper.leader();
        assert_eq!(keeper.exit(), Exit::Code(1));
        assert_eq!(keeper.text(), "last words");
        keeper.empties();
    }
}

#[test]
fn the_time_of_each_part_is_known() {
    // A reader that comes before the last writer has closed meets that one's end: it asks again.
    let script =
        "pass() { until read word < gate; do :; done; }; echo one; pass; echo two; pass; printf three";
    let mut keeper = World::shell(script).with_gate().start();
    let mut between = vec![clock::wall()];
    keeper.leader();
    for _ in 0..2 {
        // The script waits at the gate: what it wrote before is on its way.
        let lines = between.len();
        while keeper.text().lines().count() < lines {
            std::thread::yield_now();
        }
        // Clocks count in milliseconds: this one has to move on.
        let now = clock::wall();
        while clock::wall() == now {
            std::thread::yield_now();
        }
        between.push(clock::wall());
        keeper.release();
    }
    assert_eq!(keeper.exit(), Exit::Code(0));
    keeper.empties();
    let bytes = fs::read(times_path(&keeper.world.spec.log.path)).expect("times");
    let number = |part: &[u8]| <[u8; 8]>::try_from(part).expect("eight bytes");
    let records: Vec<(u64, WallTime)> = bytes
        .chunks(16)
        .map(|r| (u64::from_le_bytes(number(&r[..8])), WallTime(i64::from_le_bytes(number(&r[8..])))))
        .collect();
    assert_eq!(records.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 4, 8]);
    assert!(between[0] <= records[0].1 && records[0].1 < between[1]);
    assert!(between[1] <= records[1].1 && records[1].1 < between[2]);
    assert!(between[2] <= records[2].1);
}

#[test]
fn a_stray_that_holds_the_pipe_holds_nobody_up() {
    let mut keeper = World::shell("echo mine; read word < gate").with_gate().start();
    let leader = keeper.leader();
    while keeper.text() != "mine\n" {
        std::thread::yield_now();
    }
    // This test is the stray: outside of the keeper's tree, with the write end of the pipe, and writing.
    let mut stray =
        fs::OpenOptions::new().write(true).open(format!("/proc/{}/fd/1", leader.pid)).expect("a write end");
    stray.write_all(b"not mine\n").expect("the keeper reads");
    keeper.release();
    assert_eq!(keeper.exit(), Exit::Code(0));
    keeper.empties();
    assert_eq!(keeper.text(), "mine\nnot mine\n");
    assert!(stray.write_all(b"too late\n").is_err(), "nobody reads any more");
}

#[test]
fn a_stray_that_floods_the_pipe_holds_nobody_up() {
    let mut world = World::shell("read word < gate").with_gate();
    world.spec.log.max_files = 2;
    let mut keeper = world.start();
    let leader = keeper.leader();
    let mut stray =
        fs::OpenOptions::new().write(true).open(format!("/proc/{}/fd/1", leader.pid)).expect("a write end");
    let flood = std::thread::spawn(move || while stray.write_all(&[b'x'; 4096]).is_ok() {});
    keeper.release();
    assert_eq!(keeper.exit(), Exit::Code(0));
    keeper.empties();
    flood.join().expect("it ends when nobody reads any more");
}

#[test]
fn a_log_that_nobody_can_write_is_told_before_anything_runs() {
    let mut world = World::shell("touch ran");
    world.spec.log.path = world.path("missing/api.log");
    let mut keeper = world.start();
    let why = format!("{:?}", keeper.not_started());
    assert!(why.contains("its keeper could not open its log"), "{why}");
    assert!(!keeper.world.path("ran").exists());
}
