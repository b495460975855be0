//! The log question: a line of the unit's output, since its life began, matches. Told by the kernel, not by looking again.

use std::path::PathBuf;
use std::time::Duration;

use regex::bytes::Regex;
use tokio::time::timeout;

use super::Context;
use super::endpoint::reason;
use super::hub::Subscription;
use crate::store::log::{Lines, Position, without_escapes};

/// A line without an end (a prompt) counts as it is when nothing was added for so long.
const SETTLED: Duration = Duration::from_millis(250);

/// A pattern and how far the log has been read.
pub(super) struct LogLine {
    pattern: Regex,
    path: PathBuf,
    from: Position,
    lines: Option<Lines>,
    seen: u64,
    held: bool,
}

impl LogLine {
    pub(super) fn new(pattern: &str, ctx: &Context) -> Result<Self, String> {
        let pattern = Regex::new(pattern).map_err(|error| format!("cannot be asked: {error}"))?;
        let (path, from) = (ctx.log_path.clone(), ctx.log_from.clone());
        Ok(Self { pattern, path, from, lines: None, seen: 0, held: false })
    }

    /// Reads what is new; an error is the answer in words.
    pub(super) fn look(&mut self) -> Result<(), String> {
        let cannot = |error: std::io::Error| format!("the log cannot be read: {}", reason(&error));
        if self.held {
            return Ok(());
        }
        let lines = match &mut self.lines {
            Some(lines) => lines,
            none => none.insert(Lines::follow(&self.path, self.from.clone()).map_err(cannot)?),
        };
        while lines.advance().map_err(cannot)? {
            let Some(line) = lines.line() else { break };
            self.seen += u64::from(!line.cut);
            if matches(&self.pattern, line.bytes) {
                self.hold();
                return Ok(());
            }
        }
        Err(match self.seen {
            0 => "nothing written yet".to_owned(),
            1 => "not in the 1 line so far".to_owned(),
            many => format!("not in the {many} lines so far"),
        })
    }

    /// Waits until such a line is written.
    pub(super) async fn happens(&mut self) -> Result<(), String> {
        // Before the look: what is written in between must be told.
        let mut stirs = Subscription::new(&self.path).map_err(|error| reason(&error))?;
        loop {
            let looked = self.look();
            let Some(lines) = &self.lines else { return looked };
            let newest = lines.follower().newest();
            if newest.map_or(Ok(false), |file| stirs.renew(file)).map_err(|error| reason(&error))? {
                continue;
            }
            if lines.unfinished().is_empty() {
                stirs.next().await.map_err(|error| reason(&error))?;
            } else if let Ok(stirred) = timeout(SETTLED, stirs.next()).await {
                stirred.map_err(|error| reason(&error))?;
            } else if matches(&self.pattern, lines.unfinished()) {
                self.hold();
                return Ok(());
            } else {
                stirs.next().await.map_err(|error| reason(&error))?;
            }
        }
    }

    fn hold(&mut self) {
        self.held = true;
        self.lines = None;
        self.from = Position::default();
    }
}

/// Whether a line matches as it is, or without its colours.
fn matches(pattern: &Regex, line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    pattern.is_match(line)
        || (line.contains(&0x1b)
            && pattern.is_match(without_escapes(&String::from_utf8_lossy(line)).as_bytes()))
}
