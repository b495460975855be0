//! Why a service is in the state that it is in: a chain of causes in plain words, from its view and the journal.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::story::{Broken, Chapter, Signalled, Story, Wish};
use super::words::{answer_words, breach_words};
use crate::domain::{Exit, Signal, State, UnitName, UnitView, WallTime, Why, format_duration};
use crate::plan::{Plan, UnitPlan};
use crate::show::error::short;
use crate::show::text;
use crate::store::{Line, Outcome};

/// So many last lines of a log are told.
const TAIL: usize = 3;

/// What is known of a stack.
pub struct Known<'a> {
    /// Its units as they are.
    pub views: &'a [UnitView],
    /// Its plan.
    pub plan: Option<&'a Plan>,
    /// Its journal, or all of it that speaks of these units and of requests.
    pub lines: &'a [Line],
    /// How a time is told.
    pub clock: &'a dyn Fn(WallTime) -> String,
}

/// Why one unit is in its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Because {
    /// The unit.
    pub service: UnitName,
    /// Its state.
    pub state: &'static str,
    /// The causes, the nearest first.
    pub reasons: Vec<String>,
}

impl fmt::Display for Because {
    /// `api is stopped: devstack down (dev, pid 4211) asked to stop it at 14:02:11; SIGTERM → exit 143 in 0.1s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, state, reasons } = self;
        write!(f, "{service} is {state}")?;
        if reasons.is_empty() { Ok(()) } else { write!(f, ": {}", reasons.join("; ")) }
    }
}

/// Why this unit is in its state, and why those are that it waits for.
#[must_use]
pub fn why(unit: &UnitName, known: &Known) -> Vec<Because> {
    let mut told: Vec<Because> = Vec::new();
    let mut next = Some(unit.clone());
    while let Some(name) = next.filter(|name| told.iter().all(|because| because.service != *name)) {
        let view = known.views.iter().find(|view| view.name == name);
        let reasons = view.map_or_else(|| known.gone(&name), |view| known.reasons(view));
        let state = view.map_or("gone", |view| view.state.word());
        told.push(Because { service: name, state, reasons });
        next = view.and_then(|view| known.holds_up(view));
    }
    told
}

