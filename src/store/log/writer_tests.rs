//! What a log writer promises, with sources made of bytes.

use std::collections::VecDeque;

use super::super::rotate::rotated_path;
use super::super::times::times_path;
use super::*;

/// Bytes that come in the given chunks; moved by copying, where moving is allowed.
struct Chunks {
    left: VecDeque<Vec<u8>>,
    movable: bool,
    moved: usize,
}

impl Chunks {
    fn of(chunks: impl IntoIterator<Item = Vec<u8>>, movable: bool) -> Self {
        Self { left: chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect(), movable, moved: 0 }
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        let Some(mut chunk) = self.left.pop_front() else { return Vec::new() };
        if chunk.len() > most {
            self.left.push_front(chunk.split_off(most));
        }
        chunk
    }
}

impl Source for Chunks {
    fn move_to(&mut self, mut file: &File, most: usize) -> io::Result<usize> {
        if !self.movable {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let bytes = self.take(most);
        file.write_all(&bytes)?;
        self.moved += bytes.len();
        Ok(bytes.len())
    }

    fn look(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.left.front().map_or(&[][..], |chunk| &chunk[..chunk.len().min(buffer.len())]);
        buffer[..next.len()].copy_from_slice(next);
        Ok(next.len())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(
            !self.movable,
            "what can be moved is never taken into the hand: it would be lost with this process"
        );
        let bytes = self.take(buffer.len());
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

fn drain(writer: &mut LogWriter, source: &mut Chunks) {
    let mut now = 1_000_000;
    while writer.pump(source, 1 << 20, WallTime(now)).expect("bytes have no errors") > 0 {
        now += 1;
    }
}

/// All files, the oldest first.
fn files(path: &Path) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = (0..10_000).map_while(|age| std::fs::read(rotated_path(path, age)).ok()).collect();
    all.reverse();
    all
}

fn lines(count: usize, width: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0..count {
        text.extend(format!("{number:0width$}\n").bytes());
    }
    text
}

#[test]
fn files_begin_with_a_line_and_lose_nothing() {
    for (movable, max_size, chunk, width) in [
        (true, 1_000, 333, 30),
        (false, 1_000, 70_000, 30),
        (true, 200_000, 9_999, 99),
        (true, 200_000, 150_000, 3_000),
        (false, 200_000, 4_096, 63_000),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.log");
        let text = lines(usize::try_from(max_size * 5).expect("small") / width, width);
        let mut writer = LogWriter::open(&path, max_size, u32::MAX).expect("opens");
        let mut source = Chunks::of(text.chunks(chunk).map(<[u8]>::to_vec), movable);
        drain(&mut writer, &mut source);
        let files = files(&path);
        assert!(files.len() > 3, "it rotates");
        for file in &files {
            assert_eq!(file.last(), Some(&b'\n'), "a file ends with a line");
            // A chunk that ends within the last line lets that line go over the limit.
            assert!(file.len() as u64 <= max_size + width as u64, "{} bytes", file.len());
        }
        assert!(files.concat() == text, "the same bytes");
        assert_eq!(source.moved > 0, movable);
    }
}

#[test]
fn a_line_without_an_end_fills_no_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let text = vec![b'x'; 1_000_000];
    let mut writer = LogWriter::open(&path, 100_000, 100).expect("opens");
    drain(&mut writer, &mut Chunks::of([text.clone()], true));
    let files = files(&path);
    assert!(files.iter().all(|file| file.len() <= 100_000 + WINDOW));
    assert!(files.concat() == text);
}

#[test]
fn only_so_many_files_are_kept_and_the_newest_bytes_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let text = lines(10_000, 20);
    let mut writer = LogWriter::open(&path, 5_000, 3).expect("opens");
    drain(&mut writer, &mut Chunks::of([text.clone()], true));
    let files = files(&path);
    assert_eq!(files.len(), 3);
    assert!(text.ends_with(&files.concat()));
}

