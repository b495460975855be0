//! What runs instead of a container where no engine answers. The engine here is a script that says what it is told to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::world::{Out, World, finish, text};

const MANIFEST: &str = "
services:
  db:
    image: postgres:16
    ports: ['5433:5432']
    fallback: { command: 'echo up; exec sleep 600', ready: { log: up } }
  web: { command: exec sleep 600, depends_on: [db] }
";

/// An engine that does not answer until there is a file `answers` beside it; it counts how often it was asked.
const DOCKER: &str = r#"#!/bin/sh
here=${0%/*}
echo "$*" >> "$here/asked"
if [ -e "$here/answers" ]; then
    echo '{"Client":{"Version":"1"},"Server":{"Version":"1"}}'
else
    echo 'Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?' >&2
    exit 1
fi
"#;

struct Engine<'w>(&'w World);

impl<'w> Engine<'w> {
    fn install(world: &'w World) -> Self {
        let dir = world.path("bin");
        fs::create_dir(&dir).expect("a directory");
        fs::write(dir.join("docker"), DOCKER).expect("a script");
        fs::set_permissions(dir.join("docker"), fs::Permissions::from_mode(0o755)).expect("a program");
        Self(world)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        let old = std::env::var_os("PATH").unwrap_or_default();
        let dirs = std::iter::once(self.0.path("bin")).chain(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(dirs).expect("a path")).env_remove("DEVSTACK_ENGINE");
        command
    }

    fn run(&self, args: &[&str]) -> Out {
        finish(self.command(args)).expect(0, &args.join(" "))
    }

    fn answers(&self) {
        fs::write(self.0.path("bin/answers"), "").expect("a file");
    }

    fn asked(&self) -> usize {
        fs::read_to_string(self.0.path("bin/asked")).unwrap_or_default().lines().count()
    }
}

#[test]
fn where_no_engine_answers_the_fallback_runs_and_everybody_is_told() {
    let world = World::new(MANIFEST);
    let engine = Engine::install(&world);
    let up = engine.run(&["up"]);
    for word in
        ["db runs as its fallback and not as postgres:16", "systemctl start docker", "then devstack up"]
    {
        assert!(up.stderr.contains(word), "{up:?}");
    }
    assert_eq!(engine.asked(), 1, "once, however many units");
    let db = world.service("db");
    assert_eq!(text(&db["note"]), "instead of postgres:16");
    assert_eq!(db["ports"], serde_json::json!([5433]));
    engine.run(&["ps"]).says(&["instead of postgres:16"]);
    let pid = world.pid("db");
    assert!(engine.run(&["up"]).stderr.contains("its fallback"), "not silently the second time either");
    assert_eq!(world.pid("db"), pid, "nothing has changed");
    engine.run(&["up", "--dry-run"]).says(&["instead of postgres:16"]);
    engine.answers();
    let told = engine.run(&["up", "--dry-run"]);
    assert!(!told.stdout.contains("instead of") && !told.stderr.contains("fallback"), "{told:?}");
    engine.run(&["down"]).says(&["0 left"]);
    world.await_nothing();
}

#[test]
fn an_engine_is_asked_only_for_the_sake_of_what_could_do_without_it() {
    let world = World::new(MANIFEST);
    let engine = Engine::install(&world);
    engine
        .run(&["check"])
        .says(&["db is a container of postgres:16, or its fallback where no engine answers"]);
    engine.run(&["config"]).says(&["fallback:", "image: postgres:16"]);
    let up = engine.run(&["up", "--no-deps", "web"]);
    assert!(!up.stderr.contains("fallback"), "{up:?}");
    assert_eq!(engine.asked(), 0);
    engine.run(&["down"]);
    world.await_nothing();
}
