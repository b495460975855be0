//! What a fuzzer throws at the reader of logs: files with any bytes, times that are torn, wrong or not in order.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, process, thread};

use regex::bytes::Regex;

use super::reader_text::without_escapes;
use super::{Lines, Wanted, bytes, printable, rotated_path, tail, times_path};
use crate::domain::WallTime;

/// A header of 8 bytes, then times, then the log, spread over up to three files.
pub(crate) fn logs(data: &[u8]) {
    let Some((head, rest)) = data.split_at_checked(8) else { return };
    let times = usize::from(u16::from_le_bytes([head[0], head[1]])).min(rest.len());
    let (times, log) = rest.split_at(times);
    let files = u32::from(head[2] % 3) + 1;
    let path = place();
    write(&path, log, times, files);
    let all = read(&path, &Wanted { timed: head[3] & 1 != 0, ..Wanted::default() });
    assert_eq!(joined(&all), with_end(log), "every byte is read once and in order");
    let wanted = Wanted {
        since: (head[3] & 2 != 0).then(|| WallTime(i64::from(head[4]))),
        until: (head[3] & 4 != 0).then(|| WallTime(i64::from(head[5]))),
        last: (head[3] & 8 != 0).then(|| u64::from(head[6])),
        pattern: (head[3] & 16 != 0).then(|| Regex::new("a.*b").expect("it is right")),
        timed: true,
        live: head[3] & 32 != 0,
    };
    let some = read(&path, &wanted);
    assert!(wanted.live || some.iter().all(|line| all.contains(line)), "what is wanted is of the log");
    if let (Some(last), None) = (wanted.last, &wanted.pattern) {
        assert!(wanted.live || some.iter().filter(|(_, cut)| !cut).count() as u64 <= last);
    }
    let mut follower = bytes(&path, &Wanted { pattern: None, until: None, ..wanted }).expect("it is there");
    let mut chunk = vec![0; 4096];
    while follower.read(&mut chunk).expect("it can be read") > 0 {}
    for line in tail(&path, 20) {
        crate::domain::assert_nothing_acts(&line);
        assert!(!line.contains('\n') && line.chars().count() <= 501 * 10);
    }
    let text = String::from_utf8_lossy(log);
    assert!(!without_escapes(&text).contains('\u{1b}'));
    crate::domain::assert_nothing_acts(&printable(log, 200));
}

type Pieces = Vec<(Vec<u8>, bool)>;

fn read(path: &Path, wanted: &Wanted) -> Pieces {
    let mut lines = Lines::open(path, wanted).expect("it is there");
    let mut found = Vec::new();
    while lines.advance().expect("it can be read") {
        let line = lines.line().expect("there is one");
        found.push((line.bytes.to_vec(), line.cut));
    }
    found
}

fn joined(pieces: &Pieces) -> Vec<u8> {
    let mut whole = Vec::new();
    for (bytes, cut) in pieces {
        whole.extend_from_slice(bytes);
        if !cut {
            whole.push(b'\n');
        }
    }
    whole
}

fn with_end(log: &[u8]) -> Vec<u8> {
    let mut whole = log.to_vec();
    if whole.last().is_some_and(|last| *last != b'\n') {
        whole.push(b'\n');
    }
    whole
}

fn write(path: &Path, log: &[u8], times: &[u8], files: u32) {
    let share = log.len() / files as usize;
    let mut rest = log;
    for age in (0..3).rev() {
        let file = rotated_path(path, age);
        let _ = fs::remove_file(times_path(&file));
        if age >= files {
            let _ = fs::remove_file(&file);
            continue;
        }
        // A file ends with a line, as the writer has it.
        let from = share.min(rest.len());
        let end = rest[from..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| from + at + 1);
        let (part, more) = rest.split_at(if age == 0 { rest.len() } else { end });
        rest = more;
        fs::write(&file, part).expect("it can be written");
        fs::write(times_path(&file), times).expect("it can be written");
    }
}

/// One for each thread, in memory where the system has such a place.
fn place() -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
        let dir = parent.join(format!("devstack-fuzz-{}", process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        dir
    });
    dir.join(format!("{:?}.log", thread::current().id()).replace(['(', ')'], "-"))
}
