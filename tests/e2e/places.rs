//! Long, wide and foreign names.

use crate::world::{World, stand_in, text};

#[test]
fn a_long_path_with_blanks_and_letters_of_all_kinds_works() {
    let place = format!("Größe und Übung/{}/naïve 株式会社", "a-long-directory-name-".repeat(10));
    let world = World::at(
        &place,
        &format!(
            "
services:
  datenbank-ä: {{ command: [{stand_in}, notify], ready: {{ notify: true }} }}
  'the web': {{ command: pwd > where; echo hallo; exec sleep 600, ready: {{ log: hallo }}, depends_on: [datenbank-ä] }}
  日本: {{ command: exec sleep 600, depends_on: ['the web'] }}
",
            stand_in = stand_in()
        ),
    );
    assert!(world.dir.as_os_str().len() > 200);
    world.ok(&["up"]).says(&["datenbank-ä", "the web", "日本", "3 of 3 ready"]);
    assert_eq!(world.read("where").trim(), world.dir.to_string_lossy());
    assert_eq!(text(&world.ps()["dir"]), world.dir.to_string_lossy());
    world.ok(&["ps"]).says(&["datenbank-ä", "the web", "日本"]);
    world.ok(&["status", "the web"]);
    world.ok(&["logs", "the web"]).says(&["hallo"]);
    world.ok(&["restart", "日本"]);
    world.ok(&["stop", "the web"]);
    world.ok(&["up"]);
    world.ok(&["down"]).says(&["datenbank-ä", "0 left"]);
    world.await_nothing();
}

#[test]
fn two_checkouts_of_the_same_name_are_two_stacks() {
    let manifest = "name: same\nservices: { a: { command: exec sleep 600, ports: { http: auto } } }";
    let world = World::new(manifest);
    let second = world.path("second");
    std::fs::create_dir_all(&second).expect("a directory");
    std::fs::write(second.join("devstack.yaml"), manifest).expect("a manifest");
    let dir = second.to_string_lossy().into_owned();
    world.ok(&["up"]);
    world.ok(&["-C", &dir, "up"]);
    let pid = world.pid("a");
    let ps = world.json(0, &["-C", &dir, "ps", "--json"]);
    assert_ne!(ps["services"][0]["pid"], pid);
    assert_ne!(world.ok(&["port", "a"]).stdout, world.ok(&["-C", &dir, "port", "a"]).stdout);
    assert_eq!(world.json(0, &["ls", "--json"])["stacks"].as_array().map(Vec::len), Some(2));
    world.ok(&["-C", &dir, "down"]);
    assert_eq!(world.pid("a"), pid);
}
