//! What may not happen whatever a manifest, a service or another user tries: others read or stop nothing, planted files
//! are not followed, secrets are not told, nothing foreign is signalled, nothing acts on a terminal.

#[allow(dead_code, reason = "shared with the tests of stops, each takes what it needs")]
#[path = "../stop/slice.rs"]
mod slice;
#[path = "../identity/within.rs"]
mod within;
#[path = "../stop/world.rs"]
#[allow(dead_code, reason = "shared with the tests of stops, each takes what it needs")]
mod world;

mod hostile;
mod marks;
mod planted;
mod secrets;
mod strangers;
mod terminal;
mod users;
