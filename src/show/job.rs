//! What a job came to, in one line.

use super::paint::{Paint, Tone};
use super::text;
use crate::domain::Exit;

/// So many of what was left behind are named.
const NAMED: usize = 3;

/// What a job came to.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// Its name.
    pub name: &'a str,
    /// How its command ended.
    pub exit: Exit,
    /// Why it was ended, where it did not end by itself.
    pub why: Option<String>,
    /// How long it ran, in milliseconds.
    pub took_ms: u64,
    /// The most memory, in bytes.
    pub memory: u64,
    /// It is only known that it was no more than that.
    pub at_most: bool,
    /// The most processes that were seen at once; none where nobody has looked.
    pub processes: Option<usize>,
    /// What it left behind: number, command line, and whether it lives on.
    pub left: &'a [(i32, String, bool)],
    /// Which limits it broke, and what followed; each a line of its own.
    pub broken: Vec<String>,
}

/// What it broke of its limits, then how it ended:
/// `✓ npm test  exit 0 in 12.3s · peak 1.2G · 43 processes · 1 left behind, ended: esbuild 4312`.
#[must_use]
pub fn line(paint: &Paint, job: &Job<'_>) -> String {
    let (mark, tone) =
        if job.exit.is_success() { (paint.marks().good, Tone::Good) } else { (paint.marks().bad, Tone::Bad) };
    let why = job.why.as_ref().map(|why| format!("{why} → ")).unwrap_or_default();
    let mut parts = vec![format!("{why}{} in {}", job.exit, text::span(job.took_ms))];
    let under = if job.at_most { "under " } else { "" };
    parts.push(format!("peak {under}{}", text::bytes(job.memory)));
    parts.extend(job.processes.map(|count| text::count(count, "process", "processes")));
    let (alive, ended): (Vec<_>, Vec<_>) = job.left.iter().partition(|(_, _, survives)| *survives);
    for (which, what) in [(ended, "left behind, ended"), (alive, "could not be ended")] {
        if !which.is_empty() {
            parts.push(format!("{} {what}: {}", which.len(), names(paint, &which)));
        }
    }
    let dot = format!(" {} ", paint.marks().dot);
    let name = paint.tone(Tone::Strong, &paint.clean(job.name));
    let warn = paint.tone(Tone::Warn, paint.marks().warn);
    let broken = job.broken.iter().map(|text| format!("{warn} {name}  {}\n", paint.clean(text)));
    broken.chain([format!("{} {name}  {}\n", paint.tone(tone, mark), parts.join(&dot))]).collect()
}

/// What is said before the job of a killed `devstack run` is cleared away.
#[must_use]
pub fn left_by_killed(job: &str, processes: usize) -> String {
    let what = match processes {
        1 => "its process is ended".to_owned(),
        more => format!("its {more} processes are ended"),
    };
    format!("{job}: its `devstack run` was killed; {what}\n")
}

fn names(paint: &Paint, which: &[&(i32, String, bool)]) -> String {
    let one =
        |(pid, command, _): &&(i32, String, bool)| format!("{} {pid}", paint.clean(&text::program(command)));
    let mut names: Vec<String> = which.iter().take(NAMED).map(one).collect();
    if which.len() > NAMED {
        names.push(paint.marks().ellipsis.to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_job_is_told_in_one_line() {
        let left = [
            (4312, "/x/esbuild --service".to_owned(), false),
            (4313, "node /x/vite.js".to_owned(), false),
            (9, "sudo".to_owned(), true),
        ];
        let job = Job {
            name: "npm test",
            exit: Exit::Code(0),
            why: None,
            took_ms: 12_300,
            memory: 3 << 29,
            at_most: false,
            processes: Some(43),
            left: &left,
            broken: Vec::new(),
        };
        assert_eq!(
            line(&Paint::plain(), &job),
            "✓ npm test  exit 0 in 12.3s · peak 1.5G · 43 processes · 2 left behind, ended: esbuild 4312, vite 4313 \
             · 1 could not be ended: sudo 9\n"
        );
        let why = Some("time limit of 1s".to_owned());
        let broken = vec!["over its limit of processes: 31 of 10: ended".to_owned()];
        let job = Job { exit: Exit::Code(1), why, processes: Some(1), left: &[], broken, ..job };
        assert_eq!(
            line(&Paint::plain(), &job),
            "! npm test  over its limit of processes: 31 of 10: ended\n\
             ✗ npm test  time limit of 1s → exit 1 in 12.3s · peak 1.5G · 1 process\n"
        );
        let job =
            Job { exit: Exit::Code(0), why: None, broken: vec![], at_most: true, processes: None, ..job };
        assert_eq!(line(&Paint::plain(), &job), "✓ npm test  exit 0 in 12.3s · peak under 1.5G\n");
    }

    #[test]
    fn one_process_is_and_two_are() {
        let said = |count| left_by_killed("job a", count);
        assert_eq!(said(1), "job a: its `devstack run` was killed; its process is ended\n");
        assert_eq!(said(2), "job a: its `devstack run` was killed; its 2 processes are ended\n");
    }
}
