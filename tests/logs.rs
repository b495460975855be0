//! Do the logs come back exactly: every byte once, in order, with its time, whatever is rotated meanwhile?

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devstack::cli::logs::{LogsArgs, LogsError, show};
use devstack::domain::{UnitName, WallTime};
use devstack::store::log::{Follower, Lines, PIECE, Position, Wanted, tail, tail_from};

/// Writes a log in the documented format.
struct Writer {
    path: PathBuf,
    max_size: u64,
    max_files: u32,
    size: u64,
    log: File,
    times: File,
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

fn open(path: &Path) -> File {
    File::options().append(true).create(true).open(path).expect("opened")
}

impl Writer {
    fn new(path: &Path, max_size: u64, max_files: u32) -> Self {
        let times = open(&with(path, ".times"));
        let log = open(path);
        let size = log.metadata().expect("there").len();
        Self { path: path.to_owned(), max_size, max_files, size, log, times }
    }

    fn write(&mut self, millis: i64, bytes: &[u8]) {
        if self.size >= self.max_size {
            self.rotate();
        }
        self.times.write_all(&[self.size.to_le_bytes(), millis.to_le_bytes()].concat()).expect("written");
        self.log.write_all(bytes).expect("written");
        self.size += bytes.len() as u64;
    }

    fn rotate(&mut self) {
        for number in (0..self.max_files - 1).rev() {
            let old = if number == 0 { String::new() } else { format!(".{number}") };
            let new = format!(".{}", number + 1);
            let _ = fs::rename(
                with(&self.path, &format!("{old}.times")),
                with(&self.path, &format!("{new}.times")),
            );
            let _ = fs::rename(with(&self.path, &old), with(&self.path, &new));
        }
        if self.max_files == 1 {
            fs::remove_file(&self.path).expect("removed");
            fs::remove_file(with(&self.path, ".times")).expect("removed");
        }
        *self = Self::new(&self.path, self.max_size, self.max_files);
    }
}

fn name(text: &str) -> UnitName {
    UnitName::parse(text).expect("a name")
}

fn shown(args: &LogsArgs, files: &[(&str, &Path)], colour: bool) -> Result<String, LogsError> {
    let mut out = tempfile::tempfile().expect("a file");
    let files = files.iter().map(|(unit, path)| (name(unit), (*path).to_owned())).collect();
    show(args, files, &mut out, colour)?;
    out.rewind().expect("rewound");
    let mut bytes = Vec::new();
    out.read_to_end(&mut bytes).expect("read");
    Ok(String::from_utf8(bytes).expect("text"))
}

/// Runs `show` in a thread; gives the end that reads its output.
fn following(
    args: LogsArgs,
    files: Vec<(UnitName, PathBuf)>,
) -> (io::PipeReader, std::thread::JoinHandle<Result<(), LogsError>>) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let thread = std::thread::spawn(move || show(&args, files, &mut writer, false));
    (reader, thread)
}

fn read_exactly(reader: &mut io::PipeReader, expected: &str) {
    let mut bytes = vec![0; expected.len()];
    reader.read_exact(&mut bytes).expect("as many bytes");
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}

fn follow() -> LogsArgs {
    LogsArgs { follow: true, ..LogsArgs::default() }
}

/// Ten lines in four files, at 1000, 2000 … 10000 milliseconds.
fn ten(dir: &Path) -> PathBuf {
    let path = dir.join("a.log");
    let mut writer = Writer::new(&path, 20, 5);
    for n in 1..=10 {
        writer.write(n * 1000, format!("line {n}\n").as_bytes());
    }
    assert!(with(&path, ".3").exists() && !with(&path, ".4").exists());
    path
}

fn lines(numbers: impl IntoIterator<Item = u32>) -> String {
    joined(numbers, |n| format!("line {n}\n"))
}

