//! The whole program as its users meet it: real stacks, real processes, exit codes, both outputs, and a judge that
//! looks into `/proc` for itself.
#![cfg(target_os = "linux")]

mod again;
mod budgets;
mod events;
mod exec;
mod failures;
mod fallback;
mod fields;
mod interrupt;
mod manifest;
mod order;
mod places;
mod probes;
mod receipts;
mod restart;
mod signals;
mod verbs;
mod volumes;
mod world;
