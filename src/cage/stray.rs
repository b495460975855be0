//! Processes of the stack outside every life that runs: found by marks, by the ledger, and by the user's patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::cage::beside::Beside;
use crate::cage::census::{Net, gather};
use crate::cage::evidence::{Candidate, MANIFESTS, Place, judge};
use crate::cage::guard::Guard;
use crate::cage::life::{AskOutcome, Cage, Depth, KillOutcome, Member};
use crate::cage::safety::Verdict;
use crate::cage::stop::{self, Asked, Prey};
use crate::cage::world::World;
use crate::domain::{Ended, FoundBy, Mark, ProcId, Signal, Survivor};
use crate::sys::cgroup::Leaf;
use crate::sys::pidfd::Pidfd;
use crate::sys::proc::{self, Stat};
use crate::sys::users;

/// How many arguments of a process are looked up as files.
const SCRIPTS: usize = 8;

/// What is known of a stack, for looks that go beyond one life.
#[derive(Clone, Debug)]
pub struct StackFacts {
    /// The stack's secret ([`crate::cage::ENV_STACK_ID`]).
    pub stack: Mark,
    /// Directory of the manifest.
    pub dir: PathBuf,
    /// Every life in the ledger of this boot, ended ones included.
    pub lives: Vec<Cage>,
    /// The supervisor, on which the orphans of a dead keeper land.
    pub hearth: Option<Hearth>,
    /// Processes that must never be signalled: the client that asked, and its ancestors
    /// ([`crate::sys::proc::ancestors`]).
    pub spared: BTreeSet<ProcId>,
    /// Each `devstack run` of this stack that the client was called from: its job goes on.
    pub apart: Vec<ProcId>,
    /// Named by lines of the ledger that this stack did not write: told where they live, and left alone.
    pub doubted: BTreeSet<ProcId>,
    /// What the manifest's `sweep` names; compiled.
    pub patterns: Vec<Regex>,
    /// `scope: user`: a pattern needs no evidence of this directory.
    pub user_wide: bool,
    /// The stack runs on: what belongs to it is no stray. `lives` are those that are over then.
    pub beside: Option<Beside>,
}

/// The supervisor as a parent.
#[derive(Clone, Debug)]
pub struct Hearth {
    /// The supervisor.
    pub supervisor: ProcId,
    /// Its children that are no orphans: keepers, probes, stop commands.
    pub own: BTreeSet<ProcId>,
}

/// What a look for strays brought.
#[derive(Debug)]
pub struct Sought {
    /// Those that may be ended, for the report.
    pub strays: Vec<Ended>,
    /// What resembles ours but lacks proof.
    pub left_alone: Vec<Ended>,
    /// The same strays, to be asked, killed and counted.
    pub prey: Strays,
}

/// Strays, handled like the members of a cage. Each look finds them anew: those born meanwhile are among them.
#[derive(Debug)]
pub struct Strays {
    facts: StackFacts,
    asked: Asked,
}

/// Looks for strays of the whole stack. What lives under a living keeper is no stray.
#[must_use]
pub fn seek(facts: &StackFacts) -> Sought {
    let found = find(facts, &mut World::new());
    let prey = Strays { facts: facts.clone(), asked: Asked::default() };
    let strays =
        found.strays.iter().map(|member| ended(&member.stat, member.id, member.evidence())).collect();
    Sought { strays, left_alone: found.left_alone, prey }
}

/// The strays as `ps` shows them; patterns are not looked at unless `facts` has any.
#[must_use]
pub fn strays(facts: &StackFacts, world: &mut World) -> Vec<Member> {
    find(facts, world).strays
}

struct Found {
    strays: Vec<Member>,
    left_alone: Vec<Ended>,
}

fn ended(stat: &Stat, process: ProcId, evidence: String) -> Ended {
    Ended { process, command: proc::command(stat), evidence, forced: false }
}

