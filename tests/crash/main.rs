//! devstack is killed, in any of its parts and at any moment: what runs is taken over or ended, once each, and no line that
//! a service has written is lost. The judges are the process table and the services' own copies of what they said.
#![cfg(target_os = "linux")]

mod alone;
#[expect(dead_code, reason = "it is shared with property tests, which need all of it")]
#[path = "../../src/chance.rs"]
mod chance;
mod ends;
mod kills;
mod output;
mod points;
mod random;
#[allow(dead_code, reason = "shared with the tests of stops, which need more of it")]
#[path = "../stop/world.rs"]
mod world;
