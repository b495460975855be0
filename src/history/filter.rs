//! Which lines of the journal are meant: by kind, unit and time, judged by as few bytes of each line as will do.

use std::str::FromStr;

use memchr::memmem::Finder;

use super::words::unit_of;
use crate::domain::{UnitName, WallTime};
use crate::store::Line;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for, and taken back.
    Request,
    /// A life began, or did not.
    Start,
    /// An answer of a gate or a health check.
    Health,
    /// A leader ended, a life was empty, a stop command ended.
    Exit,
    /// Receipts of signals and what became of them.
    Signal,
    /// A limit was reached, or something needs an eye.
    Breach,
    /// A life of before was taken over.
    Adopt,
    /// Strays were looked for, an end was verified.
    Sweep,
    /// What a container's engine told.
    Container,
    /// A supervisor began; lines were lost.
    Supervisor,
}

/// Each kind: its word, and the keys of the journal that belong to it.
const KINDS: [(Kind, &str, &[&str]); 10] = [
    (Kind::Request, "request", &["requested", "cancelled"]),
    (Kind::Start, "start", &["started", "not_started"]),
    (Kind::Health, "health", &["gated", "checked"]),
    (Kind::Exit, "exit", &["exited", "emptied", "stop_command_ended"]),
    (Kind::Signal, "signal", &["receipt", "outcome", "asked", "killed"]),
    (Kind::Breach, "breach", &["breached", "out_of_memory", "alert"]),
    (Kind::Adopt, "adopt", &["adopted", "remembered"]),
    (Kind::Sweep, "sweep", &["sought", "verified"]),
    (Kind::Container, "container", &["contained"]),
    (Kind::Supervisor, "supervisor", &["supervisor", "lost"]),
];

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = KINDS.iter().find(|(_, word, _)| *word == text).map(|(kind, ..)| *kind);
        let words: Vec<&str> = KINDS.iter().map(|(_, word, _)| *word).collect();
        found.ok_or_else(|| format!("`{text}` is no kind of event: {}", words.join(", ")))
    }
}

impl Kind {
    fn of(key: &[u8]) -> Option<Self> {
        let has = |keys: &[&str]| keys.iter().any(|known| known.as_bytes() == key);
        KINDS.iter().find(|(.., keys)| has(keys)).map(|(kind, ..)| *kind)
    }
}

/// Which lines are meant; all of them where nothing is said.
#[derive(Debug, Default)]
pub struct Filter {
    kinds: Vec<Kind>,
    units: Vec<UnitName>,
    /// A line about a unit holds its name in quotes.
    names: Vec<Finder<'static>>,
    since: Option<WallTime>,
    until: Option<WallTime>,
}

impl Filter {
    /// Only these kinds (none: all), only of these units (none: all), only between these times.
    #[must_use]
    pub fn new(kinds: &[Kind], units: &[UnitName], since: Option<WallTime>, until: Option<WallTime>) -> Self {
        let quoted = |unit: &UnitName| Finder::new(&format!("\"{unit}\"")).into_owned();
        let names = units.iter().map(quoted).collect();
        Self { kinds: kinds.to_vec(), units: units.to_vec(), names, since, until }
    }

    /// Whether a line may be meant. It was not read: whoever passes is read and judged by [`Filter::passes`].
    #[must_use]
    pub fn may_pass(&self, line: &[u8]) -> bool {
        let in_time = |at: WallTime| {
            self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
        };
        let meant = |head: Head| {
            in_time(head.at)
                && (self.kinds.is_empty()
                    || Kind::of(head.key).is_some_and(|kind| self.kinds.contains(&kind)))
        };
        // What does not begin as ours do is torn, or of another devstack.
        head(line).is_none_or(meant)
            && (self.names.is_empty() || self.names.iter().any(|name| name.find(line).is_some()))
    }

    /// Whether a line that may be meant is.
    #[must_use]
    pub fn passes(&self, line: &Line) -> bool {
        self.units.is_empty() || unit_of(&line.entry).is_some_and(|unit| self.units.contains(unit))
    }
}

