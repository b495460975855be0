//! How text may look on one stream: colours, symbols, width and the home directory, decided once.

use owo_colors::{OwoColorize as _, Style};

use super::text;
use crate::domain::{Health, State};

/// What `--color` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// As the terminal and the environment say.
    #[default]
    Auto,
    /// Colours everywhere.
    Always,
    /// No colours.
    Never,
}

/// What was found around one output stream; plain data, so that the decision can be tested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The stream is a terminal.
    pub terminal: bool,
    /// Columns of the terminal.
    pub columns: Option<usize>,
    /// Lines of the terminal.
    pub lines: Option<usize>,
    /// `NO_COLOR`.
    pub no_color: Option<String>,
    /// `CLICOLOR_FORCE`.
    pub clicolor_force: Option<String>,
    /// `CLICOLOR`.
    pub clicolor: Option<String>,
    /// `TERM`.
    pub term: Option<String>,
    /// The locale for characters: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set and not empty.
    pub locale: Option<String>,
    /// `HOME`.
    pub home: Option<String>,
}

/// What a piece of text means; the colour follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Less important.
    Dim,
    /// A heading or a name.
    Strong,
}

/// The typographic marks of a stream: Unicode, or ASCII where the locale has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is named after its mark")]
pub struct Marks {
    pub good: &'static str,
    pub bad: &'static str,
    pub warn: &'static str,
    pub busy: &'static str,
    pub idle: &'static str,
    pub again: &'static str,
    pub halt: &'static str,
    pub arrow: &'static str,
    pub dot: &'static str,
    pub ellipsis: &'static str,
    pub branch: &'static str,
    pub last: &'static str,
    pub pipe: &'static str,
    pub spinner: &'static [&'static str],
}

const UNICODE: Marks = Marks {
    good: "✓",
    bad: "✗",
    warn: "!",
    busy: "◐",
    idle: "·",
    again: "↻",
    halt: "■",
    arrow: "→",
    dot: "·",
    ellipsis: "…",
    branch: "├─ ",
    last: "└─ ",
    pipe: "│  ",
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
};

const ASCII: Marks = Marks {
    good: "+",
    bad: "x",
    warn: "!",
    busy: "*",
    idle: ".",
    again: "~",
    halt: "#",
    arrow: "->",
    dot: "|",
    ellipsis: "...",
    branch: "|- ",
    last: "`- ",
    pipe: "|  ",
    spinner: &["|", "/", "-", "\\"],
};

/// How text may look on one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paint {
    color: bool,
    unicode: bool,
    width: Option<usize>,
    lines: Option<usize>,
    home: Option<String>,
}

impl Paint {
    /// Decides from what was asked for and what was found.
    ///
    /// `--color` wins, then `NO_COLOR`, then `CLICOLOR_FORCE`, then `CLICOLOR=0`, then the terminal. A locale that is set
    /// and not UTF-8 means ASCII; where none is set at all (containers, services) UTF-8 is assumed, as systemd does.
    #[must_use]
    pub fn decide(choice: ColorChoice, around: &Surroundings) -> Self {
        let set = |value: &Option<String>| value.as_deref().is_some_and(|v| !v.is_empty());
        let forced = set(&around.clicolor_force) && around.clicolor_force.as_deref() != Some("0");
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if set(&around.no_color) => false,
            ColorChoice::Auto if forced => true,
            ColorChoice::Auto if around.clicolor.as_deref() == Some("0") => false,
            ColorChoice::Auto => around.terminal && around.term.as_deref() != Some("dumb"),
        };
        let unicode = around.locale.as_deref().is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let home = around.home.clone().filter(|home| home.len() > 1 && home.starts_with('/'));
        Self {
            color,
            unicode,
            width: around.columns.filter(|_| around.terminal),
            lines: around.lines.filter(|_| around.terminal),
            home: home.map(|home| home.trim_end_matches('/').to_owned()),
        }
    }

    /// No colours, Unicode, any width: what a file or a pipe gets.
    #[must_use]
    pub fn plain() -> Self {
        Self { color: false, unicode: true, width: None, lines: None, home: None }
    }

    /// The same with colours.
    #[must_use]
    pub fn with_color(mut self) -> Self {
        self.color = true;
        self
    }

    /// The same with ASCII marks only.
    #[must_use]
    pub fn with_ascii(mut self) -> Self {
        self.unicode = false;
        self
    }

    /// The same, cut at so many columns.
    #[must_use]
    pub fn with_width(mut self, columns: usize) -> Self {
        self.width = Some(columns);
        self
    }

    /// The same, with so many lines on the terminal.
    #[must_use]
    pub fn with_lines(mut self, lines: usize) -> Self {
        self.lines = Some(lines);
        self
    }

    /// The same with this home directory shown as `~`.
    #[must_use]
    pub fn with_home(mut self, home: &str) -> Self {
        self.home = Some(home.to_owned());
        self
    }

    /// Columns to keep to: only where a person looks at a terminal.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Lines of the terminal.
    #[must_use]
    pub fn lines(&self) -> Option<usize> {
        self.lines
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> Option<&str> {
        self.home.as_deref()
    }

    /// The typographic marks of this stream.
    #[must_use]
    pub fn marks(&self) -> &'static Marks {
        if self.unicode { &UNICODE } else { &ASCII }
    }

    /// Whether the stream shows colours.
    #[must_use]
    pub fn colours(&self) -> bool {
        self.color
    }

    /// The text in the colour of its meaning. It must be clean already: see [`Paint::clean`].
    #[must_use]
    pub fn tone(&self, tone: Tone, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => Style::new().green(),
            Tone::Warn => Style::new().yellow(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        };
        text.style(style).to_string()
    }

    /// Text of any origin made safe for a line: control characters and escape sequences become visible, the home
    /// directory becomes `~`, and our own marks become ASCII where the stream has no more.
    #[must_use]
    pub fn clean(&self, raw: &str) -> String {
        let safe = text::escape(raw);
        let safe = match &self.home {
            Some(home) => text::shorten_home(&safe, home),
            None => safe,
        };
        if self.unicode { safe } else { text::to_ascii_marks(&safe) }
    }

    /// The symbol of a state and what it means.
    #[must_use]
    pub fn state(&self, state: State) -> (&'static str, Tone) {
        let marks = self.marks();
        match state {
            State::Queued => (marks.idle, Tone::Dim),
            State::Starting => (marks.busy, Tone::Warn),
            State::Ready | State::Completed => (marks.good, Tone::Good),
            State::Unhealthy => (marks.warn, Tone::Bad),
            State::Backoff => (marks.again, Tone::Warn),
            State::Stopping => (marks.halt, Tone::Warn),
            State::Stopped => (marks.halt, Tone::Dim),
            State::Failed => (marks.bad, Tone::Bad),
        }
    }
}

