//! A problem of the manifest with its place, and the collector that gathers all of them.

use super::Code;

/// A place in the manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
}

/// Another place that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there.
    pub text: String,
}

/// One thing that is wrong, with its evidence and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its stable code.
    pub code: Code,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// Where; none where the fault is in no place of the manifest (a `.env` beside it).
    pub span: Option<Span>,
    /// A few words at the caret.
    pub note: Option<String>,
    /// Other places that belong to it.
    pub labels: Vec<Label>,
    /// What to try.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub(crate) fn at(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), span: Some(span), note: None, labels: Vec::new(), hint: None }
    }

    /// A problem that is in no place of the manifest.
    pub(crate) fn nowhere(code: Code, message: impl Into<String>) -> Self {
        Self { span: None, ..Self::at(code, Span::default(), message) }
    }

    /// With what to try.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a hint, where there is one.
    #[must_use]
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// With a few words at the caret.
    #[must_use]
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// With another place.
    #[must_use]
    pub(crate) fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }
}

/// Most problems that are kept: a hostile file must not turn into gigabytes of reports.
pub(crate) const MOST_KEPT: usize = 10_000;
/// For so many problems the nearest name is sought: it is the one part of a report that costs time.
const MOST_HINTS: usize = 60;

/// Gathers problems; those beyond [`MOST_KEPT`] are dropped.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.list.len() < MOST_KEPT {
            self.list.push(problem);
        }
    }

    /// Whether a report made now is likely to be read: only then is it worth seeking the nearest name.
    pub(crate) fn worth_a_hint(&self) -> bool {
        self.list.len() < MOST_HINTS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// All of them in the order of the file, each once.
    pub(crate) fn into_sorted(self) -> Vec<Problem> {
        in_order(self.list)
    }
}

/// Problems in the order of the file, each once (an alias can make one place wrong twice): to join those of
/// [`super::parse_lenient`] with those of `plan::resolve`.
#[must_use]
pub fn in_order(mut list: Vec<Problem>) -> Vec<Problem> {
    list.sort_by(|a, b| (a.span, a.code, &a.message).cmp(&(b.span, b.code, &b.message)));
    list.dedup_by(|a, b| a.span == b.span && a.code == b.code && a.message == b.message);
    list
}
