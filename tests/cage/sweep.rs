//! What lies outside every life: strays, patterns, orphans, and the verdict.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use devstack::cage::{Cage, ENV_LIFE, ENV_STACK_ID, Hearth, StackFacts, seek, verify};
use devstack::domain::{Life, ProcId, Signal, UnitName};
use devstack::sys::proc;

use crate::shape::{SLEEPER, Shape, await_end, await_program, cage_of, fresh_mark, runs};

fn facts(dir: &Path) -> StackFacts {
    StackFacts {
        stack: fresh_mark(),
        dir: dir.to_owned(),
        lives: Vec::new(),
        hearth: None,
        apart: Vec::new(),
        doubted: BTreeSet::new(),
        spared: BTreeSet::new(),
        patterns: Vec::new(),
        user_wide: false,
        beside: None,
    }
}

#[test]
fn a_pattern_sweeps_this_checkout_and_nothing_else() {
    let root = tempfile::tempdir().expect("a directory");
    // Blanks and other scripts in the path, as people have them.
    let (ours, theirs) = (root.path().join("mein stäck"), root.path().join("mein stäck 2"));
    let nested = ours.join("trees/b");
    for dir in [&ours, &theirs, &nested] {
        fs::create_dir_all(dir).expect("writable");
        fs::write(dir.join("devstack.yaml"), "services: {}\n").expect("writable");
    }
    std::os::unix::fs::symlink("/bin/sleep", ours.join("vim")).expect("links exist");
    // A number of this run only: other runs of these tests have others.
    let seconds = format!("6{}.25", std::process::id());
    let start = |dir: &Path, script: &str| {
        Shape::start(script, |command| {
            command.current_dir(dir);
        })
    };
    let sleeper = format!("echo up; exec sleep {seconds}");
    let (here, second, inner) = (start(&ours, &sleeper), start(&theirs, &sleeper), start(&nested, &sleeper));
    let editor = start(&ours, &format!("echo up; exec ./vim {seconds}"));
    let elsewhere = start(root.path(), &sleeper);
    // It works in `/` by the time it is seen; its child has nothing in common with the pattern.
    let mut parent =
        start(&ours, &format!("cd /; echo up; env -i setsid sleep 607.3 & echo $!; : {seconds}; wait"));
    let child = parent.told();
    let foreign = fresh_mark();
    let mut other = start(
        &ours,
        &format!("echo up; {ENV_STACK_ID}={} sleep {seconds} & echo $!; exec sleep 607.4", foreign.as_str()),
    );
    let other_stack = other.told();
    for id in [here.id, second.id, inner.id, other_stack, elsewhere.id, other.id, child] {
        await_program(id, "sleep");
    }
    await_program(editor.id, "vim");
    let mut facts = facts(&ours);
    facts.patterns = vec![regex::Regex::new(&regex::escape(&seconds)).expect("a pattern")];
    let mut sought = seek(&facts);
    let strays: BTreeSet<ProcId> = sought.strays.iter().map(|stray| stray.process).collect();
    assert_eq!(strays, BTreeSet::from([here.id]), "{:?}", sought.strays);
    let left: BTreeSet<ProcId> = sought.left_alone.iter().map(|one| one.process).collect();
    let expected = [second.id, inner.id, editor.id, elsewhere.id, other_stack, parent.id];
    assert_eq!(left, BTreeSet::from(expected), "{:?}", sought.left_alone);
    let told = |id: ProcId, text: &str| {
        let evidence = &sought.left_alone.iter().find(|one| one.process == id).expect("left alone").evidence;
        assert!(evidence.contains(text), "{evidence}");
    };
    told(second.id, "another stack");
    told(inner.id, "another stack");
    told(editor.id, "editor");
    told(elsewhere.id, "no evidence");
    assert_eq!(sought.prey.ask(Signal::TERM).heard.len(), 1);
    await_end(here.id);
    assert!(sought.prey.is_empty());
    // Asked for loudly, the directory does not matter; other stacks still do, and a swept tree goes as a whole.
    facts.user_wide = true;
    let mut sought = seek(&facts);
    let strays: BTreeSet<ProcId> = sought.strays.iter().map(|stray| stray.process).collect();
    assert_eq!(strays, BTreeSet::from([elsewhere.id, parent.id, child]), "{:?}", sought.strays);
    let outcome = sought.prey.kill();
    assert!(outcome.survivors.is_empty());
    for id in [elsewhere.id, parent.id, child] {
        await_end(id);
    }
    for id in [second.id, inner.id, editor.id, other_stack, other.id] {
        assert!(runs(id));
    }
}

