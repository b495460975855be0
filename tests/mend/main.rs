//! What is mended and prevented: strays of every kind found and ended beside look-alikes that survive, and the hook that
//! looks for them before a commit.
#![cfg(target_os = "linux")]

mod ci;
mod doctor;
mod hooks;
mod stacks;
mod sweep;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;
