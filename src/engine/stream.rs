//! What is followed: logs, events, pulls and builds, line by line, from a command that runs until it is dropped.

use std::io;
use std::process::Command;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe::Receiver;

use super::client::Client;
use super::event::{Event, event};
use super::position::{LogPosition, Seen};
use super::progress::Progress;
use super::running::Running;
use super::spec::Build;
use super::trouble::{Trouble, TroubleKind};
use crate::domain::WallTime;

/// A line without an end is told in pieces of this size.
const LINE: u64 = 1 << 20;
/// So many lines of a command's own words are kept, to be told when it fails.
const WORDS: usize = 20;

/// A command that writes, and its lines.
#[derive(Debug)]
struct Lines {
    running: Running,
    pipe: BufReader<Receiver>,
    line: Vec<u8>,
    /// The line that was told last has no end: it is the last one, or a piece of a very long one.
    endless: bool,
}

impl Lines {
    fn start(client: &Client, command: Command) -> Result<Self, Trouble> {
        let (running, pipe) = Running::start(command).map_err(|error| client.unstarted(&error))?;
        Ok(Self { running, pipe: BufReader::new(pipe), line: Vec::new(), endless: false })
    }

    /// The next line without its end; none when the command has ended. Dropping the future loses nothing.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let room = LINE.saturating_sub(self.line.len() as u64);
        (&mut self.pipe).take(room).read_until(b'\n', &mut self.line).await?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        self.endless = line.pop_if(|last| *last == b'\n').is_none();
        Ok(Some(line))
    }

    /// How the command ended.
    async fn code(&mut self) -> Option<i32> {
        self.running.code().await.ok()?
    }
}

fn broken(error: &io::Error) -> Trouble {
    Trouble::new(TroubleKind::Unreadable, error.to_string())
}

/// One line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, as the engine tells it.
    pub at: String,
    /// The line, without its end.
    pub text: Vec<u8>,
}

/// The log of a container, followed until the container ends.
#[derive(Debug)]
pub struct Logs {
    lines: Lines,
    seen: Seen,
    words: Vec<String>,
    /// The command has ended well.
    ended: bool,
}

impl Logs {
    pub(super) fn start(
        client: &Client,
        container: &str,
        from: Option<LogPosition>,
    ) -> Result<Self, Trouble> {
        let mut words = vec!["logs", "--follow", "--timestamps"];
        if let Some(from) = &from {
            words.extend(["--since", &from.at]);
        }
        words.extend(["--", container]);
        let lines = Lines::start(client, client.command(&words))?;
        Ok(Self { lines, seen: Seen::new(from), words: Vec::new(), ended: false })
    }

    /// The next line; none when the container has ended and all was told.
    pub async fn next(&mut self) -> Result<Option<LogLine>, Trouble> {
        while let Some(line) = self.lines.next().await.map_err(|error| broken(&error))? {
            if self.lines.endless && (line.len() as u64) < LINE {
                // The container's last words; or the command was killed in the middle of a line, which is told again.
                match self.lines.code().await {
                    Some(0) => self.ended = true,
                    code => return Err(Trouble::sort(code, &self.words.join("\n"))),
                }
            }
            let Some(line) = stamped(&line) else {
                // Without a time it is the command that speaks.
                if self.words.len() < WORDS {
                    self.words.push(String::from_utf8_lossy(&line).into_owned());
                }
                continue;
            };
            if !self.seen.hear(&line.at) {
                continue;
            }
            return Ok(Some(line));
        }
        if self.ended {
            return Ok(None);
        }
        match self.lines.code().await {
            Some(0) => Ok(None),
            code => Err(Trouble::sort(code, &self.words.join("\n"))),
        }
    }

    /// Where to go on later; none before the first line.
    #[must_use]
    pub fn position(&self) -> Option<LogPosition> {
        self.seen.position()
    }
}

/// Docker and podman keep a long line in pieces of these sizes, and `--timestamps` puts a time before each of them.
const PIECES: [usize; 2] = [16 << 10, 8 << 10];

/// A line of `logs --timestamps`. One that was kept in pieces has a time before each: they are taken out again, and the
/// last one counts, because it is where the log has to be gone on with.
fn stamped(line: &[u8]) -> Option<LogLine> {
    let (mut at, mut rest) = time(line)?;
    let mut text = Vec::with_capacity(rest.len());
    let piece = |at: &str, rest: &[u8]| {
        let is_piece =
            |size: &usize| rest.get(*size..).and_then(time).is_some_and(|(one, _)| one.len() == at.len());
        PIECES.into_iter().find(is_piece)
    };
    while let Some(size) = piece(at, rest) {
        text.extend_from_slice(&rest[..size]);
        (at, rest) = time(&rest[size..])?;
    }
    text.extend_from_slice(rest);
    Some(LogLine { at: at.to_owned(), text })
}

/// The time at the beginning, and what follows it.
fn time(line: &[u8]) -> Option<(&str, &[u8])> {
    let blank = line.iter().take(40).position(|byte| *byte == b' ').unwrap_or(line.len());
    let (at, rest) = line.split_at_checked(blank)?;
    let at = std::str::from_utf8(at).ok()?;
    let is_time = at.len() >= 20
        && at.as_bytes().get(10) == Some(&b'T')
        && at.starts_with(|c: char| c.is_ascii_digit());
    is_time.then(|| (at, rest.get(1..).unwrap_or_default()))
}

