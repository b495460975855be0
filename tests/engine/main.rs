//! A real container engine beside a stack: what belongs to it is named where it is in the way, and never signalled.

mod asked;
mod engine;
mod inside;
mod shim;
mod shim_more;
mod shim_trouble;
mod shim_world;
mod untouched;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;
