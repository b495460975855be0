//! Bad days of processes: a full process table, no descriptors, no memory, several commands at once, machinery that was
//! stopped, clients that die, and very many of everything. `FULL=1` tries the largest sizes.

#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;

mod clients;
mod full;
mod limits;
mod many;
mod stopped;
mod together;
