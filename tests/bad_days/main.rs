//! Bad days: full disks, read-only directories, torn files, deleted checkouts. Whatever has become of devstack's own files,
//! what runs is seen and ended, what was written is kept, and what is lost is said.

mod checkout;
mod disk;
mod ledger;
mod limits;
mod output;
mod room;
mod scarce;
mod socket;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;

use world::Ran;

/// It ended with this code and said the error in its three parts: what, evidence, try.
#[track_caller]
fn refused(ran: Ran, code: i32, error: &str, words: &[&str]) {
    let ran = ran.expect(code);
    let first = ran.err.lines().find(|line| line.starts_with("error["));
    assert!(first.is_some_and(|line| line.starts_with(&format!("error[{error}]: "))), "{}", ran.err);
    for part in words.iter().chain(&["  try"]) {
        assert!(ran.err.contains(part), "no {part:?} in\n{}", ran.err);
    }
}
