//! Manifests and services that mean ill: nothing foreign is signalled, nothing is written outside, no ear is stopped up.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::world::{World, runs};

#[test]
fn a_name_leads_nowhere_else() {
    let long = "x".repeat(300);
    for name in ["../../x", "..", ".", "a/b", "/etc/x", "-rf", "a\\nb", "a\\0b", "a\\u202eb", "a\\eb", &long]
    {
        let world = World::new("");
        for text in [
            format!("services: {{ \"{name}\": {{ command: \"true\" }} }}\n"),
            format!("name: \"{name}\"\nservices: {{ a: {{ command: \"true\" }} }}\n"),
        ] {
            world.write(&text);
            world.run(&["up"]).expect(65);
        }
        assert_eq!(fs::read_dir(world.state()).expect("ours").count(), 0, "{name}");
        world.write("services: { none: { command: \"true\" } }\n");
    }
}

#[test]
fn a_pattern_cannot_reach_for_everything() {
    let world = World::new("");
    let canary = world.start("canary", &["wait"], &world.beside("elsewhere"));
    for pattern in ["", ".*", ".", ".+", "\\\\w", "[^x]", "(a|e|o)?", "\\\\S+"] {
        world.write(&format!(
            "services: {{ a: {{ command: \"true\" }} }}\nsweep: {{ patterns: [\"{pattern}\"] }}\n"
        ));
        world.run(&["check"]).expect(65);
    }
    let text = "services: { a: { command: \"sleep 600\", working_dir: / } }\nsweep: { patterns: [canary] }\n";
    world.write(text);
    // In a directory that holds the home, the condition of the directory would be none.
    let mut command = world.command(&["check"]);
    command.env("HOME", world.dir().join("home/dev"));
    let ran = crate::world::finish(command).expect(65);
    assert!(ran.err.contains("scope: user"), "{}", ran.err);
    // A service may work anywhere: what it works beside is not the stack's.
    world.run(&["up"]).expect(0);
    world.run(&["down"]);
    assert!(runs(canary.pid()), "a foreign process was ended");
}

#[test]
fn rubbish_on_the_sockets_stops_no_ear() {
    let world =
        World::new("services:\n  api: { command: stand-in talk --every 50, ready: { log: line 1 } }\n");
    world.up();
    let run = world.state().join("run");
    let stack = fs::read_dir(run).expect("sockets").flatten().next().expect("one stack").path();
    let sockets: Vec<PathBuf> =
        fs::read_dir(stack).expect("sockets").flatten().map(|entry| entry.path()).collect();
    assert!(sockets.len() >= 2, "{sockets:?}");
    let mut held = Vec::new();
    for socket in &sockets {
        for text in [
            "\n",
            "{\"emptied\":null}\n\"emptied\"\n",
            "POST /v1/down HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n{",
            "\u{0}\u{1b}",
        ] {
            let Ok(mut stream) = UnixStream::connect(socket) else { continue };
            stream.set_nonblocking(true).expect("set");
            // It may hang up on us at any time, or not read at all.
            let _ = stream.write_all(text.repeat(2_000).as_bytes());
            held.push(stream);
        }
    }
    assert!(held.len() >= sockets.len());
    assert!(runs(world.pid("api")));
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report}");
    world.assert_none_but(&[]);
}
