//! What may be signalled: one pure function over facts.

use crate::domain::FoundBy;

/// All that the decision looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The proof that it is ours, if there is one.
    pub proof: Option<FoundBy>,
}

/// Whether a process may be signalled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is proven to be ours and nothing speaks against it.
    Yes,
    /// It must be left alone.
    No(Refusal),
}

/// Why a process must be left alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing proves that it is ours.
    #[error("nothing proves that it belongs to this stack")]
    Unproven,
}

/// The rules of what may be signalled.
pub fn may_signal(_facts: &Facts) -> Verdict {
    todo!()
}
