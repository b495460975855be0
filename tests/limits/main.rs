//! What a stack takes and may take, tried with real processes by the real program.
#![cfg(target_os = "linux")]

mod held;
mod hogs;
mod monitor;
#[path = "../busy/limits.rs"]
#[expect(dead_code, reason = "shared with the tests of a busy machine, which use all of it")]
mod room;
mod runaways;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "shared with the tests of stops, which use all of it")]
mod world;
