//! What the processes of a stack take: measured cheaply, compared with the look before, and judged for what needs an eye.
//!
//! One look reads of each process the line and the list of children that the census reads anyway: memory and processor
//! time stand there. What costs more is read only where it is asked for: open files, and the proportional share of
//! memory, which the kernel counts page by page.
//!
//! Memory is resident memory (RSS), so what processes share counts for each of them. Before anybody is told that it is too
//! much, it is read as the proportional share (PSS), in which it counts once.

mod alerts;
mod figures;
mod meter;
mod trend;

pub use alerts::{Alerts, Thresholds};
pub use figures::{Raw, share};
pub use meter::{Meter, Point, Sample, Subject};
pub use trend::{Trend, Turn};