#[test]
fn a_later_life_goes_on_where_the_last_one_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    for text in ["first\n", "half a", " line\n"] {
        let mut writer = LogWriter::open(&path, 1 << 20, 3).expect("opens");
        drain(&mut writer, &mut Chunks::of([text.as_bytes().to_vec()], true));
    }
    assert_eq!(files(&path).concat(), b"first\nhalf a line\n");
}

#[test]
fn times_tell_when_each_byte_came() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut writer = LogWriter::open(&path, 20, 9).expect("opens");
    // Two chunks in one millisecond share a record; a new file begins with one.
    for (text, at) in [("one\n", 5), ("two\n", 5), ("three\n", 7), ("four four\n", 9), ("end", 9)] {
        let mut source = Chunks::of([text.as_bytes().to_vec()], true);
        writer.pump(&mut source, 1 << 20, WallTime(at)).expect("pumped");
    }
    let records = |age| -> Vec<(u64, i64)> {
        let bytes = std::fs::read(times_path(&rotated_path(&path, age))).expect("times");
        let number = |part: &[u8]| <[u8; 8]>::try_from(part).expect("eight bytes");
        bytes
            .chunks_exact(16)
            .map(|r| (u64::from_le_bytes(number(&r[..8])), i64::from_le_bytes(number(&r[8..]))))
            .collect()
    };
    assert_eq!(files(&path), [b"one\ntwo\nthree\n".to_vec(), b"four four\nend".to_vec()]);
    assert_eq!(records(1), [(0, 5), (8, 7)]);
    assert_eq!(records(0), [(0, 9)]);
}

#[test]
fn an_emptied_or_removed_log_goes_on_without_a_hole() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut writer = LogWriter::open(&path, 1 << 20, 3).expect("opens");
    let mut say = |text: &str| drain(&mut writer, &mut Chunks::of([text.as_bytes().to_vec()], true));
    say("one\n");
    File::create(&path).expect("emptied");
    say("two\n");
    assert_eq!(files(&path).concat(), b"two\n");
    std::fs::remove_file(&path).expect("removed");
    say("three\n");
    assert_eq!(files(&path).concat(), b"three\n");
    std::fs::rename(&path, dir.path().join("aside")).expect("moved");
    say("four\n");
    assert_eq!(files(&path).concat(), b"four\n");
    // Where none can be, what is said is counted.
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("a directory in its place");
    drain(&mut writer, &mut Chunks::of([b"five\n".to_vec(), b"six\n".to_vec()], false));
    std::fs::remove_dir(&path).expect("ours");
    let mut source = Chunks::of([b"seven\n".to_vec()], false);
    writer.pump(&mut source, 1 << 20, WallTime(1_002_500)).expect("pumped");
    let text = String::from_utf8(files(&path).concat()).expect("text");
    assert_eq!(text, "[devstack: 9 bytes of output lost: is a directory]\nseven\n");
}

/// `/dev/full` takes nothing; a log that is a link to it stands for a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_blocks_nobody_and_the_gap_is_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.log");
    let mut writer = LogWriter::open(&path, 1 << 20, 3).expect("opens");
    drain(&mut writer, &mut Chunks::of([b"before".to_vec()], false));
    let real = std::mem::replace(
        &mut writer.file,
        OpenOptions::new().read(true).write(true).open("/dev/full").expect("it takes nothing"),
    );
    let size = std::mem::take(&mut writer.size);
    writer.path = "/dev/full".into();
    let mut source = Chunks::of([vec![b'x'; 3000], vec![b'y'; 4000]], false);
    drain(&mut writer, &mut source);
    assert!(source.left.is_empty(), "the service is not held up");
    (writer.file, writer.size, writer.line_ended, writer.path) = (real, size, None, path.clone());
    let mut source = Chunks::of([b"again\n".to_vec()], false);
    writer.pump(&mut source, 1 << 20, WallTime(1_002_500)).expect("pumped");
    assert_eq!(
        String::from_utf8(files(&path).concat()).expect("text"),
        "before\n[devstack: 7000 bytes of output lost: no space left on device]\nagain\n"
    );
}