/// What happens to containers.
#[derive(Debug)]
pub struct Events {
    lines: Lines,
    words: Vec<String>,
}

impl Events {
    pub(super) fn start(client: &Client, filter: &str, since: WallTime) -> Result<Self, Trouble> {
        let since = format!("{}.{:03}", since.0.div_euclid(1000), since.0.rem_euclid(1000));
        let words = ["events", "--filter", "type=container", "--filter", filter, "--format", "{{json .}}"];
        let words = [&words[..], &["--since", &since]].concat();
        Ok(Self { lines: Lines::start(client, client.command(&words))?, words: Vec::new() })
    }

    /// The next one. It never ends well: an engine that ends the stream has gone away.
    pub async fn next(&mut self) -> Result<Event, Trouble> {
        while let Some(line) = self.lines.next().await.map_err(|error| broken(&error))? {
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.starts_with('{') {
                return event(&line);
            }
            if self.words.len() < WORDS {
                self.words.push(line);
            }
        }
        let trouble = Trouble::sort(self.lines.code().await, &self.words.join("\n"));
        match trouble.kind {
            TroubleKind::Other { .. } => Err(Trouble::new(TroubleKind::NotRunning, trouble.text)),
            _ => Err(trouble),
        }
    }
}

/// An image that is being fetched; dropping it ends the fetching.
#[derive(Debug)]
pub struct Pull {
    lines: Lines,
    progress: Progress,
    words: Vec<String>,
}

impl Pull {
    pub(super) fn start(client: &Client, image: &str) -> Result<Self, Trouble> {
        let lines = Lines::start(client, client.command(&["pull", "--", image]))?;
        Ok(Self { lines, progress: Progress::default(), words: Vec::new() })
    }

    /// Waits until it is further; none when the image is here.
    pub async fn next(&mut self) -> Result<Option<&Progress>, Trouble> {
        while let Some(line) = self.lines.next().await.map_err(|error| broken(&error))? {
            let line = String::from_utf8_lossy(&line).into_owned();
            if self.progress.hear(&line) {
                return Ok(Some(&self.progress));
            }
            // The last words are those that tell why.
            if self.words.len() == WORDS {
                self.words.remove(0);
            }
            self.words.push(line);
        }
        match self.lines.code().await {
            Some(0) => Ok(None),
            code => Err(Trouble::sort(code, &self.words.join("\n"))),
        }
    }
}

/// An image that is being built; dropping it ends the building.
#[derive(Debug)]
pub struct Building {
    lines: Lines,
    words: Vec<String>,
}

impl Building {
    pub(super) fn start(client: &Client, build: &Build) -> Result<Self, Trouble> {
        let mut command = client.command(&[]);
        // Lines that are only added to. The builder without buildkit knows no such option, and does not look at this.
        let words = build.words();
        command.args(&words[..1]);
        if client.is_podman() {
            // Its own format has no place for a health check.
            command.arg("--format=docker");
        }
        command.args(&words[1..]).envs(build.travelling()).env("BUILDKIT_PROGRESS", "plain");
        Ok(Self { lines: Lines::start(client, command)?, words: Vec::new() })
    }

    /// The next line of the build; none when the image is there. Trouble is told with the last lines as its text.
    pub async fn next(&mut self) -> Result<Option<&str>, Trouble> {
        if let Some(line) = self.lines.next().await.map_err(|error| broken(&error))? {
            if self.words.len() == WORDS {
                self.words.remove(0);
            }
            self.words.push(String::from_utf8_lossy(&line).trim_end().to_owned());
            return Ok(self.words.last().map(String::as_str));
        }
        match self.lines.code().await {
            Some(0) => Ok(None),
            code => {
                let words = self.words.join("\n");
                let trouble = Trouble::sort(code, &words);
                // All lines are told: what failed stands in one before the last.
                Err(Trouble { text: words, ..trouble })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_has_a_time_and_the_commands_words_have_none() {
        let line = stamped(b"2026-11-21T10:57:44.139373748Z 1:M DB saved").expect("a line");
        assert_eq!((&*line.at, &*line.text), ("2026-11-21T10:57:44.139373748Z", &b"1:M DB saved"[..]));
        // Podman writes the machine's own zone.
        assert!(stamped(b"2026-11-21T10:57:44.139373748+01:00 x").is_some());
        let empty = stamped(b"2026-11-21T10:57:44.139373748Z ").expect("an empty line");
        assert!(empty.text.is_empty());
        for size in PIECES {
            let pieces = [
                &b"2026-11-21T10:57:44.139373748Z "[..],
                &vec![b'a'; size],
                b"2026-11-21T10:57:44.139373750Z b c",
            ];
            let line = stamped(&pieces.concat()).expect("a line");
            assert_eq!((&*line.at, line.text.len()), ("2026-11-21T10:57:44.139373750Z", size + 3));
        }
        for words in [&b"Error response from daemon: No such container: x"[..], b"", b"2026"] {
            assert!(stamped(words).is_none());
        }
    }
}
