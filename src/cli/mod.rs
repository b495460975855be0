//! The command line.

pub mod load;
pub mod logs;
