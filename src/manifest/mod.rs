//! devstack.yaml as written: parsed into places and texts, with every problem reported at once.
//!
//! The way of a manifest: bytes → (`yaml`) a tree in which each value has its place → (`read`) a [`Manifest`] in which
//! each key is known → (`crate::plan`) a plan. Values are judged there, because `${…}` is substituted there.

mod code;
mod model;
mod problem;

pub use code::Code;
pub use model::*;
pub use problem::{Label, Problem, Span};

/// The largest manifest that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// Reads a manifest. Its structure is checked: keys, types, names; not its values, which [`crate::plan::resolve`] does.
///
/// `source_name` is only for messages.
pub fn parse(source_name: &str, text: &[u8]) -> Result<Manifest, Vec<Problem>> {
    let (manifest, problems) = parse_lenient(source_name, text);
    manifest.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Reads as much of a manifest as can be read, so that its values can be judged although a key of it is wrong.
/// No manifest at all means that the file is not YAML or no mapping.
#[must_use]
pub fn parse_lenient(_source_name: &str, _text: &[u8]) -> (Option<Manifest>, Vec<Problem>) {
    todo!()
}

/// Problems as text for people: each with its code, its lines of the file, a caret and a hint.
/// Shows the first 50 and says how many more there are.
#[must_use]
pub fn render(_problems: &[Problem], _source_name: &str, _text: &str, _colour: bool) -> String {
    todo!()
}