fn joined<T>(items: impl IntoIterator<Item = T>, text: impl Fn(T) -> String) -> String {
    items.into_iter().map(text).collect::<Vec<_>>().concat()
}

fn at(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).expect("a time").to_string()
}

#[test]
fn rotated_files_are_one_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = ten(dir.path());
    assert_eq!(shown(&LogsArgs::default(), &[("a", &path)], false).expect("shown"), lines(1..=10));
}

#[test]
fn the_last_lines_are_counted_across_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = ten(dir.path());
    for count in 0..=12_u32 {
        for grep in [None, Some("line".to_owned())] {
            let args = LogsArgs { lines: Some(count.into()), grep, ..LogsArgs::default() };
            let first = 11_u32.saturating_sub(count).max(1);
            assert_eq!(shown(&args, &[("a", &path)], false).expect("shown"), lines(first..=10), "-n {count}");
        }
    }
}

#[test]
fn the_end_of_a_huge_log_is_read_from_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut log = File::create(&path).expect("created");
    log.set_len(1 << 40).expect("a sparse file of 1 TiB");
    log.seek(io::SeekFrom::End(0)).expect("at the end");
    log.write_all(b"\na\nb\nc\n").expect("written");
    let args = LogsArgs { lines: Some(2), ..LogsArgs::default() };
    let began = Instant::now();
    assert_eq!(shown(&args, &[("a", &path)], false).expect("shown"), "b\nc\n");
    assert!(began.elapsed() < Duration::from_secs(60), "took {:?}", began.elapsed());
    assert_eq!(tail(&path, 2), ["b", "c"]);
}

#[test]
fn since_and_until_choose_lines_by_their_first_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = ten(dir.path());
    for (since, until) in [(0, 11), (3, 11), (0, 7), (4, 6), (10, 10), (11, 12), (0, 0), (1, 1)] {
        let args =
            LogsArgs { since: Some(at(since * 1000)), until: Some(at(until * 1000)), ..LogsArgs::default() };
        let expected = lines((1..=10).filter(|n| i64::from(*n) >= since && i64::from(*n) <= until));
        assert_eq!(shown(&args, &[("a", &path)], false).expect("shown"), expected, "{since} to {until}");
    }
    let args = LogsArgs { until: Some(at(6500)), lines: Some(2), ..LogsArgs::default() };
    assert_eq!(shown(&args, &[("a", &path)], false).expect("shown"), lines(5..=6));
    let args = LogsArgs { since: Some(at(5000)), lines: Some(20), ..LogsArgs::default() };
    assert_eq!(shown(&args, &[("a", &path)], false).expect("shown"), lines(5..=10));
}

#[test]
fn a_line_in_two_chunks_has_the_time_of_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut writer = Writer::new(&path, 1 << 20, 2);
    writer.write(1000, b"one\ntwo be");
    writer.write(2000, b"gins early\nthree\n");
    let since = LogsArgs { since: Some(at(2000)), ..LogsArgs::default() };
    assert_eq!(shown(&since, &[("a", &path)], false).expect("shown"), "three\n");
    let until = LogsArgs { until: Some(at(1999)), ..LogsArgs::default() };
    assert_eq!(shown(&until, &[("a", &path)], false).expect("shown"), "one\ntwo begins early\n");
}

#[test]
fn several_logs_are_merged_by_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let (api, db) = (dir.path().join("api.log"), dir.path().join("database.log"));
    let mut writer = Writer::new(&api, 20, 9);
    for n in [1, 4, 5, 9] {
        writer.write(n, format!("api at {n}\n").as_bytes());
    }
    let mut writer = Writer::new(&db, 1 << 20, 2);
    for n in [2, 3, 6, 7, 8] {
        writer.write(n, format!("db at {n}\n").as_bytes());
    }
    let files: [(&str, &Path); 2] = [("api", &api), ("database", &db)];
    let text = shown(&LogsArgs::default(), &files, false).expect("shown");
    let expected = joined(1..=9, |n| {
        let api = [1, 4, 5, 9].contains(&n);
        if api { format!("api      | api at {n}\n") } else { format!("database | db at {n}\n") }
    });
    assert_eq!(text, expected);
    let coloured = shown(&LogsArgs::default(), &files, true).expect("shown");
    assert!(
        coloured.starts_with("\u{1b}[36mapi      |\u{1b}[39m api at 1\n\u{1b}[33mdatabase |"),
        "{coloured:?}"
    );
}

