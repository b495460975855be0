//! The plan: the manifest resolved. Nothing optional is left, the order is known, every problem was reported at once.

mod types;

pub use types::*;
