//! Stops, end to end: what `down` promises, tried on processes that do not want to end, on stacks whose machinery was
//! killed, and beside processes that only resemble theirs. The judge is the process table, read by these tests.

mod cgroups;
mod doctor;
mod inside;
mod ladder;
mod logs;
mod private;
mod recovery;
mod shapes;
mod slice;
mod survivors;
mod sweep;
mod world;