#[test]
fn grep_json_and_times() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut writer = Writer::new(&path, 20, 9);
    for n in 1..=2000 {
        writer.write(1_700_000_000_000 + n, format!("n {n} \u{1b}[31m\"\u{7}\n").as_bytes());
    }
    writer.write(1_700_000_003_000, b"bad \xff byte\n");
    let args = LogsArgs { grep: Some("^n 19*95 |bad".into()), json: true, ..LogsArgs::default() };
    assert_eq!(
        shown(&args, &[("a", &path)], false).expect("shown"),
        concat!(
            r#"{"schema":"devstack/v1","service":"a","time":"2023-11-14T22:13:21.995Z","line":"n 1995 \u001b[31m\"\u0007"}"#,
            "\n",
            r#"{"schema":"devstack/v1","service":"a","time":"2023-11-14T22:13:23.000Z","line":"bad � byte"}"#,
            "\n"
        )
    );
    let args = LogsArgs { grep: Some("bad".into()), timestamps: true, ..LogsArgs::default() };
    let mut out = tempfile::tempfile().expect("a file");
    show(&args, vec![(name("a"), path)], &mut out, false).expect("shown");
    out.rewind().expect("rewound");
    let mut bytes = Vec::new();
    out.read_to_end(&mut bytes).expect("read");
    assert!(bytes.ends_with(b" bad \xff byte\n"), "one service keeps its bytes");
    let stamp = std::str::from_utf8(&bytes[..29]).expect("text");
    assert_eq!(stamp.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond(), 1_700_000_003_000);
}

#[test]
fn the_last_matches_are_found_however_far_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut writer = Writer::new(&path, 4096, 100);
    for n in 0..20_000 {
        writer.write(n, format!("line {n}{}\n", if n % 5000 == 7 { " rare" } else { "" }).as_bytes());
    }
    let args = LogsArgs { grep: Some("rare".into()), lines: Some(3), ..LogsArgs::default() };
    let text = shown(&args, &[("a", &path)], false).expect("shown");
    assert_eq!(text, "line 5007 rare\nline 10007 rare\nline 15007 rare\n");
}

#[test]
fn wrong_options_are_told() {
    let grep = LogsArgs { grep: Some("(".into()), ..LogsArgs::default() };
    assert!(matches!(shown(&grep, &[], false), Err(LogsError::Grep(_))));
    let since = LogsArgs { since: Some("soon".into()), ..LogsArgs::default() };
    let error = shown(&since, &[], false).expect_err("no time");
    assert_eq!(error.to_string(), "--since: \"soon\" is not a time: use 10m, 14:30 or 2026-08-02T14:30:00Z");
    let missing = Path::new("/nonexistent/devstack/a.log");
    assert_eq!(shown(&LogsArgs::default(), &[("a", missing)], false).expect("no lines yet"), "");
}

#[test]
fn services_are_named_in_two_ways() {
    let args = LogsArgs {
        services: vec!["a".into(), "b".into()],
        service: vec!["b".into(), "c".into()],
        ..LogsArgs::default()
    };
    assert_eq!(args.wanted(), ["a", "b", "c"]);
}