impl StackFacts {
    pub(super) fn guard(&self) -> Guard {
        let lives = self.lives.iter().map(|cage| cage.mark.clone());
        let marks = lives.chain([self.stack.clone()]).collect();
        Guard { marks, spared: self.spared.clone(), ending_machinery: false }
    }

    /// All that is proven to be the stack's, its living lives included.
    pub(super) fn proven(&self, world: &mut World) -> Vec<Member> {
        let (lives, stack) = (self.lives.iter().collect(), Some(&self.stack));
        let mut proven = gather(&Net { lives, stack, hearth: self.hearth.as_ref() }, world, Depth::Full);
        if !self.apart.is_empty() {
            let apart = self.set_apart(world);
            // A stack that was brought up from inside such a job is no part of it.
            proven.retain(|member| member.unit.is_some() || !apart.contains(&member.id));
        }
        proven
    }

    fn set_apart(&self, world: &mut World) -> BTreeSet<ProcId> {
        let mut apart = world.descendants(&self.apart);
        apart.extend(&self.apart);
        apart
    }
}

fn find(facts: &StackFacts, world: &mut World) -> Found {
    let guard = facts.guard();
    let keepers: Vec<ProcId> = facts.lives.iter().filter_map(|cage| cage.keeper).collect();
    let proven = facts.proven(world);
    let mut kept = world.descendants(&keepers);
    kept.extend(keepers);
    let mut found = Found { strays: Vec::new(), left_alone: Vec::new() };
    if let Some(beside) = &facts.beside {
        let tell = |(stat, id, why): &(Stat, ProcId, String)| ended(stat, *id, why.clone());
        match beside.running(world) {
            Ok(running) => {
                kept.extend(running.kept);
                found.left_alone = running.outside.iter().map(tell).collect();
            }
            Err(error) => {
                // A stray cannot be told from a service then.
                let why = format!("the ledger cannot be read: {error}");
                let all = proven.iter().map(|member| (member.stat.clone(), member.id, why.clone()));
                found.left_alone = all.map(|one| tell(&one)).collect();
                return found;
            }
        }
    }
    let mut seen: BTreeSet<ProcId> = kept.clone();
    for member in proven.into_iter().filter(|member| !kept.contains(&member.id)) {
        seen.insert(member.id);
        match guard.verdict(world, &member) {
            Verdict::No(refusal) if refusal.is_foreign() => {
                let why = format!("{}, but {refusal}", member.evidence());
                found.left_alone.push(ended(&member.stat, member.id, why));
            }
            _ => found.strays.push(member),
        }
    }
    if !facts.patterns.is_empty() {
        seen.extend(facts.set_apart(world));
        find_matches(facts, &guard, world, &mut seen, &mut found);
    }
    for id in facts.doubted.iter().filter(|id| !seen.contains(id)) {
        if let Some(stat) = world.alive(*id) {
            let why = "the ledger names it in a line that this stack did not write";
            found.left_alone.push(ended(stat, *id, why.to_owned()));
        }
    }
    found
}

fn find_matches(
    facts: &StackFacts,
    guard: &Guard,
    world: &mut World,
    seen: &mut BTreeSet<ProcId>,
    found: &mut Found,
) {
    let dir = std::fs::canonicalize(&facts.dir).unwrap_or_else(|_| facts.dir.clone());
    let holds_manifest = |dir: &Path| MANIFESTS.iter().any(|name| dir.join(name).is_file());
    let place = Place { dir: &dir, is_stack: &holds_manifest, user_wide: facts.user_wide };
    let me = world.own_line().first().and_then(Stat::id);
    let others: Vec<Stat> = world.all().filter(|stat| stat.id() != me).cloned().collect();
    let mut swept = BTreeMap::new();
    for stat in others {
        let Some(id) = stat.id().filter(|id| !seen.contains(id)) else { continue };
        let Some((candidate, pattern)) = matching(facts, id) else { continue };
        seen.insert(id);
        let verdict = judge(&candidate, &place).and_then(|evidence| {
            let detail = format!("matches `{pattern}`, {evidence}");
            let member = pattern_member(id, stat.clone(), detail);
            match guard.verdict(world, &member) {
                Verdict::Yes => Ok(member),
                Verdict::No(refusal) => Err(refusal.to_string()),
            }
        });
        match verdict {
            Ok(member) => {
                swept.insert(id, member);
            }
            Err(why) => found.left_alone.push(ended(&stat, id, format!("matches `{pattern}`, but {why}"))),
        }
    }
    // What a swept process has started goes with it.
    for root in swept.keys().copied().collect::<Vec<_>>() {
        for id in world.descendants(&[root]) {
            let Some(stat) = world.alive(id).filter(|_| seen.insert(id)).cloned() else { continue };
            let member = pattern_member(id, stat, format!("a descendant of {}, which is swept", root.pid));
            if guard.verdict(world, &member) == Verdict::Yes {
                swept.insert(id, member);
            }
        }
    }
    found.strays.extend(swept.into_values());
}

