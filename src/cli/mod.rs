//! The command line: what can be asked, and how each command ends.

pub mod args;
pub mod error;
pub mod exit;
pub mod when;

#[cfg(test)]
mod tests;
