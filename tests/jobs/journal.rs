//! What `run` signals by itself stands in the journal, with and without a supervisor.

use std::process::Stdio;

use serde_json::Value;

use crate::world::{World, finish, until};
use crate::{STACK, job};

fn events(world: &World) -> Vec<Value> {
    let told = world.run(&["events", "--json"]).expect(0);
    told.out.lines().map(|line| serde_json::from_str(line).expect("a document")).collect()
}

/// Reason and signal of each receipt of this job.
fn receipts(world: &World, name: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = events(world).into_iter();
    let ours = all.filter(|line| line["receipt"]["unit"] == name).map(|line| {
        assert_eq!(line["by"]["verb"], "run", "{line:#}");
        assert!(line["receipt"]["evidence"].as_str().is_some_and(|why| !why.is_empty()), "{line:#}");
        (text(&line["receipt"]["why"]), text(&line["receipt"]["signal"]))
    });
    ours.collect()
}

fn ends(world: &World, name: &str) -> usize {
    let outcomes = events(world).into_iter().filter(|line| line["outcome"]["unit"] == name);
    outcomes.map(|line| line["outcome"]["ends"].as_array().map_or(0, Vec::len)).sum()
}

fn pair(why: &str, signal: &str) -> (String, String) {
    (why.to_owned(), signal.to_owned())
}

#[test]
fn each_signal_of_run_has_its_receipt() {
    for supervised in [false, true] {
        let world = World::new(STACK);
        if supervised {
            world.up();
        }
        let left = world.program("left").display().to_string();
        finish(job(&world, &["--name", "late", "--timeout", "100ms"], &[&left, "wait"])).expect(124);
        assert_eq!(receipts(&world, "job late"), [pair("breach", "SIGTERM")]);
        assert_eq!(ends(&world, "job late"), 1);

        let leaves = format!("(setsid {left} wait & ) ; until pgrep -x none; do exit 0; done");
        finish(job(&world, &["--name", "leaves"], &["sh", "-c", &leaves])).expect(0);
        assert_eq!(receipts(&world, "job leaves"), [pair("left_behind", "SIGTERM")]);

        let many = format!("sh -c 'for i in 1 2 3 4 5 6 7 8; do {left} wait & done; wait'; exit 0");
        finish(job(&world, &["--name", "many", "--pids", "3"], &["sh", "-c", &many])).expect(0);
        let told = receipts(&world, "job many");
        assert!(told.len() >= 8 && told.iter().all(|one| *one == pair("breach", "SIGKILL")), "{told:?}");

        let mut asked = job(&world, &["--name", "asked"], &[&left, "wait"]).stderr(Stdio::null()).spawn();
        until("it runs", || world.living().len() == 1 + usize::from(supervised));
        // It has no receipt yet.
        world.run(&["events", "--why", "job asked"]).expect(0);
        world.run(&["events", "--why", "job nobody"]).expect(4);
        let asked = asked.as_mut().expect("it starts");
        crate::world::kill(i32::try_from(asked.id()).expect("a number"), rustix::process::Signal::TERM);
        asked.wait().expect("it ends");
        assert_eq!(receipts(&world, "job asked"), [pair("request", "SIGTERM")]);
        world.down(&[], 0);
        world.assert_none_but(&[]);
        if supervised {
            let replay = world.run(&["events", "--replay"]).expect(0).out;
            assert!(replay.contains("all of it agrees"), "{replay}");
        }
    }
}
