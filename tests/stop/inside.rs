//! `down` called from within the stack that it ends: by a service, and by a shell that a service started.

use crate::world::{World, list, number, runs, until};

/// The service itself calls `down` and writes what it says to a file.
fn stack(prefix: &str) -> String {
    format!(
        "services:\n  other: {{ command: stand-in wait }}\n  api:\n    depends_on: [other]\n    command: >-\n      \
         while [ ! -e go ]; do sleep 0.02; done; {prefix} DEVSTACK down --json > report 2> errors; \
         echo $? > code; exec stand-in wait after\n"
    )
}

fn told_from_inside(plain: bool, prefix: &str) {
    let manifest = stack(prefix).replace("DEVSTACK", env!("CARGO_BIN_EXE_devstack"));
    let world = if plain { World::plain(&manifest) } else { World::new(&manifest) };
    world.up();
    let (api, other) = (world.pid("api"), world.pid("other"));
    std::fs::write(world.dir().join("go"), "").expect("written");
    let code = world.dir().join("code");
    until("its down has ended", || std::fs::read_to_string(&code).is_ok_and(|code| !code.is_empty()));
    let text = |name: &str| std::fs::read_to_string(world.dir().join(name)).unwrap_or_default();
    let report: serde_json::Value =
        serde_json::from_str(&text("report")).unwrap_or_else(|why| panic!("{why}: {}", text("errors")));
    assert!(!runs(other), "{report:#}");
    // Who called is not ended by its own call: that is told, never hidden.
    assert!(runs(api), "{report:#}");
    assert_eq!(text("code").trim(), "6", "{report:#}");
    let survivors = list(&report, "survivors");
    let caller = survivors.iter().find(|one| number(&one["pid"]) == api).expect("the caller is told");
    assert!(caller["reason"].as_str().expect("text").contains("called from it"), "{caller}");
    until("it goes on after its call", || world.living().len() == 1);
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    world.assert_none_but(&[]);
}

#[test]
fn a_service_that_ends_its_stack_gets_its_answer() {
    told_from_inside(false, "");
}

#[test]
fn a_service_of_a_plain_user_that_ends_its_stack_gets_its_answer() {
    told_from_inside(true, "");
}
