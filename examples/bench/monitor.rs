//! What it costs to look at 500 processes every two seconds, against the same stack that nobody looks at.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use crate::report::{Goal, Report, Row};
use crate::stack::{Place, Stack};
use crate::{Trouble, Wanted, look, tell};

const SERVICES: usize = 50;
const EACH: usize = 10;

/// Measures the supervisor's share of a core, with thresholds that are never crossed and without any.
pub(crate) fn measure(wanted: &Wanted, place: &Place, report: &mut Report) -> Result<(), Trouble> {
    for (watched, goal) in [(true, Goal::AtMost(1.0)), (false, Goal::AtMost(0.05))] {
        let what = if watched { "looked at each 2 s" } else { "not looked at" };
        let mut row = Row::new(format!("CPU of {SERVICES}×{EACH} processes, {what}"), "%", goal);
        let stack = Stack::with(place, &manifest(place, watched))?;
        stack.time(&["up"])?;
        let view = stack.view()?;
        let seen = view.processes().len();
        if seen != SERVICES * EACH {
            return Err(format!("ps shows {seen} processes of {}", SERVICES * EACH).into());
        }
        let supervisor = view.supervisor()?;
        tell(&format!("standing for {} s with {seen} processes, {what}", wanted.seconds));
        thread::sleep(Duration::from_secs(3));
        let before = look::processor(&[supervisor])?;
        thread::sleep(Duration::from_secs(wanted.seconds));
        let used = look::processor(&[supervisor])? - before;
        row.devstack.push(100.0 * used / Duration::from_secs(wanted.seconds).as_secs_f64());
        row.note = format!("supervisor {:.1} MB", look::memory(&[supervisor])? / 1e6);
        report.add(row);
        stack.time(&["down"])?;
    }
    Ok(())
}

fn manifest(place: &Place, watched: bool) -> String {
    let mut text = String::from("name: bench\nservices:\n");
    for at in 0..SERVICES {
        let program = place.stand_in.display();
        let _ = writeln!(
            text,
            "  s{at}:\n    command: [\"{program}\", crowd, --count, \"{EACH}\"]\n    ready: {{ log: crowd of }}"
        );
    }
    if watched {
        text.push_str("monitor: { interval: 2s, alert: { memory: 64G, pids: 5000 } }\n");
    }
    text
}
