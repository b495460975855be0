//! `doctor` names `sweep` where it finds strays.

use serde_json::Value;

use crate::world::{World, list, runs};

const STACK: &str = "services:\n  api: { command: stand-in wait }\nsweep: { patterns: ['wait vitest'] }\n";

fn of_strays(world: &World) -> Option<Value> {
    let checkup = world.run(&["doctor", "--json"]).json();
    list(&checkup, "findings").iter().find(|one| one["try"].to_string().contains(" sweep ")).cloned()
}

#[test]
fn strays_are_told_with_the_command_that_ends_them() {
    // Also of a stack that was never used, as an old start script leaves them.
    for used in [true, false] {
        let world = World::new(STACK);
        if used {
            world.up();
        }
        assert_eq!(of_strays(&world), None);
        let stray = world.start("stand-in", &["wait", "vitest"], &world.dir());
        let other = world.start("stand-in", &["wait", "vitest"], &world.beside("other"));
        let told = of_strays(&world).expect("a finding");
        assert_eq!(told["grade"], "attention");
        assert!(told["text"].as_str().expect("text").contains("1 stray lives"), "{told}");
        assert!(runs(stray.pid()), "a doctor signals nobody");
        assert_eq!(world.state().read_dir().expect("state").count() > 0, used, "to look leaves no trace");
        world.run(&["sweep"]).expect(0);
        assert_eq!(of_strays(&world), None);
        assert!(!runs(stray.pid()) && runs(other.pid()));
    }
}