#[test]
fn the_secret_of_a_stack_finds_lives_that_no_ledger_knows() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut facts = facts(dir.path());
    let secret = facts.stack.clone();
    let stray = Shape::start(&format!("echo up; exec {SLEEPER}"), |command| {
        command.env(ENV_STACK_ID, secret.as_str()).env(ENV_LIFE, fresh_mark().as_str());
    });
    // One that lives under a living keeper is no stray: its own life looks after it.
    let script = format!("echo up; {ENV_STACK_ID}={} {SLEEPER} & echo $!; wait", secret.as_str());
    let mut keeper = Shape::start(&script, |_| {});
    let kept = keeper.told();
    await_program(kept, "sleep");
    let unit = UnitName::parse("api").expect("a name");
    facts.lives.push(Cage::new(unit, Life(3), fresh_mark(), secret, Some(keeper.id), kept));
    let sought = seek(&facts);
    let found: Vec<ProcId> = sought.strays.iter().map(|one| one.process).collect();
    assert_eq!(found, [stray.id]);
    let left: BTreeSet<ProcId> = verify(&facts, None, &[]).0.iter().map(|one| one.process).collect();
    assert_eq!(left, BTreeSet::from([stray.id, kept]));
    assert!(verify(&facts, Some(&[]), &[]).0.is_empty(), "no unit was asked about");
}

#[test]
fn orphans_of_a_dead_keeper_are_found_at_the_supervisor() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = format!("echo up; env -i setsid {SLEEPER} & echo $!; {SLEEPER} & echo $!; wait");
    let mut supervisor = Shape::start(&script, |_| {});
    let (orphan, keeper) = (supervisor.told(), supervisor.told());
    let mut facts = facts(dir.path());
    facts.hearth = Some(Hearth { supervisor: supervisor.id, own: BTreeSet::from([keeper]) });
    await_program(orphan, "sleep");
    let mut sought = seek(&facts);
    assert_eq!(sought.strays.iter().map(|one| one.process).collect::<Vec<_>>(), [orphan]);
    let outcome = sought.prey.kill();
    assert!(outcome.survivors.is_empty());
    await_end(orphan);
    assert!(runs(keeper) && runs(supervisor.id));
}

#[test]
fn the_verdict_names_who_is_left_and_who_holds_a_port() {
    let dir = tempfile::tempdir().expect("a directory");
    let shape = Shape::start(&format!("echo up; exec {SLEEPER}"), |_| {});
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    let port = socket.local_addr().expect("it is bound").port();
    let mut facts = facts(dir.path());
    let mut cage = cage_of(shape.id);
    cage.stack = facts.stack.clone();
    facts.lives.push(cage.clone());
    let unit = cage.unit.clone();
    let (survivors, ports) = verify(&facts, Some(std::slice::from_ref(&unit)), &[port]);
    assert_eq!(survivors.len(), 1);
    assert_eq!((survivors[0].process, survivors[0].unit.as_ref()), (shape.id, Some(&unit)));
    assert!(!ports[0].free);
    assert_eq!(ports[0].owner.as_ref().and_then(|owner| owner.process), proc::own_id());
    drop(socket);
    let _ = cage.kill();
    await_end(shape.id);
    let (survivors, ports) = verify(&facts, None, &[port]);
    assert!(survivors.is_empty() && ports[0].free);
}
