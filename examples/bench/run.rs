//! What `devstack run` adds to a command that does nothing.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::report::{Goal, Report, Row, ms};
use crate::stack::{Place, Shape, Stack};
use crate::{Trouble, Wanted};

/// It is short: a median of few would be a figure of the machine's other work.
const LEAST: usize = 200;

/// Measures a job of `true` against bare `true`, in turns.
pub(crate) fn measure(wanted: &Wanted, place: &Place, report: &mut Report) -> Result<(), Trouble> {
    let shape = Shape { services: 1, after: 0, http: false, chain: false, health: false };
    let stack = Stack::of(place, &shape)?;
    let job = ["run", "--quiet", "--", "true"];
    // The first one makes the stack's state.
    stack.time(&job)?;
    let mut row = Row::new("run -- true", "ms", Goal::AboveBare(10.0));
    for _ in 0..wanted.runs.max(LEAST) {
        let start = Instant::now();
        let status = Command::new("true").stdin(Stdio::null()).status()?;
        row.bare.push(ms(start.elapsed()));
        if !status.success() {
            return Err(format!("true: {status}").into());
        }
        row.devstack.push(ms(stack.time(&job)?));
    }
    report.add(row);
    Ok(())
}
