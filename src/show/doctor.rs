//! `doctor`: which promise holds here and why, then everything that was looked at.

use super::paint::{Paint, Tone};
use super::table::{Align, Cell, Table};
use super::text;
use crate::domain::{Area, Checkup, Finding, Fix, Grade};

const AREAS: [(Area, &str); 5] = [
    (Area::Layers, "LAYERS"),
    (Area::Machine, "MACHINE"),
    (Area::Places, "PLACES"),
    (Area::Stack, "THIS STACK"),
    (Area::Stale, "LEFT OVER"),
];

/// The whole answer.
#[must_use]
pub fn screen(paint: &Paint, checkup: &Checkup) -> String {
    let mut out = promise(paint, checkup);
    let mut table = Table::new(&[Align::Left, Align::Left, Align::Left]).uncut();
    for (area, words) in AREAS {
        let mut findings = checkup.findings.iter().filter(|finding| finding.area == area).peekable();
        if findings.peek().is_some() {
            table.across(vec!["".into(), Cell::new(Tone::Dim, words)]);
        }
        for finding in findings {
            rows(paint, &mut table, finding);
        }
    }
    out.push_str(&table.render(paint));
    out.push_str(&verdict(paint, checkup));
    out
}

fn promise(paint: &Paint, checkup: &Checkup) -> String {
    let mut table = Table::new(&[Align::Left, Align::Left]).uncut();
    let [kept, killed] = checkup.promise.words();
    let lines =
        [("promise", Tone::Strong, kept), ("", Tone::Plain, killed), ("because", Tone::Plain, &checkup.why)];
    for (label, tone, line) in lines {
        table.row(vec![Cell::new(Tone::Dim, label), Cell::new(tone, line)]);
    }
    table.render(paint) + "\n"
}

fn rows(paint: &Paint, table: &mut Table, finding: &Finding) {
    let marks = paint.marks();
    let (symbol, tone) = match (finding.grade, &finding.fix) {
        (_, Fix::Done) | (Grade::Good, _) => (marks.good, Tone::Good),
        (Grade::Note, _) => (marks.idle, Tone::Dim),
        (Grade::Attention, _) => (marks.warn, Tone::Warn),
    };
    let text = match &finding.fix {
        Fix::None | Fix::Possible => finding.text.clone(),
        Fix::Done => format!("{}: done", finding.text),
        Fix::Failed(why) => format!("{}: could not be done: {why}", finding.text),
    };
    table.row(vec![Cell::new(tone, symbol), Cell::new(Tone::Strong, &*finding.name), text.into()]);
    for remedy in &finding.remedy {
        let blank = || Cell::from("");
        table.row(vec![blank(), blank(), Cell::new(Tone::Good, format!("try  {remedy}"))]);
    }
}

fn verdict(paint: &Paint, checkup: &Checkup) -> String {
    match checkup.attention() {
        0 => format!("\n{} all is well\n", paint.tone(Tone::Good, paint.marks().good)),
        open => {
            let need = if open == 1 { "needs" } else { "need" };
            let count = text::count(open, "finding", "findings");
            format!("\n{} {count} {need} attention\n", paint.tone(Tone::Warn, paint.marks().warn))
        }
    }
}