/// How each line begins.
struct Head<'a> {
    at: WallTime,
    key: &'a [u8],
}

/// `{"at":5,"moment":7,"event":{"started":` and `{"at":5,"moment":7,"receipt":`.
fn head(line: &[u8]) -> Option<Head<'_>> {
    let (at, rest) = number(line.strip_prefix(b"{\"at\":")?)?;
    let (_, rest) = number(rest.strip_prefix(b",\"moment\":")?)?;
    let (key, rest) = quoted(rest.strip_prefix(b",")?)?;
    let key = if key == b"event" {
        let inner = rest.strip_prefix(b":")?;
        quoted(inner.strip_prefix(b"{").unwrap_or(inner))?.0
    } else {
        key
    };
    Some(Head { at: WallTime(at), key })
}

fn number(text: &[u8]) -> Option<(i64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((number, &text[end..]))
}

fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let end = text.iter().position(|byte| *byte == b'"')?;
    Some((&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Exit, Life, Moment};
    use crate::machine::Event;
    use crate::store::{Entry, Lost};

    fn unit(name: &str) -> UnitName {
        name.parse().expect("a name")
    }

    fn line(at: i64, entry: Entry) -> Line {
        Line { at: WallTime(at), moment: Moment(7), by: None, entry }
    }

    fn exited(at: i64, name: &str) -> Line {
        let tail = vec!["\"db\"".to_owned()];
        let event = Event::Exited { unit: unit(name), life: Life(1), exit: Exit::Code(1), tail };
        line(at, Entry::Event(event))
    }

    fn meant(filter: &Filter, line: &Line) -> bool {
        let text = serde_json::to_vec(line).expect("it can be written");
        filter.may_pass(&text) && filter.passes(line)
    }

    #[test]
    fn a_line_is_judged_by_its_head() {
        let text = serde_json::to_vec(&exited(5, "api")).expect("written");
        let head = head(&text).expect("it begins as ours do");
        assert_eq!((head.at, head.key), (WallTime(5), &b"exited"[..]));
        let text = serde_json::to_vec(&line(5, Entry::Event(Event::Tick))).expect("written");
        assert_eq!(super::head(&text).expect("ours").key, b"tick");
        let lost = Lost { lines: 1, reason: String::new() };
        let text = serde_json::to_vec(&line(5, Entry::Lost(lost))).expect("written");
        assert_eq!(super::head(&text).expect("ours").key, b"lost");
    }

    #[test]
    fn only_what_is_meant_passes() {
        let all = Filter::default();
        assert!(meant(&all, &exited(5, "api")));
        let kinds = Filter::new(&[Kind::Exit], &[], None, None);
        assert!(meant(&kinds, &exited(5, "api")));
        assert!(!meant(&kinds, &line(5, Entry::Event(Event::Tick))));
        let units = Filter::new(&[], &[unit("db")], None, None);
        assert!(meant(&units, &exited(5, "db")));
        assert!(!meant(&units, &exited(5, "api")), "that it speaks of db is no proof");
        let times = Filter::new(&[], &[], Some(WallTime(4)), Some(WallTime(6)));
        let within: Vec<i64> = (1..9).filter(|at| meant(&times, &exited(*at, "api"))).collect();
        assert_eq!(within, [4, 5, 6]);
    }

    #[test]
    fn what_begins_otherwise_is_read() {
        let kinds = Filter::new(&[Kind::Signal], &[], Some(WallTime(9)), None);
        assert!(kinds.may_pass(b"{ \"moment\": 7, \"at\": 5, \"event\": \"tick\" }"));
        assert!(kinds.may_pass(b"{\"at\":5"));
    }

    #[test]
    fn each_kind_has_a_word() {
        for (kind, word, _) in KINDS {
            assert_eq!(word.parse(), Ok(kind));
        }
        assert!("signals".parse::<Kind>().expect_err("no kind").contains("request, start"));
    }
}
