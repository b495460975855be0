//! What is promised: who runs devstack, what was killed, and what may be left then. The table of `docs/containment.md`.

use std::fmt;

/// Who runs devstack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Root, who may write cgroups.
    Root,
    /// Root on a machine whose cgroup v2 is not mounted.
    RootWithoutCgroup,
    /// A user who may write no cgroup.
    Plain,
}

/// What was killed before `down`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Alive,
    /// The supervisor.
    Supervisor,
    /// Every keeper.
    Keepers,
    /// All of it.
    Both,
    /// All of it, before the keepers had written down whom they saw: the ledger has the leaders only.
    Unrecorded,
}

/// What ties the processes of a shape to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Catch {
    /// Parentage, cgroup, ledger, and a session or a mark as well.
    Always,
    /// No session, no mark: without cgroup and ancestors only the ledger knows it.
    IfRecorded,
    /// The same where its own user may not look into it; root sees its mark.
    IfRecordedOrSeen,
    /// Born after the last one who could have seen it was killed: only a cgroup knows it.
    WhileWatched,
    /// Ours, but the kernel lets nobody but root signal it.
    UnlessRoots,
    /// A child of somebody else's daemon. It is never touched.
    NeverForeign,
}

impl User {
    pub(crate) const ALL: [Self; 3] = [Self::Root, Self::RootWithoutCgroup, Self::Plain];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::RootWithoutCgroup => "root-without-cgroup",
            Self::Plain => "plain",
        }
    }

    pub(crate) const fn has_cgroup(self) -> bool {
        matches!(self, Self::Root)
    }
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Supervisor => "supervisor",
            Self::Keepers => "keeper",
            Self::Both => "both",
            Self::Unrecorded => "unrecorded",
        }
    }

    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Alive => "all alive",
            Self::Supervisor => "supervisor killed",
            Self::Keepers => "keepers killed",
            Self::Both => "both killed",
            Self::Unrecorded => "both killed unseen",
        }
    }

    /// Those that are tried for a user: with a cgroup nothing depends on the ledger.
    pub(crate) fn of(user: User) -> &'static [Self] {
        const ALL: [Mode; 5] = [Mode::Alive, Mode::Supervisor, Mode::Keepers, Mode::Both, Mode::Unrecorded];
        if user.has_cgroup() { &ALL[..4] } else { &ALL }
    }

    pub(crate) const fn kills_supervisor(self) -> bool {
        matches!(self, Self::Supervisor | Self::Both | Self::Unrecorded)
    }

    pub(crate) const fn kills_keepers(self) -> bool {
        matches!(self, Self::Keepers | Self::Both | Self::Unrecorded)
    }
}

impl Catch {
    /// How many of a shape's processes may be left; none where that is promised.
    pub(crate) fn left(self, user: User, mode: Mode) -> usize {
        let nobody_looks = matches!(mode, Mode::Both | Mode::Unrecorded) && !user.has_cgroup();
        let left = match self {
            Self::Always => false,
            Self::IfRecorded => mode == Mode::Unrecorded,
            Self::IfRecordedOrSeen => mode == Mode::Unrecorded && user == User::Plain,
            Self::WhileWatched => nobody_looks,
            Self::UnlessRoots => user == User::Plain,
            Self::NeverForeign => true,
        };
        usize::from(left)
    }

    /// Whether `down` must name who is left, and end with 6.
    pub(crate) const fn is_told(self) -> bool {
        matches!(self, Self::UnlessRoots)
    }
}

impl fmt::Display for User {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.about())
    }
}
