//! The two marks that a process of a stack inherits: variables in its environment, and a named memfd.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use regex::bytes::Regex;

use crate::cage::{ENV_LIFE, ENV_STACK_ID};
use crate::domain::Mark;
use crate::sys::proc::{self, RunState, Stat};

/// How the name of each marking memfd begins.
const MEMFD: &str = "devstack:";

/// The descriptor of the marking memfd, where the limit on descriptors allows it. Looking at one is ten times cheaper
/// than listing all, and every process of the user is looked at.
pub const MARK_DESCRIPTOR: i32 = 999;

/// The name of the memfd that marks a life's processes: `devstack:STACK_ID:LIFE`.
#[must_use]
pub fn memfd_name(stack: &Mark, life: &Mark) -> String {
    format!("{MEMFD}{}:{}", stack.as_str(), life.as_str())
}

/// Only what was born just now is waited for when it has neither environment nor arguments.
const YOUNG: Duration = Duration::from_secs(2);
/// How long it is waited for.
const CHANGE: Duration = Duration::from_millis(20);

/// What marks a process carries. What may not be read is missing here: unknown, not foreign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The life in its environment.
    life: Option<Mark>,
    /// The stack in its environment.
    stack: Option<Mark>,
    /// Stacks and lives in the names of its memfds.
    held: Vec<Mark>,
}

/// Whose a process is by its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// It carries none that could be read.
    Unmarked,
    /// It carries one of ours.
    Ours,
    /// It carries marks, and they are another's.
    Another,
}

impl Marks {
    pub(super) fn read(stat: &Stat) -> Self {
        let environ = environ_of(stat).filter(|environ| mentions_a_mark(environ)).unwrap_or_default();
        let told = Self::parse(&environ, &[]);
        if told.told().next().is_some() {
            // The descriptor would not count any more.
            return told;
        }
        // A low limit moves the mark to another number; a dead first thread shows no descriptors of its own.
        let anywhere = proc::descriptor_limit() <= 999 || stat.state == RunState::Zombie;
        let held = if anywhere {
            proc::memfds(stat.pid, MEMFD).unwrap_or_default()
        } else {
            proc::memfd_at(stat.pid, MARK_DESCRIPTOR, MEMFD).into_iter().collect()
        };
        Self::parse(&[], &held)
    }

    pub(super) fn parse(environ: &[u8], held: &[String]) -> Self {
        let variable = |name: &str| Mark::parse(std::str::from_utf8(proc::variable(environ, name)?).ok()?);
        let held = held.iter().filter_map(|name| name.strip_prefix(MEMFD));
        Self {
            life: variable(ENV_LIFE),
            stack: variable(ENV_STACK_ID),
            held: held.flat_map(|tokens| tokens.split(':')).filter_map(Mark::parse).collect(),
        }
    }

    /// All marks, the environment's first: it is what the last program was started with.
    ///
    /// A stack started from within another inherits that one's memfd, but its environment tells the truth: then the
    /// descriptor does not count.
    pub(super) fn told(&self) -> impl Iterator<Item = &Mark> {
        let silent = self.life.is_none() && self.stack.is_none();
        self.life.iter().chain(&self.stack).chain(self.held.iter().filter(move |_| silent))
    }

    /// Whose it is, where `ours` knows the marks of the stack that asks.
    pub(super) fn belongs(&self, ours: impl Fn(&Mark) -> bool) -> Belongs {
        // A life of ours is proof enough: the stack's own secret may have been lost with a damaged state.
        if self.life.as_ref().is_some_and(&ours) {
            return Belongs::Ours;
        }
        if let Some(stack) = &self.stack {
            return if ours(stack) { Belongs::Ours } else { Belongs::Another };
        }
        if self.told().any(ours) {
            Belongs::Ours
        } else if self.told().next().is_none() {
            Belongs::Unmarked
        } else {
            Belongs::Another
        }
    }
}

/// The environment of a process, waited for where it is just becoming another program.
///
/// For a moment of `execve` a process has neither environment nor arguments: whoever looks then sees no mark. That one
/// moment is enough for an orphan of a fork storm to slip away, and on a busy machine it can last a turn of the
/// scheduler. A program that was really given no environment has arguments.
fn environ_of(stat: &Stat) -> Option<Vec<u8>> {
    let begun = Instant::now();
    loop {
        let environ = proc::environ(stat.pid)?;
        let changing = environ.is_empty() && proc::age(stat.start) < YOUNG && proc::argv(stat.pid).is_empty();
        if !changing || begun.elapsed() > CHANGE || !stat.id().is_some_and(proc::is_alive) {
            return Some(environ);
        }
        std::thread::yield_now();
    }
}

/// A quick search: most environments are long and have nothing of ours.
fn mentions_a_mark(environ: &[u8]) -> bool {
    static MARKED: OnceLock<Option<Regex>> = OnceLock::new();
    let marked = MARKED.get_or_init(|| Regex::new("DEVSTACK_").ok());
    marked.as_ref().is_none_or(|marked| marked.is_match(environ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(byte: u8) -> Mark {
        Mark::from_random([byte; 16])
    }

    #[test]
    fn only_whole_marks_under_whole_names_count() {
        let (life, stack) = (mark(1), mark(2));
        let environ = format!("A=1\0DEVSTACK_LIFE={}\0DEVSTACK_STACK_ID={}\0", life.as_str(), stack.as_str());
        let marks = Marks::parse(environ.as_bytes(), &[]);
        assert_eq!(marks.told().collect::<Vec<_>>(), [&life, &stack]);
        let half = format!("DEVSTACK_LIFE={}\0XDEVSTACK_LIFE={}\0", &life.as_str()[1..], life.as_str());
        assert_eq!(Marks::parse(half.as_bytes(), &[]), Marks::default());
        let held = Marks::parse(b"", &[memfd_name(&stack, &life), "devstack:shop:12".to_owned()]);
        assert_eq!(held.told().collect::<Vec<_>>(), [&stack, &life]);
    }

    #[test]
    fn the_environment_decides_over_an_inherited_descriptor() {
        let (outer, inner) = (mark(1), mark(2));
        let environ = format!("DEVSTACK_STACK_ID={}\0", inner.as_str());
        let nested = Marks::parse(environ.as_bytes(), &[memfd_name(&outer, &mark(3))]);
        assert_eq!(nested.belongs(|one| *one == outer), Belongs::Another);
        assert_eq!(nested.belongs(|one| *one == inner), Belongs::Ours);
        assert!(nested.told().all(|one| *one != outer));
        assert_eq!(Marks::default().belongs(|_| true), Belongs::Unmarked);
        let held = Marks::parse(b"", &[memfd_name(&outer, &mark(3))]);
        assert_eq!(held.belongs(|one| *one == outer), Belongs::Ours);
        assert_eq!(held.belongs(|one| *one == inner), Belongs::Another);
    }
}
