//! From the tree to a [`Manifest`]: every key is known, of the right shape, and read by exactly one line of a table.

mod check;
mod container;
mod limits;
mod monitor;
mod reader;
mod service;
mod stack;

use super::node::Node;
use super::problem::Problems;
use super::{Manifest, Span};

/// Reads a manifest; what cannot be read is reported and left out.
pub(super) fn manifest(root: &Node, whole: Span, problems: &mut Problems) -> Option<Manifest> {
    stack::read(&mut reader::Reader { problems }, root, whole)
}
