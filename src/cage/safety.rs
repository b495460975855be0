//! What may be signalled: one pure function over facts. Proof, not resemblance.

use crate::domain::FoundBy;

/// All that the decision looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact that was looked up")]
pub struct Facts {
    /// The strongest proof that it is ours, if there is one.
    pub proof: Option<FoundBy>,
    /// It is process 1.
    pub init: bool,
    /// It is a thread of the kernel.
    pub kernel: bool,
    /// It is the process that decides.
    pub myself: bool,
    /// It is a parent, grandparent … of the process that decides, or of the client that asked.
    pub ancestor: bool,
    /// It is a keeper or supervisor.
    pub machinery: bool,
    /// Keepers of this stack are being ended, as the last of it.
    pub ending_machinery: bool,
    /// Its marks are those of another stack.
    pub other_stack: bool,
    /// Its session holds an ancestor of ours: the user's terminal.
    pub session_of_ancestor: bool,
    /// It serves other projects as well: docker-proxy, watchman, gradle, the tmux server.
    pub shared_daemon: bool,
}

/// Whether a process may be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is proven to be ours and nothing speaks against it.
    Yes,
    /// It must be left alone.
    No(Refusal),
}

/// Why a process must be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing proves that it is ours.
    #[error("nothing proves that it belongs to this stack")]
    Unproven,
    /// Process 1.
    #[error("it is process 1")]
    Init,
    /// A thread of the kernel.
    #[error("it is a kernel thread")]
    Kernel,
    /// Ourselves.
    #[error("it is devstack itself")]
    Myself,
    /// The shell, terminal, editor or CI job that runs devstack.
    #[error("devstack was called from it")]
    Ancestor,
    /// A keeper or supervisor.
    #[error("it is a keeper or supervisor of devstack")]
    Machinery,
    /// It belongs to another stack.
    #[error("it belongs to another devstack stack")]
    OtherStack,
    /// Its only proof is a session that the user's terminal shares.
    #[error("it shares its session with the terminal that devstack was called from")]
    SessionOfAncestor,
    /// Other projects use it as well.
    #[error("it is a daemon that other projects may use as well")]
    SharedDaemon,
}

impl Refusal {
    /// Whether it speaks of a process that is not the stack's at all, so that it does not make a stop unclean.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        match self {
            Self::Unproven
            | Self::Init
            | Self::Kernel
            | Self::OtherStack
            | Self::SessionOfAncestor
            | Self::SharedDaemon => true,
            Self::Myself | Self::Ancestor | Self::Machinery => false,
        }
    }
}

/// The rules of what may be signalled. What forbids stands above what allows.
pub fn may_signal(facts: &Facts) -> Verdict {
    let Some(proof) = facts.proof else { return Verdict::No(Refusal::Unproven) };
    // What these reasons tell is a birth inside a life, seen by us or by the kernel. The others would also reach what
    // was born elsewhere: a mark can be copied, a session entered, a pattern matched.
    let born_inside =
        matches!(proof, FoundBy::Leader | FoundBy::Parentage | FoundBy::Cgroup | FoundBy::Ledger);
    let against = [
        (facts.init, Refusal::Init),
        (facts.kernel, Refusal::Kernel),
        (facts.myself, Refusal::Myself),
        (facts.ancestor, Refusal::Ancestor),
        (facts.machinery && !facts.ending_machinery, Refusal::Machinery),
        (facts.other_stack, Refusal::OtherStack),
        // A session is a proof for each of its processes only while it is wholly ours; what has a proof of its own
        // (a test run started beside the shell and matched by the user's pattern) needs no session.
        (facts.session_of_ancestor && proof == FoundBy::Session, Refusal::SessionOfAncestor),
        (facts.shared_daemon && !born_inside, Refusal::SharedDaemon),
    ];
    against.iter().find(|(holds, _)| *holds).map_or(Verdict::Yes, |(_, refusal)| Verdict::No(*refusal))
}

/// Whether a program is one that serves other projects as well, by its name and arguments.
pub(super) fn is_shared_daemon(comm: &str, words: &[String]) -> bool {
    const BY_NAME: [&str; 14] = [
        "docker-proxy",
        "dockerd",
        "containerd",
        "containerd-shim",
        "containerd-shim-runc-v2",
        "conmon",
        "rootlessport",
        "rootlesskit",
        "slirp4netns",
        "pasta",
        "pasta.avx2",
        "watchman",
        "sccache",
        "adb",
    ];
    const BY_ARGUMENT: [&str; 2] = [
        "org.gradle.launcher.daemon.bootstrap.GradleDaemon",
        "org.jetbrains.kotlin.daemon.KotlinCompileDaemon",
    ];
    let program = program(words).unwrap_or(comm);
    if program == "tmux" || comm.starts_with("tmux: server") {
        // A server on a socket of its own is no other project's.
        return !words.iter().any(|word| word.starts_with("-L") || word.starts_with("-S"));
    }
    BY_NAME.contains(&program) || words.iter().any(|word| BY_ARGUMENT.contains(&word.as_str()))
}

