//! Cages whose members the kernel counts: a cgroup of the test's own for each.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use devstack::cage::{Cage, Depth, Whom, World};
use devstack::domain::{FoundBy, ProcId, Signal};
use devstack::sys::cgroup::{Leaf, place, stack_name};
use devstack::sys::proc;

use crate::shape::{
    SLEEPER, Shape, await_end, await_fact, await_orphan, await_program, cage_of, full, processes, runs, why,
};
use crate::skip;

/// A leaf of one test; it is taken away with the test.
struct Caged(Leaf);

impl Caged {
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Ok(place) = place() else {
            skip("no cgroup v2 can be written here");
            return None;
        };
        let hash = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Some(Self(Leaf::create(&place.join(stack_name(&hash)), "unit.1").expect("a leaf")))
    }

    /// A shell that moves itself into the leaf before it does anything else.
    fn shell(&self, script: &str) -> Shape {
        Shape::start(&format!("echo $$ > '{}'; {script}", self.file("cgroup.procs").display()), |_| {})
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("the kernel has it").trim().to_owned()
    }

    fn cage(&self, leader: ProcId) -> Cage {
        let mut cage = cage_of(leader);
        cage.cgroup = Some(self.0.clone());
        cage
    }
}

impl Drop for Caged {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let stack = self.0.path().parent().expect("it has one").to_owned();
        // Its processes leave it when they are reaped.
        for _ in 0..500 {
            if self.0.remove().is_ok() && !stack.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn a_cgroup_holds_what_left_everything_else() {
    let Some(caged) = Caged::new() else { return };
    let leaf = &caged.0;
    let events = leaf.events().expect("it can be watched");
    let mut shape = caged.shell(&format!("echo up; (env -i setsid {SLEEPER} & echo $!); exec {SLEEPER}"));
    let orphan = shape.told();
    await_program(orphan, "sleep");
    await_orphan(orphan, shape.id);
    let canary = Shape::start(&format!("echo up; exec {SLEEPER}"), |_| {});
    let mut cage = caged.cage(shape.id);
    assert_eq!(leaf.populated(), Some(true));
    assert_eq!(why(&full(&cage), orphan), Some(FoundBy::Cgroup));
    let outcome = cage.kill();
    assert!(outcome.survivors.is_empty());
    assert_eq!(outcome.forced.len(), 2);
    await_end(orphan);
    await_end(shape.id);
    while leaf.populated() == Some(true) {
        let mut fds = [rustix::event::PollFd::new(&events, rustix::event::PollFlags::PRI)];
        let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        assert!(rustix::event::poll(&mut fds, Some(&limit)).expect("pollable") > 0);
    }
    leaf.remove().expect("it is empty");
    assert!(runs(canary.id));
}

/// The kernel would kill all that is in there: also the terminal of somebody who entered the cgroup to look around.
#[test]
fn who_asked_survives_in_the_cgroup_of_a_service() {
    let Some(caged) = Caged::new() else { return };
    let mut keeper = Shape::start(&format!("echo up; read x; {SLEEPER} & echo $!; wait"), |command| {
        command.stdin(std::process::Stdio::piped());
    });
    let visitor = caged.shell(&format!("echo up; exec {SLEEPER}"));
    // The keeper itself is outside; its child is born inside.
    fs::write(caged.file("cgroup.procs"), keeper.id.pid.to_string()).expect("root may");
    std::io::Write::write_all(keeper.child.stdin.as_mut().expect("piped"), b"\n").expect("it reads");
    let service = keeper.told();
    fs::write(caged.0.path().join("../../cgroup.procs"), keeper.id.pid.to_string()).expect("root may");
    let mut cage = caged.cage(service);
    cage.keeper = Some(keeper.id);
    cage.spared.insert(visitor.id);
    assert!(cage.is_kept());
    let outcome = cage.kill();
    await_end(service);
    assert_eq!(processes(&outcome.forced), [service]);
    assert!(runs(visitor.id), "it was killed with the cgroup");
    assert!(!proc::stat(visitor.id.pid.get()).is_some_and(|it| it.state == proc::RunState::Stopped));
    assert_eq!(caged.read("cgroup.freeze"), "0");
}

#[test]
fn a_cgroup_that_the_kernel_does_not_kill_is_frozen_and_ended_one_by_one() {
    let Some(caged) = Caged::new() else { return };
    // A threaded cgroup refuses to be killed and to list its processes, as an older kernel refuses the first.
    fs::write(caged.file("cgroup.type"), "threaded").expect("nothing is in it yet");
    let mut shape = caged.shell(&format!("echo up; (env -i setsid {SLEEPER} & echo $!); exec {SLEEPER}"));
    let orphan = shape.told();
    await_program(orphan, "sleep");
    await_orphan(orphan, shape.id);
    assert!(caged.0.kill().is_err() && fs::read_to_string(caged.file("cgroup.procs")).is_err());
    let mut cage = caged.cage(shape.id);
    assert_eq!(why(&full(&cage), orphan), Some(FoundBy::Cgroup));
    let outcome = cage.kill();
    assert!(outcome.survivors.is_empty(), "{outcome:?}");
    assert_eq!(outcome.forced.len(), 2);
    await_end(orphan);
    await_end(shape.id);
    assert_eq!(caged.read("cgroup.freeze"), "0");
}

#[test]
fn a_cgroup_that_was_frozen_hears_the_signal() {
    let Some(caged) = Caged::new() else { return };
    let mut shape = caged.shell("trap 'echo term; exit' TERM; echo up; while :; do sleep 0.02; done");
    fs::write(caged.file("cgroup.freeze"), "1").expect("it may be written");
    await_fact("it is frozen", || caged.read("cgroup.events").contains("frozen 1"));
    let mut cage = caged.cage(shape.id);
    cage.ask(&mut World::new(), Whom::All, Signal::TERM);
    await_end(shape.id);
    assert_eq!(shape.line(), "term");
}

#[test]
fn cgroups_that_a_service_makes_below_its_own_are_part_of_it() {
    let Some(caged) = Caged::new() else { return };
    let deep = caged.0.path().join("a/b/c/d/e/f/g/h/i/j/k/l");
    fs::create_dir_all(&deep).expect("a service may");
    let mut shape = caged.shell(&format!(
        "echo up; (env -i setsid sh -c 'echo $$ > {}/cgroup.procs; exec {SLEEPER}' & echo $!); exec {SLEEPER}",
        deep.display()
    ));
    let orphan = shape.told();
    await_program(orphan, "sleep");
    await_orphan(orphan, shape.id);
    let mut cage = caged.cage(shape.id);
    assert_eq!(why(&full(&cage), orphan), Some(FoundBy::Cgroup));
    let outcome = cage.kill();
    assert!(outcome.survivors.is_empty(), "{outcome:?}");
    await_end(orphan);
    await_end(shape.id);
    await_fact("it is empty", || caged.0.populated() == Some(false));
    caged.0.remove().expect("with all that is below it");
    assert!(cage.census(&mut World::new(), Depth::Full).is_empty());
}
