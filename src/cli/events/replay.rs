//! `events --replay`: the journal played through the machine once more, each decision beside what was recorded.

use serde::Serialize;

use super::Look;
use crate::cli::exit::{CliError, Code};
use crate::cli::place::Stack;
use crate::domain::{UnitName, WallTime};
use crate::history::{Played, Replay, Tally, decision, key, unit_of, words};
use crate::show::{Door, Tone, json, text};
use crate::store::{JournalReader, Line};

#[derive(Serialize)]
struct Step<'a> {
    at: WallTime,
    unit: Option<&'a UnitName>,
    line: String,
    decided: Option<String>,
    agrees: bool,
    differs: Option<&'a str>,
}

pub(super) fn run(
    stack: &Stack,
    door: &Door,
    mut journal: JournalReader,
    as_json: bool,
) -> Result<Code, CliError> {
    let look = Look::new(door, stack);
    let mut replay = Replay::default();
    let mut told = String::new();
    let torn = journal.read(|line| {
        let played = replay.take(&line);
        if as_json {
            told.push_str(&json::line(&step(&line, &played)).unwrap_or_default());
        } else if let Some((tone, what)) = shown(&line, &played) {
            told.push_str(&look.line(&line, tone, &what));
        }
    })?;
    let tally = replay.tally;
    if !as_json {
        told.push_str(&summary(tally, torn));
    }
    door.stream(&told)?;
    if tally.differ > 0 { Err(CliError::Told(Code::Failed)) } else { Ok(Code::Done) }
}

fn step<'a>(line: &'a Line, played: &'a Played) -> Step<'a> {
    Step {
        at: line.at,
        unit: unit_of(&line.entry),
        line: words(line).map_or_else(|| key(line).to_owned(), |(_, what)| what),
        decided: if let Played::Decided(actions) = played { Some(decision(actions)) } else { None },
        agrees: matches!(played, Played::Decided(_) | Played::Agrees | Played::Began),
        differs: if let Played::Differs(why) = played { Some(why) } else { None },
    }
}

/// An event from which nothing follows is not shown.
fn shown(line: &Line, played: &Played) -> Option<(Tone, String)> {
    let what = || words(line).map_or_else(|| key(line).to_owned(), |(_, what)| what);
    match played {
        Played::Unknown => None,
        Played::Decided(actions) if actions.is_empty() => None,
        Played::Decided(actions) => Some((Tone::Plain, format!("{} → {}", what(), decision(actions)))),
        Played::Agrees => Some((Tone::Good, format!("{}: agrees", what()))),
        Played::Began => Some((Tone::Strong, what())),
        Played::Gap => Some((Tone::Warn, format!("{}: what follows may differ", what()))),
        Played::Differs(why) => Some((Tone::Bad, format!("{}: DIFFERS: {why}", what()))),
    }
}

fn summary(tally: Tally, torn: usize) -> String {
    let Tally { supervisors, unknown, events, actions, receipts, differ, gaps } = tally;
    let middle = (unknown > 0).then(|| {
        format!(
            "{} before the first supervisor's: the journal begins in the middle of its work, and they cannot be replayed\n",
            text::count(unknown, "line stands", "lines stand")
        )
    });
    let missing = (gaps + torn > 0)
        .then(|| format!("lines are missing in {}\n", text::count(gaps + torn, "place", "places")));
    let lines: String = middle.into_iter().chain(missing).collect();
    let verdict = match differ {
        0 => "all of it agrees".to_owned(),
        _ => format!("{} not agree", text::count(differ, "line does", "lines do")),
    };
    lines
        + &format!(
            "{} · {} → {} · {}: {verdict}\n",
            text::count(supervisors, "supervisor", "supervisors"),
            text::count(events, "event", "events"),
            text::count(actions, "decision", "decisions"),
            text::count(receipts, "receipt", "receipts"),
        )
}
