//! Kill points, for tests: each place where devstack is killed on purpose has its name here. A release program has none.
//!
//! `DEVSTACK_TEST_KILL=POINT=FILE,…` makes the first process that comes to this point end by SIGKILL, and remove the file:
//! so one is killed for each file, and the test knows that it was.

/// Places in the life of a supervisor and of a keeper, each right after what it is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variant says it")]
pub enum KillPoint {
    // The supervisor, in a start.
    PlanWritten,
    RequestHeard,
    CgroupMade,
    IntentWritten,
    KeeperSpawned,
    SpecSent,
    StartedHeard,
    GateHeld,
    ReadyNoted,
    // The keeper, in a start.
    SpecRead,
    Listening,
    LeaderForked,
    LeaderRecorded,
    ByteSent,
    StartedTold,
    // The supervisor, in a stop.
    Asked,
    ExitHeard,
    Killed,
    EmptiedHeard,
    RecordRemoved,
    Sought,
    Verified,
    Replying,
    Replied,
    Buried,
    // The keeper, in a stop.
    OutputDrained,
    ExitRecorded,
    ExitTold,
    LeaderReaped,
    EmptiedRecorded,
    EmptiedTold,
    // The supervisor, taking over.
    LifeAbandoned,
    LifeAdopted,
}

impl KillPoint {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::PlanWritten,
        Self::RequestHeard,
        Self::CgroupMade,
        Self::IntentWritten,
        Self::KeeperSpawned,
        Self::SpecSent,
        Self::StartedHeard,
        Self::GateHeld,
        Self::ReadyNoted,
        Self::SpecRead,
        Self::Listening,
        Self::LeaderForked,
        Self::LeaderRecorded,
        Self::ByteSent,
        Self::StartedTold,
        Self::Asked,
        Self::ExitHeard,
        Self::Killed,
        Self::EmptiedHeard,
        Self::RecordRemoved,
        Self::Sought,
        Self::Verified,
        Self::Replying,
        Self::Replied,
        Self::Buried,
        Self::OutputDrained,
        Self::ExitRecorded,
        Self::ExitTold,
        Self::LeaderReaped,
        Self::EmptiedRecorded,
        Self::EmptiedTold,
        Self::LifeAbandoned,
        Self::LifeAdopted,
    ];
}

/// The environment variable that names the point.
pub const VARIABLE: &str = "DEVSTACK_TEST_KILL";

/// This process ends here by SIGKILL, if a test wants it to.
#[cfg(debug_assertions)]
pub fn here(point: KillPoint) {
    use std::sync::OnceLock;

    static WANTED: OnceLock<Vec<(String, String)>> = OnceLock::new();
    let read = || {
        let wanted = std::env::var(VARIABLE).unwrap_or_default();
        let each = wanted.split(',').filter_map(|one| one.split_once('='));
        each.map(|(point, file)| (point.to_owned(), file.to_owned())).collect()
    };
    let mut wanted = WANTED.get_or_init(read).iter().filter(|(name, _)| *name == format!("{point:?}"));
    if wanted.any(|(_, file)| std::fs::remove_file(file).is_ok()) {
        // SAFETY: a number only; it is this process itself.
        unsafe { libc::raise(libc::SIGKILL) };
        loop {
            std::thread::park();
        }
    }
}

/// Nothing of it is in a release program.
#[cfg(not(debug_assertions))]
#[inline]
pub fn here(_point: KillPoint) {}