impl Known<'_> {
    fn reasons(&self, view: &UnitView) -> Vec<String> {
        let story = Story::of(&view.name, self.lines);
        let mut reasons = match view.state {
            State::Stopped => self.stopped(view, &story),
            State::Completed => self.ended(&story),
            State::Failed => self.failed(view, &story),
            State::Queued => self.queued(view, &story),
            State::Starting => self.starting(view, &story),
            State::Ready => self.ready(view, &story),
            State::Unhealthy => {
                let note = view.note.iter().cloned();
                self.bad(&story.now).into_iter().chain(note).take(1).chain(self.ready(view, &story)).collect()
            }
            State::Backoff => self.backoff(view, &story),
            State::Stopping => {
                let note = view.note.iter().cloned();
                self.being_ended(&story).into_iter().chain(note).collect()
            }
        };
        if reasons.is_empty() {
            reasons.extend(view.note.clone());
        }
        reasons
    }

    /// Of a job that is over, or a service that the manifest has no more.
    fn gone(&self, name: &UnitName) -> Vec<String> {
        let story = Story::of(name, self.lines);
        self.broken(&story.now).into_iter().chain(self.ended(&story)).collect()
    }

    /// The unit that this one waits for, or that took it down with it.
    fn holds_up(&self, view: &UnitView) -> Option<UnitName> {
        if !matches!(view.state, State::Queued | State::Failed) {
            return None;
        }
        let needs = view.note.as_ref()?.strip_prefix("needs ")?;
        self.views.iter().map(|view| &view.name).find(|name| name.as_str() == needs).cloned()
    }

    fn stopped(&self, view: &UnitView, story: &Story) -> Vec<String> {
        if story.now.started.is_none() && story.now.exit.is_none() {
            return match story.asked {
                Some((at, by, Wish::Up)) => {
                    vec![self.asked(at, by, "for it"), "it was not started".to_owned()]
                }
                Some((at, by, Wish::Down)) => vec![self.asked(at, by, "to stop it")],
                None if view.life.0 == 0 => vec!["it was never asked for".to_owned()],
                None => vec!["the journal does not reach back to its end".to_owned()],
            };
        }
        self.ended(story)
    }

    /// How a life has ended: whom it was ended by, or by itself.
    fn ended(&self, story: &Story) -> Vec<String> {
        let chapter = &story.now;
        // What was signalled only after the leader's own end did not end it.
        let by_itself = chapter.exit.as_ref().filter(|(at, ..)| {
            chapter.signalled.is_none_or(|first| first.why == Why::LeftBehind || first.at > *at)
        });
        if let Some((at, exit, _)) = by_itself {
            return vec![format!("it ended by itself with {exit} at {}", (self.clock)(*at))];
        }
        self.being_ended(story).into_iter().chain(fate(chapter)).collect()
    }

    fn being_ended(&self, story: &Story) -> Vec<String> {
        let Some(Signalled { at, by, why, .. }) = story.now.signalled else {
            return match story.asked {
                Some((at, by, Wish::Down)) => vec![self.asked(at, by, "to stop it")],
                Some((_, _, Wish::Up)) | None => Vec::new(),
            };
        };
        let broken = self.broken(&story.now);
        if why == Why::Breach && !broken.is_empty() {
            return broken;
        }
        match (why.words(), why) {
            (Some(words), Why::Request | Why::Recreate | Why::Rollback) => vec![self.asked(at, by, words)],
            (Some(words), _) => vec![format!("{words} at {}", (self.clock)(at))],
            (None, _) => vec![self.asked(at, by, "to stop it")],
        }
    }

    fn failed(&self, view: &UnitView, story: &Story) -> Vec<String> {
        if let Some((at, why)) = story.now.not_started {
            return vec![format!("it could not be started at {}: {}", (self.clock)(at), short(why))];
        }
        let note = view.note.clone().unwrap_or_default();
        if note.starts_with("needs ") {
            return vec![note];
        }
        let mut reasons = vec![note];
        let plan = self.plan_of(&view.name);
        let Some((at, _, tail)) = story.now.exit else { return reasons };
        if let Some(first) = reasons.first_mut() {
            *first = format!("{first} at {}", (self.clock)(at));
        }
        let last: Vec<&str> = tail.iter().rev().take(TAIL).rev().map(String::as_str).collect();
        if !last.is_empty() {
            reasons.push(format!("its last words: {}", last.join(" ⏎ ")));
        }
        if !story.now.was_ready(plan) {
            reasons.extend(self.needs(plan));
        }
        reasons
    }

    /// That it is no fault of what it depends on, or that it is.
    fn needs(&self, plan: Option<&UnitPlan>) -> Vec<String> {
        let needs = plan.into_iter().flat_map(|plan| &plan.depends_on);
        let views = needs.filter_map(|need| self.views.iter().find(|view| view.name == need.unit));
        views.map(|view| format!("its dependency {} is {}", view.name, view.state.word())).collect()
    }

    fn queued(&self, view: &UnitView, story: &Story) -> Vec<String> {
        let asked = story.asked.map(|(at, by, _)| self.asked(at, by, "for it"));
        view.note.iter().cloned().chain(asked).collect()
    }

    fn starting(&self, view: &UnitView, story: &Story) -> Vec<String> {
        let gate = view.note.as_ref().map(|note| format!("its gate does not hold yet ({note})"));
        gate.into_iter().chain(self.began(story)).collect()
    }

    fn ready(&self, view: &UnitView, story: &Story) -> Vec<String> {
        let after = view.ready_ms.map(|ms| format!("ready after {}", span(ms)));
        let broken = self.broken(&story.now);
        let before = self.restarted(view, story).into_iter().chain(broken);
        before.chain(self.began(story)).chain(after).collect()
    }

    /// What a life took too much of, and what was done for it.
    fn broken(&self, chapter: &Chapter) -> Vec<String> {
        let killed =
            chapter.out_of_memory.map(|(at, what)| format!("{} at {}", what.of_some(), (self.clock)(at)));
        let broken = chapter.broken.map(|(count, Broken { at, breach, ended, refused, .. })| {
            let often = if count > 1 { format!("{count} times, at last ") } else { String::new() };
            format!("{often}{} at {}", breach_words(breach, ended, refused), (self.clock)(at))
        });
        killed.into_iter().chain(broken).collect()
    }

    fn backoff(&self, view: &UnitView, story: &Story) -> Vec<String> {
        let count = text::count(story.deaths, "exit", "exits");
        let last = story.now.exit.map(|(at, exit, tail)| {
            // Whatever it said, its engine's word is the reason.
            let last = tail.last().filter(|_| story.now.trouble.is_none());
            let word = last.map_or_else(String::new, |line| format!(", its last words: {line}"));
            let end = story.now.end(exit);
            format!("after {count} (last: {end} at {}{word})", (self.clock)(at))
        });
        let next = view.note.as_ref().and_then(|note| note.rsplit("; ").next().map(str::to_owned));
        last.into_iter().chain(self.broken(&story.now)).chain(next).collect()
    }

    /// Who asked for it, and when its life began.
    fn began(&self, story: &Story) -> Vec<String> {
        let asked = story.asked.filter(|asked| asked.2 == Wish::Up);
        let asked = asked.map(|(at, by, _)| self.asked(at, by, "for it"));
        let began = story.now.started.map(|(at, life, pid)| {
            let word = if story.now.adopted { "taken over" } else { "started" };
            format!("{word} at {} (pid {pid}, life {life})", (self.clock)(at))
        });
        asked.into_iter().chain(began).collect()
    }

    /// Why the life before the present one ended, where nobody asked for that.
    fn restarted(&self, view: &UnitView, story: &Story) -> Vec<String> {
        let Some(before) = story.before.as_ref().filter(|_| view.restarts > 0) else { return Vec::new() };
        let broken = self.broken(before);
        let mut reasons = match (before.signalled, self.bad(before)) {
            (None | Some(Signalled { why: Why::Breach, .. }), _) if !broken.is_empty() => broken,
            (Some(Signalled { why: Why::Unhealthy, .. }), Some(bad)) => vec![bad],
            (Some(Signalled { why, at, .. }), _) if !matches!(why, Why::LeftBehind | Why::Unknown) => {
                vec![format!("{} at {}", why.words().unwrap_or_default(), (self.clock)(at))]
            }
            _ => Vec::new(),
        };
        reasons.extend(match before.exit {
            Some((at, exit, _)) if reasons.is_empty() => {
                let end = before.trouble.map_or_else(|| format!("it ended with {exit}"), ToString::to_string);
                vec![format!("{end} at {}", (self.clock)(at))]
            }
            _ => fate(before),
        });
        if let Some(first) = reasons.first_mut() {
            let times =
                if view.restarts == 1 { String::new() } else { format!(" {} times, at last", view.restarts) };
            *first = format!("it was restarted{times}: {first}");
        }
        reasons
    }

    /// The health checks that failed.
    fn bad(&self, chapter: &Chapter) -> Option<String> {
        let (count, since, answer) = chapter.bad?;
        let (_, answer) = answer_words(answer);
        Some(format!("health check {answer}, {count} times since {}", (self.clock)(since)))
    }

    fn asked(&self, at: WallTime, by: Option<&crate::domain::Asker>, what: &str) -> String {
        let by = by.map_or_else(|| "somebody".to_owned(), ToString::to_string);
        format!("{by} asked {what} at {}", (self.clock)(at))
    }

    fn plan_of(&self, name: &UnitName) -> Option<&UnitPlan> {
        self.plan.into_iter().flat_map(|plan| &plan.units).find(|unit| unit.name == *name)
    }
}

/// `SIGTERM → exit 143 in 0.1s`, and how many had to be forced.
fn fate(chapter: &Chapter) -> Vec<String> {
    let pid = chapter.started.map(|(_, _, pid)| pid);
    let Some(Outcome { ends, .. }) = chapter.outcome else { return Vec::new() };
    let leader = ends.iter().find(|end| Some(end.process.pid.get()) == pid);
    let forced = ends.iter().filter(|end| end.forced).count();
    let exit =
        leader.and_then(|end| end.exit).or(chapter.exit.map(|(_, exit, _)| exit)).unwrap_or(Exit::Unknown);
    let signal = leader.map(|end| end.signal).or(chapter.signalled.map(|first| first.signal));
    let took = ends.iter().map(|end| end.after_ms).max().unwrap_or(0);
    let first = signal.map(|signal| format!("{signal} → {exit} in {}", span(took)));
    let by_force = (forced > 0 && signal != Some(Signal::KILL)).then(|| {
        format!("{} of {} had to be forced", forced, text::count(ends.len(), "process", "processes"))
    });
    first.into_iter().chain(by_force).collect()
}

fn span(millis: u64) -> String {
    format_duration(Duration::from_millis(millis))
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
