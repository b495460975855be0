//! stub

pub mod logs;
