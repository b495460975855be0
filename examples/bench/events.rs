//! A day's journal: 100,000 events, filtered.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::report::{Goal, Report, Row, ms};
use crate::stack::{Place, Shape, Stack};
use crate::{Trouble, Wanted};

/// A day of a busy stack.
const EVENTS: usize = 100_000;

/// Each filter is to answer within so many milliseconds.
const GOAL: f64 = 100.0;

/// Measures `events` over a journal of its own making, put into the place of the one of a stack that was ended.
pub(crate) fn measure(wanted: &Wanted, place: &Place, report: &mut Report) -> Result<(), Trouble> {
    let shape = Shape { services: 6, after: 0, http: false, chain: false, health: false };
    let stack = Stack::of(place, &shape)?;
    stack.time(&["up"])?;
    stack.time(&["down"])?;
    let journal = stack.journal()?;
    let bytes = write(&journal)?;
    let filters: [&[&str]; 7] = [
        &["--service", "s3", "--kind", "start,exit"],
        &["--kind", "signal"],
        &["--since", "2026-01-01T23:00:00Z"],
        &["--until", "2026-01-01T01:00:00Z"],
        &["-n", "100"],
        &["-n", "100", "--service", "s5", "--json"],
        &["--why", "s3"],
    ];
    for filter in filters {
        let what = format!("events {}", filter.join(" "));
        let mut row = Row::new(what, "ms", Goal::AtMost(GOAL));
        row.note = format!("{EVENTS} events, {} MB", bytes / 1_000_000);
        let arguments = [&["events"], filter].concat();
        for _ in 0..wanted.runs {
            row.devstack.push(ms(stack.time(&arguments)?));
        }
        report.add(row);
    }
    Ok(())
}

/// Checks that fail and hold again, restarts now and then: what a journal is full of. One file, however long.
fn write(journal: &Path) -> Result<usize, Trouble> {
    const MIDNIGHT: usize = 1_767_225_600_000;
    let mut text = String::new();
    writeln!(text, r#"{{"at":{MIDNIGHT},"moment":0,"supervisor":{{"pid":77,"version":"0.0.0"}}}}"#)?;
    for number in 1..EVENTS {
        let (at, unit, life) = (MIDNIGHT + number * 864, number % 6, number / 1000 + 1);
        write!(text, r#"{{"at":{at},"moment":{number},"#)?;
        match number % 100 {
            0..6 => writeln!(
                text,
                r#""event":{{"started":{{"unit":"s{unit}","life":{life},"leader":{{"pid":{number},"start":5}}}}}}}}"#
            )?,
            6..12 => writeln!(
                text,
                r#""receipt":{{"signal":"SIGTERM","process":{{"pid":{number},"start":5}},"command":"node server.js --port 2100{unit}","unit":"s{unit}","evidence":"first process of its life","why":"unhealthy","request":null,"refused":null}},"by":{{"verb":"supervisor","user":"dev","pid":77}}}}"#
            )?,
            12..18 => writeln!(
                text,
                r#""event":{{"exited":{{"unit":"s{unit}","life":{life},"exit":{{"code":143}},"tail":["listening on 2100{unit}","SIGTERM: closing the server"]}}}}}}"#
            )?,
            _ => writeln!(
                text,
                r#""event":{{"checked":{{"unit":"s{unit}","life":{life},"answer":{{"bad":{{"asked":"GET http://localhost:2100{unit}/health","got":"503"}}}}}}}}}}"#
            )?,
        }
    }
    fs::write(journal, &text)?;
    Ok(text.len())
}
