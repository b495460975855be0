//! YAML as a small tree in which every value has its place; aliases share what they name.

use std::sync::Arc;

use super::{Span, Text};

/// One value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its first line (never more, so that a caret stays readable).
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Text as written: `no`, `5` and `true` are texts too, so nothing is ever guessed.
    Scalar {
        value: Arc<str>,
        verbatim: Option<u32>,
    },
    List(Arc<[Node]>),
    Map(Arc<[Entry]>),
    /// Reported already; whoever reads it keeps silent.
    Bad,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Text,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn new(span: Span, kind: Kind) -> Self {
        Self { span, kind }
    }

    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<Text> {
        match &self.kind {
            Kind::Scalar { value, verbatim } => {
                Some(Text { value: Arc::clone(value), span: self.span, verbatim: *verbatim })
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) | Kind::Bad => None,
        }
    }

    /// What it is, in a message.
    pub(super) fn word(&self) -> &'static str {
        match self.kind {
            Kind::Null | Kind::Bad => "nothing",
            Kind::Scalar { .. } => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}
