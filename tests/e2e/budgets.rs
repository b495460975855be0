//! Budgets are told when they are exceeded, and are the judge only where that is asked for; a start that is far slower than
//! before is told.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::world::{World, alive, free_port};

const TWO: &str = "
services:
  a: { command: exec sleep 600 }
  b: { command: exec sleep 600, depends_on: [a] }
";

fn words(answer: &Value) -> Vec<String> {
    let over = answer["over_budget"].as_array().expect("a list").iter();
    over.map(|one| one["budget"].as_str().expect("a word").to_owned()).collect()
}

#[test]
fn what_is_exceeded_is_told_and_fails_only_with_strict() {
    let world = World::new(&format!("{TWO}budgets: {{ up: 1ms, down: 1ms, memory: 1K, processes: 1 }}\n"));
    let up = world.ok(&["up"]);
    up.says(&[
        "2 of 2 ready",
        "up took ",
        ", its budget is 1ms",
        "2 processes, the budget is 1",
        "the budget is 1K",
    ]);
    let status = world.ok(&["status"]);
    assert!(status.stderr.contains("2 processes, the budget is 1"), "{status:?}");
    let a = world.pid("a");
    let again = world.json(1, &["up", "--strict", "--recreate", "b", "--json"]);
    assert_eq!(
        (words(&again), &again["ready"]),
        (vec!["up".into(), "memory".into(), "processes".into()], &json!(true))
    );
    assert!(alive(a), "what is too much is not ended");
    assert_eq!(words(&world.json(0, &["down", "b", "--json"])), ["down"]);
    let down = world.json(1, &["down", "--strict", "--json"]);
    assert_eq!((words(&down), &down["clean"]), (vec!["down".to_owned()], &json!(true)));
    assert!(!alive(a));
    world.expect(1, &["up", "--strict"]);
    world.ok(&["down"]).says(&["down took ", ", its budget is 1ms", "0 left"]);
}

#[test]
fn budgets_that_are_kept_are_not_mentioned() {
    let budgets = "budgets: { up: 10m, down: 10m, memory: 64G, processes: 2 }\n";
    let world = World::new(&format!("{TWO}{budgets}"));
    for args in [&["up", "--strict"][..], &["status"], &["down", "--strict"]] {
        let out = world.ok(args);
        assert!(!out.stdout.contains("budget") && !out.stderr.contains("budget"), "{out:?}");
    }
}

#[test]
fn a_stop_that_is_not_clean_stays_that_whatever_it_took() {
    let port = free_port();
    let world = World::new(&format!(
        "services: {{ a: {{ command: exec sleep 600, ports: [{port}] }} }}\nbudgets: {{ down: 1ms }}\n"
    ));
    world.ok(&["up"]);
    let _held = TcpListener::bind(("127.0.0.1", port)).expect("nobody has it");
    world.expect(6, &["down", "--strict"]);
}

#[test]
fn a_start_that_is_far_slower_than_the_ones_before_is_told() {
    let world = World::new(
        "
services:
  slow: { command: test -f soon || sleep 1.5; touch ready; exec sleep 600, ready: { exec: test -f ready } }
  quick: { command: exec sleep 600 }
",
    );
    fs::write(world.dir.join("soon"), "").expect("written");
    let first = world.json(0, &["up", "--json"]);
    assert_eq!(first["slow"], json!([]), "one start is not usual yet");
    let state = world.dir.parent().expect("a base").join("state");
    let mut stacks = fs::read_dir(state).expect("there").map(|entry| entry.expect("an entry").path());
    let path = stacks.find(|dir| dir.join("stack.json").exists()).expect("it was used").join("starts.json");
    let read = || serde_json::from_slice::<Value>(&fs::read(&path).expect("there")).expect("JSON");
    assert_eq!(read()["slow"].as_array().map(Vec::len), Some(1), "{}", read());
    fs::write(&path, json!({ "slow": [9, 10, 11], "quick": [9, 10, 11], "gone": [1] }).to_string())
        .expect("ours");
    world.ok(&["down"]);
    fs::remove_file(world.dir.join("soon")).expect("there");
    fs::remove_file(world.dir.join("ready")).expect("there");
    let up = world.ok(&["up"]);
    up.says(&["slow took ", " to be ready, usual is 10ms"]);
    assert!(!up.stdout.contains("quick took"), "{up:?}");
    let kept = read();
    assert_eq!((kept["slow"].as_array().map(Vec::len), &kept["gone"]), (Some(4), &Value::Null), "{kept}");
    // What runs on has not started again.
    assert_eq!(world.json(0, &["up", "--json"])["slow"], json!([]));
    assert_eq!(read(), kept);
    world.ok(&["down"]);
}
