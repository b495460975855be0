//! `ls`: every stack of this user.

use serde::Serialize;

use super::paint::{Paint, Tone};
use super::table::{Align, Cell, Table};
use super::text;
use crate::domain::StackName;

/// One stack as its ledger and its supervisor tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub stack: StackName,
    /// Directory of its manifest.
    pub dir: String,
    /// Whether that directory is still there.
    pub dir_exists: bool,
    /// The supervisor's process number, or none where none lives.
    pub supervisor: Option<i32>,
    /// Units that are ready.
    pub ready: usize,
    /// Units that run or should run.
    pub wanted: usize,
    /// Processes known to be alive.
    pub processes: usize,
    /// Declared ports of what runs.
    pub ports: Vec<u16>,
}

impl Listed {
    /// The state in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.supervisor, self.processes, self.ready == self.wanted) {
            (None, 0, _) | (Some(_), 0, true) => "stopped",
            (None, _, _) => "unwatched",
            (Some(_), _, true) => "running",
            (Some(_), _, false) => "degraded",
        }
    }
}

/// One row for each stack.
#[must_use]
pub fn table(paint: &Paint, stacks: &[Listed]) -> String {
    if stacks.is_empty() {
        return "no stacks\n".to_owned();
    }
    let columns =
        [Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left, Align::Left];
    let header = ["", "STACK", "STATE", "READY", "PROCESSES", "PORTS", "DIRECTORY"];
    let mut table = Table::new(&columns).header(&header);
    for stack in stacks {
        let marks = paint.marks();
        let (symbol, tone) = match stack.word() {
            "running" => (marks.good, Tone::Good),
            "stopped" => (marks.halt, Tone::Dim),
            _ => (marks.warn, Tone::Warn),
        };
        let ports: Vec<String> = stack.ports.iter().map(u16::to_string).collect();
        let gone = if stack.dir_exists { "" } else { " (gone)" };
        table.row(vec![
            Cell::new(tone, symbol),
            Cell::new(Tone::Strong, stack.stack.as_str()),
            Cell::new(tone, stack.word()),
            format!("{}/{}", stack.ready, stack.wanted).into(),
            stack.processes.to_string().into(),
            ports.join(" ").into(),
            format!("{}{gone}", stack.dir).into(),
        ]);
    }
    let left = stacks.iter().filter(|stack| !stack.dir_exists && stack.word() != "stopped");
    let remedies = left.map(|stack| {
        let dir = text::shell_path(&stack.dir, None);
        paint.tone(Tone::Dim, &format!("its directory is gone: devstack down -f {dir}")) + "\n"
    });
    table.render(paint) + &remedies.collect::<String>()
}
