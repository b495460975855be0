//! The words of devstack: names, identities, times and views that every other module speaks in.

mod alert;
mod asker;
mod budget;
mod checkup;
mod container;
mod exit;
mod failure;
mod id;
mod limits;
mod name;
mod port;
mod report;
mod sweep;
mod time;
mod usage;
mod view;
mod visible;

pub use alert::{Alert, Sign, Suspect};
pub use asker::{Asker, Why};
pub use budget::{Budgets, Excess, Remarks, SlowStart, far_slower};
pub use checkup::{Area, Checkup, Finding, Fix, Grade, Promise};
pub use container::{
    ContainerState, ContainerStep, ContainerTrouble, ContainerView, ContainersProof, EndedContainer,
    EngineKind, LeftContainer, MissingImage, OwnHealth,
};
pub use exit::{Exit, Signal, UnknownSignal};
pub use failure::Failure;
pub use id::{Life, Mark, Pid, ProcId};
pub use limits::{Breach, Ceiling, Culprit, Limits, MOST_CULPRITS, OnBreach, OutOfMemory, Resource};
pub use name::{NameError, StackName, UnitName};
pub use port::{PortHolder, PortStatus};
pub use report::{DownReport, Ended, EndedUnit, Survivor, UnitOutcome, UpReport};
pub use sweep::{Fate, SweepReport, SweepRow, Trace};
pub use time::{Moment, WallTime, format_duration};
pub use usage::{LifeUsage, PastUsage, ProcessUsage, TotalUsage, format_bytes};
pub use view::{FoundBy, Health, ProcessView, StackView, State, UnitKind, UnitView};
pub use visible::acts;
#[cfg(any(test, fuzzing))]
pub(crate) use visible::assert_nothing_acts;
