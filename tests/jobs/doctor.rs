//! `doctor` knows jobs: those that run are in order, what a killed `run` has left is told, and cleared when it is dead.

use serde_json::Value;

use crate::ended::start;
use crate::world::{World, kill, list};
use crate::{STACK, each};

fn stale(world: &World, more: &[&str]) -> Vec<(String, Value)> {
    let words: Vec<&str> = ["doctor", "--json"].iter().chain(more).copied().collect();
    let told = world.run(&words).json();
    let findings =
        list(&told, "findings").iter().filter(|one| one["area"] == "stale" && one["name"] == "jobs");
    findings.map(|one| (one["text"].as_str().expect("text").to_owned(), one["fix"].clone())).collect()
}

#[test]
fn doctor_tells_what_a_killed_run_has_left_and_clears_it() {
    each(STACK, |world| {
        for supervised in [false, true] {
            if supervised {
                world.up();
            }
            let mut child = start(world);
            assert_eq!(stale(world, &[]), [], "a job that runs is in order");
            child.kill().expect("it is ours");
            child.wait().expect("it ends");
            let told = stale(world, &["--fix"]);
            let [(text, fix)] = &told[..] else { panic!("{told:?}") };
            assert!(text.contains("job tests") && text.contains("2 processes"), "{text}");
            assert_eq!(fix, "none", "whoever lives is `down`'s to end");
            let others: Vec<i32> = if supervised { vec![world.pid("web")] } else { vec![] };
            let left: Vec<i32> = world.living().into_keys().filter(|pid| !others.contains(pid)).collect();
            assert_eq!(left.len(), 2, "nothing was signalled");
            for pid in left {
                kill(pid, rustix::process::Signal::KILL);
            }
            world.await_living(others.len());
            let told = stale(world, &[]);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].0.contains("record") && told[0].1 == "possible", "{told:?}");
            assert_eq!(stale(world, &["--fix"])[0].1, "done");
            assert_eq!(stale(world, &[]), []);
        }
        world.down(&[], 0);
        world.assert_none_but(&[]);
    });
}
