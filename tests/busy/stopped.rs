//! Machinery that was stopped (SIGSTOP) or that a debugger holds: commands notice it in time and never hang on it.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::world::{Ran, Started, World, kill, list, number, runs, skip, stat, until};

const STACK: &str = concat!(
    "services:\n",
    "  api: { command: stand-in child --session --life 600, ready: { log: 'child [0-9]+' } }\n",
    "  web: { command: stand-in wait, depends_on: [api] }\n",
);

/// So long a command may take that has noticed; a hang would last until the test's own patience.
const SOON: Duration = Duration::from_secs(30);

fn stop(pid: i32) {
    kill(pid, Signal::STOP);
    until("it is stopped", || stat(pid).is_some_and(|stat| stat.state == 'T'));
}

/// A debugger on a process: it reacts to no signal but SIGKILL.
fn hold(world: &World, pid: i32) -> Option<Started> {
    let pid = pid.to_string();
    let mut debugger = world.start("debugger", &["hold", "--pid", &pid, "--life", "100"], &world.dir());
    (debugger.line() == "held").then_some(debugger)
}

fn soon(ran: &Ran) {
    assert!(ran.took < SOON, "{:?}: {}", ran.took, ran.err);
}

#[test]
fn a_stopped_supervisor_is_noticed_by_those_who_look() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        let (supervisor, pid) = (world.supervisor(), world.pid("web"));
        stop(supervisor);
        let looked = world.run(&["ps", "--json"]).expect(0);
        soon(&looked);
        assert!(looked.err.contains(&format!("(pid {supervisor}) does not answer")), "{}", looked.err);
        assert!(looked.err.contains("stopped (SIGSTOP)"), "{}", looked.err);
        let view = looked.json();
        assert_eq!(number(&view["supervisor"]), supervisor);
        let web =
            list(&view, "services").iter().find(|one| one["name"] == "web").expect("it is told").clone();
        assert_eq!(number(&web["pid"]), pid);
        let status = world.run(&["status"]).expect(0);
        assert!(status.out.contains("its supervisor does not answer"), "{}", status.out);
        assert!(world.run(&["ls"]).expect(0).out.contains('2'), "it is listed");
        let waited = world.run(&["wait", "web"]).expect(1);
        assert!(waited.err.contains("error[DS056]"), "{}", waited.err);
        assert!(waited.err.contains("stopped (SIGSTOP)") && waited.err.contains("try "), "{}", waited.err);
        // Who looks changes nothing.
        assert_eq!(stat(supervisor).expect("it lives").state, 'T');
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}

#[test]
fn a_stopped_supervisor_is_woken_by_down() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        let supervisor = world.supervisor();
        stop(supervisor);
        let down = world.run(&["down", "--json"]).expect(0);
        soon(&down);
        assert!(down.err.contains(&format!("the supervisor (pid {supervisor}) was stopped")), "{}", down.err);
        let report = down.json();
        assert_eq!(report["clean"], true, "{report:#}");
        // It was an ordinary stop.
        assert_eq!(list(&report, "services")[0]["signal"], "SIGTERM", "{report:#}");
        world.assert_none_but(&[]);
        until("the supervisor has ended", || !runs(supervisor));
    }
}

#[test]
fn a_stopped_supervisor_is_woken_by_up() {
    let world = World::new(STACK);
    world.up();
    let (supervisor, living) = (world.supervisor(), world.living());
    stop(supervisor);
    let up = world.run(&["up"]).expect(0);
    soon(&up);
    assert!(up.err.contains("it is woken"), "{}", up.err);
    assert_eq!(world.living(), living, "nothing is started twice");
    assert_eq!(world.supervisor(), supervisor);
}

#[test]
fn a_supervisor_that_is_stopped_in_the_middle_of_a_stop_is_woken() {
    let world = World::new(
        "services:\n  deaf: { command: stand-in deaf, stop_grace_period: 1s, ready: { log: deaf } }\n",
    );
    world.up();
    let supervisor = world.supervisor();
    let mut down = world.command(&["down"]);
    let down = down.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    until("it is being stopped", || world.service("deaf")["state"] == "stopping");
    stop(supervisor);
    let ended = down.wait_with_output().expect("ours");
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{told}");
    assert!(told.contains("it is woken"), "{told}");
    world.assert_none_but(&[]);
}

#[test]
fn a_supervisor_that_does_not_react_is_deposed_by_down() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        let supervisor = world.supervisor();
        let Some(debugger) = hold(&world, supervisor) else {
            return skip("no process may be traced here");
        };
        let looked = world.run(&["ps"]).expect(0);
        assert!(looked.err.contains("held by a debugger"), "{}", looked.err);
        let up = world.run(&["up"]).expect(1);
        soon(&up);
        assert!(up.err.contains("error[DS056]") && up.err.contains("held by a debugger"), "{}", up.err);
        let down = world.run(&["down", "--json"]).expect(0);
        soon(&down);
        let told = format!("the supervisor (pid {supervisor}) does not answer: it is ended");
        assert!(down.err.contains(&told), "{}", down.err);
        assert_eq!(down.json()["clean"], true);
        assert!(!runs(supervisor));
        world.assert_none_but(&[&debugger]);
    }
}

#[test]
fn a_stopped_keeper_is_woken_and_says_the_truth() {
    for plain in [false, true] {
        for supervised in [true, false] {
            let world = if plain { World::plain(STACK) } else { World::new(STACK) };
            world.up();
            let (supervisor, keepers) = (world.supervisor(), ["api", "web"].map(|name| world.keeper(name)));
            keepers.into_iter().for_each(stop);
            if !supervised {
                kill(supervisor, Signal::KILL);
                until("it is dead", || !runs(supervisor));
            }
            let down = world.run(&["down", "--json"]).expect(0);
            // Far below the grace: nobody waited for it.
            assert!(down.took < Duration::from_secs(9), "{:?}", down.took);
            let report = down.json();
            assert_eq!((&report["clean"], number(&report["forced"])), (&true.into(), 0), "{report:#}");
            for service in list(&report, "services") {
                assert_eq!(service["exit"]["signal"], "SIGTERM", "its keeper's word: {report:#}");
            }
            world.assert_none_but(&[]);
            until("the keepers have ended", || keepers.iter().all(|keeper| !runs(*keeper)));
        }
    }
}

#[test]
fn a_keeper_that_does_not_react_is_ended_after_its_service() {
    for plain in [false, true] {
        let world = if plain { World::plain(STACK) } else { World::new(STACK) };
        world.up();
        let keeper = world.keeper("api");
        let Some(debugger) = hold(&world, keeper) else {
            return skip("no process may be traced here");
        };
        let down = world.run(&["down", "--json", "--timeout", "500ms"]).expect(0);
        soon(&down);
        let report = down.json();
        assert_eq!(report["clean"], true, "{report:#}");
        assert!(!runs(keeper));
        world.assert_none_but(&[&debugger]);
    }
}