/// The bare name of a program as its arguments tell it: `-bash` and `/bin/bash` are `bash`.
pub(super) fn program(words: &[String]) -> Option<&str> {
    let first = words.first()?.split_whitespace().next()?;
    let name = first.rsplit('/').next()?;
    Some(name.strip_prefix('-').unwrap_or(name)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [FoundBy; 7] = [
        FoundBy::Leader,
        FoundBy::Parentage,
        FoundBy::Cgroup,
        FoundBy::Ledger,
        FoundBy::Session,
        FoundBy::Mark,
        FoundBy::Pattern,
    ];

    fn with(proof: FoundBy, change: impl Fn(&mut Facts)) -> Verdict {
        let mut facts = Facts { proof: Some(proof), ..Facts::default() };
        change(&mut facts);
        may_signal(&facts)
    }

    #[test]
    fn a_proof_is_needed_and_enough() {
        assert_eq!(may_signal(&Facts::default()), Verdict::No(Refusal::Unproven));
        for proof in ALL {
            assert_eq!(with(proof, |_| {}), Verdict::Yes);
        }
    }

    #[test]
    fn no_proof_reaches_what_is_never_signalled() {
        type Change = fn(&mut Facts);
        let never: [(Change, Refusal); 6] = [
            (|f| f.init = true, Refusal::Init),
            (|f| f.kernel = true, Refusal::Kernel),
            (|f| f.myself = true, Refusal::Myself),
            (|f| f.ancestor = true, Refusal::Ancestor),
            (|f| f.machinery = true, Refusal::Machinery),
            (|f| f.other_stack = true, Refusal::OtherStack),
        ];
        for proof in ALL {
            for (change, refusal) in never {
                assert_eq!(with(proof, change), Verdict::No(refusal), "{proof:?}");
            }
        }
    }

    #[test]
    fn keepers_end_last_and_only_when_asked() {
        let ending = |f: &mut Facts| (f.machinery, f.ending_machinery) = (true, true);
        assert_eq!(with(FoundBy::Ledger, ending), Verdict::Yes);
        let foreign = |f: &mut Facts| (f.machinery, f.ending_machinery, f.other_stack) = (true, true, true);
        assert_eq!(with(FoundBy::Ledger, foreign), Verdict::No(Refusal::OtherStack));
    }

    #[test]
    fn a_shared_daemon_falls_only_with_the_life_that_bore_it() {
        for proof in ALL {
            let inside =
                matches!(proof, FoundBy::Leader | FoundBy::Parentage | FoundBy::Cgroup | FoundBy::Ledger);
            let expected = if inside { Verdict::Yes } else { Verdict::No(Refusal::SharedDaemon) };
            assert_eq!(with(proof, |f| f.shared_daemon = true), expected, "{proof:?}");
        }
    }

    #[test]
    fn the_session_of_our_own_terminal_proves_nothing() {
        for proof in ALL {
            let verdict = with(proof, |f| f.session_of_ancestor = true);
            let refused = verdict == Verdict::No(Refusal::SessionOfAncestor);
            assert_eq!(refused, proof == FoundBy::Session, "{proof:?}");
        }
    }

    #[test]
    fn shared_daemons_are_known_by_program_not_by_mention() {
        let daemon = |comm: &str, line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            is_shared_daemon(comm, &words)
        };
        assert!(daemon("docker-proxy", "/usr/bin/docker-proxy -proto tcp -host-port 3000"));
        assert!(daemon("watchman", "/usr/bin/watchman --foreground"));
        assert!(daemon("java", "java -cp x org.gradle.launcher.daemon.bootstrap.GradleDaemon 8.5"));
        assert!(daemon("tmux: server", "tmux new-session -d"));
        assert!(!daemon("tmux: server", "tmux -L shop new-session -d"));
        assert!(!daemon("tmux: server", "tmux -S/tmp/x new-session -d"));
        assert!(!daemon("node", "node watchman-client.js"));
        assert!(!daemon("sh", "sh -c tmux ls"));
    }
}