fn pattern_member(id: ProcId, stat: Stat, detail: String) -> Member {
    Member { id, stat, found_by: FoundBy::Pattern, unit: None, parent: None, detail: Some(detail) }
}

/// Looks a process up, if its command line matches a pattern. Says which.
fn matching(facts: &StackFacts, id: ProcId) -> Option<(Candidate, String)> {
    let pid = id.pid.get();
    let words: Vec<String> = proc::argv(pid).iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let line = words.join(" ");
    let (pattern, at) = facts.patterns.iter().find_map(|one| Some((one, one.find(&line)?.start())))?;
    let cwd = proc::cwd(pid).map(undeleted);
    let resolve = |word: &String| {
        let path = cwd.as_deref().unwrap_or(Path::new("/")).join(word);
        std::fs::canonicalize(path).ok().filter(|path| path.is_file())
    };
    let named = words.iter().skip(1).filter(|word| !word.starts_with('-')).take(SCRIPTS);
    let candidate = Candidate {
        scripts: named.filter_map(resolve).collect(),
        words,
        matched_at: at,
        same_user: proc::uid(pid) == Some(users::own_uid()),
        same_files: proc::shares_files(pid),
        exe: proc::exe(pid).map(undeleted),
        cwd,
    };
    Some((candidate, pattern.as_str().to_owned()))
}

/// The kernel marks the path of what was deleted since: a removed checkout keeps its processes all the same.
fn undeleted(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(text) => PathBuf::from(text),
        None => path,
    }
}

impl Strays {
    /// As [`Cage::ask`].
    pub fn ask(&mut self, signal: Signal) -> AskOutcome {
        let mut asked = std::mem::take(&mut self.asked);
        let outcome = stop::ask(self, &mut World::new(), &mut asked, signal, |_| true);
        self.asked = asked;
        outcome
    }

    /// As [`Cage::kill`].
    pub fn kill(&mut self) -> KillOutcome {
        stop::kill(self)
    }

    /// As [`Cage::is_empty`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        (0..2).all(|_| self.look(&mut World::new()).is_empty())
    }

    /// As [`Cage::watch`].
    #[must_use]
    pub fn watch(&self, limit: usize) -> Vec<Pidfd> {
        stop::handles(&self.look(&mut World::new()), limit)
    }

    /// As [`Cage::survivors`].
    #[must_use]
    pub fn survivors(&self) -> Vec<Survivor> {
        stop::survivors(self)
    }
}

impl Prey for Strays {
    fn look(&self, world: &mut World) -> Vec<Member> {
        strays(&self.facts, world)
    }

    fn guard(&self) -> Guard {
        self.facts.guard()
    }

    fn leaves(&self) -> Vec<&Leaf> {
        // A leaf whose keeper lives belongs to a life, not to a stray.
        self.facts
            .lives
            .iter()
            .filter(|cage| !cage.is_kept())
            .filter_map(|cage| cage.cgroup.as_ref())
            .collect()
    }

    fn leader(&self) -> Option<ProcId> {
        None
    }
}
