//! stub

pub mod logs;
//! The command line.

pub mod load;
