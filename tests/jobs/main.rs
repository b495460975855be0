//! `devstack run`: a command as if it had been called by itself, and nothing of it left, whoever ends it.

#![cfg(target_os = "linux")]

mod bare;
mod doctor;
mod ended;
mod first;
mod journal;
mod leftovers;
mod limits;
mod line;
mod terminal;
mod within;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;

use std::process::Command;

use world::{World, finish};

/// One service, so that there is a stack; nobody starts it.
const STACK: &str = "name: jobs\nservices: { web: { command: stand-in wait } }\n";

/// A job, not started yet; nothing of this test's own surroundings marks it.
fn job(world: &World, options: &[&str], command: &[&str]) -> Command {
    let mut words = vec!["run"];
    words.extend(options);
    words.push("--");
    words.extend(command);
    world.command(&words)
}

/// Root and a plain user.
fn each(manifest: &str, test: impl Fn(&World)) {
    test(&World::new(manifest));
    if world::is_root() {
        test(&World::plain(manifest));
    }
}
