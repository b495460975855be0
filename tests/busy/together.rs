//! Several commands at once: one after the other where they exclude each other, one answer for all where they agree.

use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::world::{World, kill, list, number, runs, until};

const PAIR: &str = "services:\n  api: { command: stand-in wait }\n  web: { command: stand-in wait }\n";

const DEAF: &str = concat!(
    "services:\n",
    "  deaf: { command: stand-in deaf, stop_grace_period: 60s, ready: { log: deaf } }\n",
    "  web: { command: stand-in wait }\n",
);

/// A command under way.
struct Under {
    child: Child,
}

/// How it ended.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

fn begin(world: &World, args: &[&str]) -> Under {
    let mut command = world.command(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    Under { child }
}

impl Under {
    fn end(self) -> Done {
        let output = self.child.wait_with_output().expect("ours");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Done {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}: {}\n{}", self.out, self.err))
    }
}

fn both(manifest: &str) -> [World; 2] {
    [World::new(manifest), World::plain(manifest)]
}

fn without_supervisor(world: &World) {
    let supervisor = world.supervisor();
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
}

fn stopping(world: &World) {
    until("it is being stopped", || world.service("deaf")["state"] == "stopping");
}

#[test]
fn many_ups_at_once_start_everything_once() {
    for world in both(PAIR) {
        let ups: Vec<Under> = (0..10).map(|_| begin(&world, &["up", "--json"])).collect();
        let mut started = 0;
        for up in ups {
            let report = up.end().expect(0).json();
            assert_eq!(report["ready"], true, "{report:#}");
            started += list(&report, "services").iter().filter(|one| one["outcome"] == "started").count();
        }
        assert_eq!(started, 2, "each service is started by one of them");
        assert_eq!(world.living().len(), 2);
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}

#[test]
fn ups_of_different_services_do_not_disturb_each_other() {
    let world = World::new(PAIR);
    let ups = [begin(&world, &["up", "api"]), begin(&world, &["up", "web"])];
    for up in ups {
        up.end().expect(0);
    }
    assert_eq!(world.living().len(), 2);
}

#[test]
fn a_down_takes_an_up_under_way_back() {
    for world in both(
        "services:\n  api: { command: stand-in wait, ready: { log: never } }\n  web: { command: stand-in wait }\n",
    ) {
        let up = begin(&world, &["up"]);
        world.await_living(2);
        let down = world.run(&["down", "--json"]).expect(0);
        assert_eq!(down.json()["clean"], true, "{}", down.out);
        let up = up.end().expect(1);
        assert!(up.err.contains("error[DS"), "{}", up.err);
        world.assert_none_but(&[]);
    }
}

#[test]
fn an_up_during_a_down_is_told_that_the_stack_is_held() {
    for supervised in [true, false] {
        let world = World::new(DEAF);
        world.up();
        if !supervised {
            without_supervisor(&world);
        }
        let down = begin(&world, &["down", "--json"]);
        stopping(&world);
        let up = world.run(&["up"]).expect(7);
        assert!(up.err.contains("error[DS043]: another command is at work on this stack"), "{}", up.err);
        assert!(up.err.contains("held by") && up.err.contains("try "), "{}", up.err);
        assert_eq!(world.run(&["restart", "web"]).status.code(), Some(7));
        // Nothing of it was begun; and the next one goes on as if nothing had been.
        world.run(&["down", "--force", "--json"]).expect(0);
        assert_eq!(down.end().expect(0).json()["clean"], true);
        world.assert_none_but(&[]);
        world.up();
        world.down(&["--force"], 0);
    }
}

#[test]
fn downs_at_once_get_one_answer() {
    for supervised in [true, false] {
        for world in both(DEAF) {
            world.up();
            if !supervised {
                without_supervisor(&world);
            }
            let first = begin(&world, &["down", "--json"]);
            stopping(&world);
            let others: Vec<Under> = (0..5).map(|_| begin(&world, &["down", "--json"])).collect();
            // The harder one wins for all.
            let harder = begin(&world, &["down", "--force", "--json"]);
            for down in others.into_iter().chain([first, harder]) {
                let report = down.end().expect(0).json();
                assert_eq!(report["clean"], true, "{report:#}");
                assert!(report["seconds"].as_f64().expect("a number") < 50.0, "nobody waited the grace out");
            }
            world.assert_none_but(&[]);
        }
    }
}

#[test]
fn a_down_of_what_is_down_is_done() {
    let world = World::new(PAIR);
    for _ in 0..2 {
        let report = world.down(&[], 0);
        assert_eq!((&report["clean"], number(&report["ended"])), (&true.into(), 0), "{report:#}");
    }
    let downs: Vec<Under> = (0..5).map(|_| begin(&world, &["down", "--json"])).collect();
    for down in downs {
        assert_eq!(down.end().expect(0).json()["clean"], true);
    }
}

#[test]
fn whatever_comes_together_nothing_is_left_and_nothing_runs_twice() {
    for world in both(PAIR) {
        let verbs: [&[&str]; 10] = [
            &["up"],
            &["down"],
            &["up", "web"],
            &["restart", "api"],
            &["down", "--force"],
            &["up"],
            &["stop", "web"],
            &["ps"],
            &["up", "--recreate"],
            &["status"],
        ];
        for turn in 0..3 {
            let commands: Vec<Under> =
                (0..verbs.len()).map(|at| begin(&world, verbs[(at * 3 + turn) % verbs.len()])).collect();
            for command in commands {
                let done = command.end();
                // Ready, taken back, not running, degraded, held: each of them an answer, none of them a bug.
                assert!(matches!(done.code, Some(0 | 1 | 3 | 5 | 7)), "{:?}: {}", done.code, done.err);
                assert!(
                    done.code == Some(0) || done.err.contains("error[DS") || !done.out.is_empty(),
                    "{}",
                    done.err
                );
                assert!(!done.err.contains("DS044") && !done.err.contains("DS070"), "{}", done.err);
            }
            let living = world.living();
            assert!(living.len() <= 2, "twice: {living:?}");
        }
        world.up();
        assert_eq!(world.living().len(), 2);
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}
