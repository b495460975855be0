//! `monitor`: what each service takes, as a table.

use super::paint::{Paint, Tone};
use super::table::{Align, Cell, Table};
use super::text;
use crate::domain::{Alert, Excess, LifeUsage, Remarks, StackName, TotalUsage};

/// One row for each service that has processes, their sum, and the budgets that are exceeded.
#[must_use]
pub fn table(paint: &Paint, stack: &StackName, lives: &[LifeUsage], over: &[Excess]) -> String {
    let columns = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left];
    let header = ["SERVICE", "PROCESSES", "MEMORY", "CPU", "BIGGEST", ""];
    let mut table = Table::new(&columns).header(&header);
    for life in lives {
        let (memory, who) = biggest(life);
        table.row(vec![
            Cell::new(Tone::Strong, life.unit.as_str()),
            life.processes.to_string().into(),
            text::bytes(life.memory).into(),
            percent(life.cpu_milli).into(),
            memory.into(),
            Cell::new(Tone::Dim, who),
        ]);
    }
    let total = TotalUsage::of(lives);
    table.row(vec![
        Cell::new(Tone::Dim, stack.as_str()),
        total.processes.to_string().into(),
        text::bytes(total.memory).into(),
        percent(total.cpu_milli).into(),
        "".into(),
        "".into(),
    ]);
    table.render(paint) + &excesses(paint, over)
}

/// An alert as a line.
#[must_use]
pub fn alert(paint: &Paint, when: &str, alert: &Alert) -> String {
    let what = paint.clean(&alert.to_string());
    let when = paint.tone(Tone::Dim, when);
    let (mark, tone) =
        if alert.over { (paint.marks().good, Tone::Good) } else { (paint.marks().warn, Tone::Warn) };
    format!("{when}  {}\n", paint.tone(tone, &format!("{mark} {what}")))
}

fn warning(paint: &Paint, what: &str) -> String {
    format!("{}\n", paint.tone(Tone::Warn, &format!("{} {}", paint.marks().warn, paint.clean(what))))
}

/// What is to be said beside the answer of an `up`, a line each.
#[must_use]
pub fn remarks(paint: &Paint, remarks: &Remarks) -> String {
    let slow = remarks.slow.iter().map(|slow| warning(paint, &slow.to_string()));
    slow.collect::<String>() + &excesses(paint, &remarks.over)
}

/// The budgets that are exceeded, a line each.
#[must_use]
pub fn excesses(paint: &Paint, over: &[Excess]) -> String {
    over.iter().map(|excess| warning(paint, &excess.to_string())).collect()
}

fn biggest(life: &LifeUsage) -> (String, String) {
    match &life.biggest {
        Some(one) => (text::bytes(one.memory), format!("{} (pid {})", one.command, one.process.pid)),
        None => (String::new(), String::new()),
    }
}

/// A share of a core, as people say it; 100% is one core.
fn percent(milli: Option<u32>) -> String {
    milli.map(|milli| format!("{}%", (u64::from(milli) + 5) / 10)).unwrap_or_default()
}
