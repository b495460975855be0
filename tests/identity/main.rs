//! Whose process is it: numbers that were given away again, another boot of the machine, a ledger that lies. Whatever
//! stands anywhere, no innocent process is ever signalled. The judges are the innocents themselves: they count signals.

#![cfg(target_os = "linux")]

mod borrowed;
mod callers;
#[path = "../../src/chance.rs"]
mod chance;
mod clock;
mod forged;
mod innocent;
mod reboot;
mod within;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;
