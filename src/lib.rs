//! devstack: starts, watches and provably stops all the processes of a development stack.
//!
//! Read the modules in the order of the data, from YAML to a verified stop.

pub mod cage;
#[cfg(test)]
mod chance;
pub mod cli;
pub mod control;
pub mod domain;
pub mod engine;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod history;
pub mod job;
pub mod keeper;
pub mod machine;
pub mod manifest;
pub mod plan;
pub mod shim;
pub mod show;
pub mod store;
pub mod supervisor;
pub mod sys;
pub mod usage;
