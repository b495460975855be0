//! What `doctor` says: the promise that holds here, and each finding with its evidence and remedy.

use serde::Serialize;

/// Which row of the promise table holds. The words are those of docs/containment.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// Each service has a cgroup of its own.
    Cgroup,
    /// Each service has a keeper that no descendant can leave.
    Keeper,
    /// Direct children, groups, sessions and the environment are all that can be followed.
    Children,
}

impl Promise {
    /// What holds, as long as the keepers live and when all of devstack was killed.
    #[must_use]
    pub fn words(self) -> [&'static str; 2] {
        match self {
            Self::Cgroup => [
                "after `down` no process lives that was ever in a service's cgroup; state D, and root's own that moved out, are reported",
                "the same when all of devstack was killed",
            ],
            Self::Keeper => [
                "after `down` no descendant of a service lives, whatever it did; setuid programs and state D are reported",
                "when supervisor and keepers are killed together: what the ledger, a session or a mark knows",
            ],
            Self::Children => [
                "after `down` nothing lives that a child, a group, a session or the environment shows",
                "what detaches itself from all of these is not seen",
            ],
        }
    }
}

/// How a finding is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Good to know: something is weaker than it could be, or does not matter here.
    Note,
    /// Somebody should do something.
    Attention,
}

/// Where a finding belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// The layers of containment.
    Layers,
    /// The machine and its limits.
    Machine,
    /// Directories.
    Places,
    /// The stack of the manifest here.
    Stack,
    /// What an earlier stack left.
    Stale,
}

/// Whether `doctor --fix` can do it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fix {
    /// It is for a person to do, or there is nothing to do.
    #[default]
    None,
    /// `--fix` would.
    Possible,
    /// It is done.
    Done,
    /// It could not be done, and why.
    Failed(String),
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where it belongs.
    pub area: Area,
    /// What was looked at: `cgroup v2`.
    pub name: String,
    /// How it is meant.
    pub grade: Grade,
    /// What was seen.
    pub text: String,
    /// What to try, the most likely first.
    #[serde(rename = "try")]
    pub remedy: Vec<String>,
    /// What `--fix` has to do with it.
    pub fix: Fix,
}

impl Finding {
    /// A finding without a remedy.
    #[must_use]
    pub fn new(area: Area, name: impl Into<String>, grade: Grade, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        Self { area, name, grade, text, remedy: Vec::new(), fix: Fix::None }
    }

    /// Adds something to try.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.remedy.push(text.into());
        self
    }
}

/// All that `doctor` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checkup {
    /// Which promise holds.
    pub promise: Promise,
    /// Why that one.
    pub why: String,
    /// Everything that was looked at, in reading order.
    pub findings: Vec<Finding>,
}

impl Checkup {
    /// How many findings need somebody to do something; what `--fix` has done does not.
    #[must_use]
    pub fn attention(&self) -> usize {
        let open = |finding: &&Finding| finding.grade == Grade::Attention && finding.fix != Fix::Done;
        self.findings.iter().filter(open).count()
    }
}