#[test]
fn a_very_long_line_comes_in_pieces() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let long: Vec<u8> = (0..5_000_000_u32).map(|n| b'a' + u8::try_from(n % 26).expect("small")).collect();
    let mut writer = Writer::new(&path, 1 << 30, 2);
    writer.write(1, &long);
    writer.write(2, b"\nshort\n");
    writer.write(3, &[&vec![b'x'; PIECE][..], b"\n"].concat());
    let mut read = Lines::open(&path, &Wanted { timed: true, ..Wanted::default() }).expect("opened");
    let mut first = Vec::new();
    loop {
        assert!(read.advance().expect("read"));
        let line = read.line().expect("a line");
        assert!(line.bytes.len() <= PIECE && line.time == WallTime(1));
        first.extend_from_slice(line.bytes);
        if !line.cut {
            break;
        }
    }
    assert!(first == long, "all of it, in order");
    assert!(read.advance().expect("read"));
    assert_eq!(
        read.line().map(|line| (line.bytes.to_vec(), line.time)),
        Some((b"short".to_vec(), WallTime(2)))
    );
    assert!(read.advance().expect("read"));
    assert_eq!(read.line().map(|line| (line.bytes.len(), line.cut)), Some((PIECE, false)));
    assert!(!read.advance().expect("read"));
}

#[test]
fn following_a_flood_gives_every_byte_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut writer = Writer::new(&path, 50_000, 1000);
    writer.write(1, b"first\n");
    let (mut reader, thread) = following(follow(), vec![(name("a"), path)]);
    let flood = std::thread::spawn(move || {
        let mut number = 0_u32;
        for chunk in 0..4000_u16 {
            let text = joined(0..50, |n| format!("{:07} some text\n", number + n));
            number += 50;
            // A chunk may end in the middle of a line.
            let (one, two) = text.as_bytes().split_at(usize::from(chunk) % text.len());
            writer.write(chunk.into(), one);
            writer.write(chunk.into(), two);
        }
    });
    let expected = joined(0..200_000, |n| format!("{n:07} some text\n"));
    read_exactly(&mut reader, &format!("first\n{expected}"));
    flood.join().expect("written");
    drop(reader);
    // Nothing is written any more: it must notice all the same.
    thread.join().expect("joined").expect("a reader that goes away is no error");
}

#[test]
fn following_two_floods_mixes_whole_lines_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let paths = ["a", "b"].map(|unit| (name(unit), dir.path().join(format!("{unit}.log"))));
    let (mut reader, thread) = following(follow(), paths.to_vec());
    for (unit, path) in paths {
        std::thread::spawn(move || {
            let mut writer = Writer::new(&path, 30_000, 1000);
            for n in 0..20_000_i64 {
                writer.write(n, format!("{unit} ").as_bytes());
                writer.write(n, format!("{n}\n").as_bytes());
            }
        });
    }
    let mut text = Vec::new();
    let mut chunk = vec![0; 65536];
    let mut count = 0;
    while count < 40_000 {
        let read = reader.read(&mut chunk).expect("read");
        count += chunk[..read].split(|byte| *byte == b'\n').count() - 1;
        text.extend_from_slice(&chunk[..read]);
    }
    drop(reader);
    thread.join().expect("joined").expect("ended");
    let mut next = [0, 0];
    for line in String::from_utf8(text).expect("text").lines() {
        let unit = usize::from(line.starts_with('b'));
        let letter = ["a", "b"][unit];
        assert_eq!(line, format!("{letter} | {letter} {}", next[unit]));
        next[unit] += 1;
    }
    assert_eq!(next, [20_000, 20_000]);
}

#[test]
fn following_survives_truncation_deletion_and_a_late_beginning() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let (mut reader, thread) = following(follow(), vec![(name("a"), path.clone())]);
    let mut writer = Writer::new(&path, 1 << 20, 1);
    writer.write(1, b"born later\n");
    read_exactly(&mut reader, "born later\n");
    writer.log.set_len(0).expect("truncated");
    writer.log.write_all(b"short\n").expect("written");
    read_exactly(&mut reader, "short\n");
    writer.rotate();
    writer.write(2, b"in a new file\n");
    read_exactly(&mut reader, "in a new file\n");
    drop(reader);
    thread.join().expect("joined").expect("ended");
}

