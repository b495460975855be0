//! The one door for printing: what the surroundings allow is read here once, and all output leaves here. Whatever a name
//! brought along that would act on a terminal stays inside.

use std::io::{self, IsTerminal as _, Write as _};

use super::paint::{ColorChoice, Paint, Surroundings, Tone};
use super::text::tame;

/// Standard output for answers, standard error for progress and errors.
#[derive(Clone, Debug)]
pub struct Door {
    /// How text may look on standard output.
    pub out: Paint,
    /// How text may look on standard error.
    pub err: Paint,
}

impl Door {
    /// Looks at both streams and the environment.
    #[must_use]
    pub fn open(choice: ColorChoice) -> Self {
        let var = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| var(name).filter(|v| !v.is_empty()));
        let around = |terminal, term: &console::Term| Surroundings {
            terminal,
            columns: term
                .size_checked()
                .map(|(_, columns)| usize::from(columns))
                .filter(|columns| *columns > 0),
            lines: term.size_checked().map(|(lines, _)| usize::from(lines)).filter(|lines| *lines > 0),
            no_color: var("NO_COLOR"),
            clicolor_force: var("CLICOLOR_FORCE"),
            clicolor: var("CLICOLOR"),
            term: var("TERM"),
            locale: locale.clone(),
            home: var("HOME"),
        };
        Self {
            out: Paint::decide(choice, &around(io::stdout().is_terminal(), &console::Term::stdout())),
            err: Paint::decide(choice, &around(io::stderr().is_terminal(), &console::Term::stderr())),
        }
    }

    /// Prints an answer. A reader that has gone away (`| head -1`) is no error: the work is done all the same.
    pub fn answer(&self, text: &str) -> io::Result<()> {
        self.stream(text).map(|_| ())
    }

    /// Prints a part of an endless answer; `false` when nobody reads any more.
    pub fn stream(&self, text: &str) -> io::Result<bool> {
        let mut out = io::stdout().lock();
        match out.write_all(tame(text).as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Prints what is wrong beside what was asked for.
    pub fn warn(&self, warnings: &[String]) {
        for warning in warnings {
            let word = self.err.tone(Tone::Warn, "warning");
            self.say(&format!("{word}: {}\n", self.err.clean(warning)));
        }
    }

    /// Prints progress or an error. Where standard error is gone there is nobody left to tell.
    pub fn say(&self, text: &str) {
        let mut err = io::stderr().lock();
        let told = err.write_all(tame(text).as_bytes()).and_then(|()| err.flush());
        drop(told);
    }
}
