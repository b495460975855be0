//! The command line: what can be asked, and how each command ends.

pub mod args;
pub mod exit;