/// The word for a unit's state where people look: `healthy` says more than `ready` where there is a health check.
#[must_use]
pub fn state_word(state: State, health: Health, waits: bool) -> &'static str {
    match state {
        State::Ready if health == Health::Healthy => "healthy",
        State::Starting if waits => "waiting",
        State::Queued
        | State::Starting
        | State::Ready
        | State::Unhealthy
        | State::Backoff
        | State::Stopping
        | State::Stopped
        | State::Completed
        | State::Failed => state.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(change: impl FnOnce(&mut Surroundings)) -> Surroundings {
        let mut around = Surroundings { terminal: true, columns: Some(80), ..Surroundings::default() };
        change(&mut around);
        around
    }

    fn color(choice: ColorChoice, around: &Surroundings) -> bool {
        Paint::decide(choice, around).tone(Tone::Bad, "x") != "x"
    }

    #[test]
    fn colours_follow_the_option_then_the_environment_then_the_terminal() {
        let auto = ColorChoice::Auto;
        let some = |text: &str| Some(text.to_owned());
        assert!(color(auto, &around(|_| ())));
        assert!(!color(auto, &around(|a| a.terminal = false)));
        assert!(!color(auto, &around(|a| a.term = some("dumb"))));
        assert!(!color(auto, &around(|a| a.no_color = some("1"))));
        assert!(color(auto, &around(|a| a.no_color = some(""))));
        assert!(!color(auto, &around(|a| a.clicolor = some("0"))));
        let piped = around(|a| {
            a.terminal = false;
            a.clicolor_force = some("1");
        });
        assert!(color(auto, &piped));
        assert!(!color(auto, &Surroundings { clicolor_force: some("0"), ..piped.clone() }));
        assert!(!color(auto, &Surroundings { no_color: some("1"), ..piped.clone() }));
        assert!(color(ColorChoice::Always, &around(|a| a.no_color = some("1"))));
        assert!(!color(ColorChoice::Never, &piped));
    }

    #[test]
    fn marks_follow_the_locale() {
        let mark = |locale: Option<&str>| {
            let around = around(|a| a.locale = locale.map(str::to_owned));
            Paint::decide(ColorChoice::Auto, &around).marks().good
        };
        assert_eq!(mark(Some("en_GB.UTF-8")), "✓");
        assert_eq!(mark(Some("C.utf8")), "✓");
        assert_eq!(mark(None), "✓");
        assert_eq!(mark(Some("C")), "+");
        assert_eq!(mark(Some("de_DE.ISO-8859-1")), "+");
    }

    #[test]
    fn only_a_terminal_has_a_width() {
        let width = |terminal| Paint::decide(ColorChoice::Auto, &around(|a| a.terminal = terminal)).width();
        assert_eq!(width(true), Some(80));
        assert_eq!(width(false), None);
    }
}