#[test]
fn following_begins_with_the_last_lines_and_obeys_until() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = ten(dir.path());
    let args = LogsArgs { lines: Some(1), grep: Some("[05]$".into()), until: Some(at(20_000)), ..follow() };
    let (mut reader, thread) = following(args, vec![(name("a"), path.clone())]);
    read_exactly(&mut reader, "line 10\n");
    // So many files that nothing is gone before it was read.
    let mut writer = Writer::new(&path, 20, 50);
    for n in 11..=21 {
        writer.write(n * 1000, format!("line {n}\n").as_bytes());
    }
    read_exactly(&mut reader, "line 15\nline 20\n");
    thread.join().expect("joined").expect("it ends by itself after its time");
}

#[test]
fn a_life_is_read_from_its_own_beginning() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    assert_eq!(Position::now(&path).map(|at| tail_from(&path, &at, 9)).expect("none yet"), [""; 0]);
    let mut writer = Writer::new(&path, 30, 4);
    for n in 1..=5 {
        writer.write(n * 1000, format!("first life {n}\n").as_bytes());
    }
    let begun = Position::now(&path).expect("a place");
    assert!(tail_from(&path, &begun, 10).is_empty());
    for n in 6..=9 {
        writer.write(n * 1000, format!("second life {n}\n").as_bytes());
    }
    let expected: Vec<String> = (6..=9).map(|n| format!("second life {n}")).collect();
    assert_eq!(tail_from(&path, &begun, 10), expected);
    assert_eq!(tail_from(&path, &begun, 2), expected[2..]);
    let found = Position::since(&path, WallTime(6000)).expect("a place");
    assert_eq!(tail_from(&path, &found, 10), expected);
    let mut follower = Follower::new(&path, begun).expect("opened");
    let (mut text, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        let count = follower.read(&mut buffer).expect("read");
        if count == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(String::from_utf8(text).expect("text"), expected.join("\n") + "\n");
}

/// Not a test by itself: what the next one runs as a process of its own.
#[test]
fn as_a_program_of_its_own() {
    let Some(path) = std::env::var_os("DEVSTACK_TEST_FOLLOW") else { return };
    devstack::cli::logs::run(&follow(), vec![(name("a"), path.into())], &mut io::stdout(), false)
        .expect("ends");
}

#[test]
fn ctrl_c_ends_it_with_130() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    fs::write(&path, "it follows\n").expect("written");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "as_a_program_of_its_own", "--nocapture"])
        .env("DEVSTACK_TEST_FOLLOW", &path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    let mut out = io::BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.contains("it follows") {
        line.clear();
        assert!(io::BufRead::read_line(&mut out, &mut line).expect("read") > 0, "it ended early");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("signalled");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
}

#[test]
fn times_are_right_after_a_truncation() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut writer = Writer::new(&path, 1 << 20, 1);
    writer.write(1_700_000_001_000, b"a long first line\n");
    writer.write(1_700_000_002_000, b"a second line\n");
    let (mut reader, thread) = following(LogsArgs { json: true, ..follow() }, vec![(name("a"), path)]);
    let line = |time: &str, line: &str| {
        format!(
            "{{\"schema\":\"devstack/v1\",\"service\":\"a\",\"time\":\"2023-11-14T22:13:{time}Z\",\"line\":\"{line}\"}}\n"
        )
    };
    read_exactly(&mut reader, &(line("21.000", "a long first line") + &line("22.000", "a second line")));
    writer.log.set_len(0).expect("truncated");
    writer.times.set_len(0).expect("truncated");
    writer.size = 0;
    writer.write(1_700_000_009_000, b"anew\n");
    read_exactly(&mut reader, &line("29.000", "anew"));
    drop(reader);
    thread.join().expect("joined").expect("ended");
}
