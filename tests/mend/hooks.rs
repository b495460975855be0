//! `init --hooks`: real commits with real git, beside hooks that others wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Ran, World, finish, runs, skip};

const STACK: &str = "services:\n  api: { command: stand-in wait }\nsweep: { patterns: ['wait vitest'] }\n";

/// A repository with a manifest and a first commit; none where git is missing.
struct Repo {
    world: World,
}

impl Repo {
    fn new() -> Option<Self> {
        if !Command::new("git").arg("--version").output().is_ok_and(|said| said.status.success()) {
            skip("git is needed");
            return None;
        }
        let repo = Self { world: World::new(STACK) };
        repo.git(&["init", "--quiet"]).expect(0);
        repo.git(&["add", "."]).expect(0);
        repo.git(&["commit", "--quiet", "-m", "first"]).expect(0);
        Some(repo)
    }

    fn git(&self, args: &[&str]) -> Ran {
        self.git_in(&self.world.dir(), args, true)
    }

    /// Git without anybody's settings; with devstack on the search path or without.
    fn git_in(&self, dir: &Path, args: &[&str], with_devstack: bool) -> Ran {
        let mut path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
        if with_devstack {
            let program = Path::new(env!("CARGO_BIN_EXE_devstack")).parent().expect("a directory");
            path = format!("{}:{path}", program.display());
        }
        let mut command = Command::new("git");
        command.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]);
        command.args(args).current_dir(dir).env("PATH", path).env("HOME", self.world.beside("home"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("DEVSTACK_STATE_DIR", self.world.state());
        finish(command)
    }

    fn commit(&self) -> Ran {
        self.git(&["commit", "--allow-empty", "--quiet", "-m", "next"])
    }

    fn hook(&self) -> PathBuf {
        self.world.dir().join(".git/hooks/pre-commit")
    }
}

#[test]
fn the_hook_tells_of_strays_and_lets_the_commit_pass() {
    let Some(repo) = Repo::new() else { return };
    repo.world.run(&["init", "--hooks"]).expect(0);
    let text = fs::read(repo.hook()).expect("it is there");
    repo.world.run(&["init", "--hooks"]).expect(0);
    assert_eq!(fs::read(repo.hook()).expect("it is there"), text, "twice is once");
    let quiet = repo.commit().expect(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""), "nothing to tell");

    let stray = repo.world.start("stand-in", &["wait", "vitest"], &repo.world.dir());
    let told = repo.commit().expect(0);
    assert!(
        told.err.contains(&stray.pid().to_string()) && told.err.contains("devstack sweep"),
        "{}",
        told.err
    );
    assert!(runs(stray.pid()), "a warning signals nobody");
    let without =
        repo.git_in(&repo.world.dir(), &["commit", "--allow-empty", "-qm", "next"], false).expect(0);
    assert_eq!(without.err, "", "no devstack, no word");

    let other = repo.world.start("stand-in", &["wait", "vitest"], &repo.world.beside("other"));
    repo.world.run(&["init", "--hooks=sweep"]).expect(0);
    repo.commit().expect(0);
    assert!(!runs(stray.pid()) && runs(other.pid()));
    for _ in 0..2 {
        repo.world.run(&["init", "--hooks", "--remove"]).expect(0);
        assert!(!repo.hook().exists());
    }
}

#[test]
fn a_foreign_hook_is_never_touched() {
    let Some(repo) = Repo::new() else { return };
    let ours = {
        repo.world.run(&["init", "--hooks"]).expect(0);
        fs::read_to_string(repo.hook()).expect("it is there")
    };
    for foreign in ["#!/bin/sh\nnpm run lint\n".to_owned(), format!("{ours}npm run lint\n")] {
        fs::write(repo.hook(), &foreign).expect("written");
        let refused = repo.world.run(&["init", "--hooks"]).expect(1);
        assert!(refused.err.contains("DS059"), "{}", refused.err);
        assert!(refused.err.contains("devstack sweep -f 'devstack.yaml' --dry-run"), "{}", refused.err);
        repo.world.run(&["init", "--hooks", "--remove"]).expect(0);
        assert_eq!(fs::read_to_string(repo.hook()).expect("it is there"), foreign);
    }
    // One that leads elsewhere is somebody's as well.
    let elsewhere = repo.world.beside("hooks").join("shared");
    fs::write(&elsewhere, &ours).expect("written");
    fs::remove_file(repo.hook()).expect("it is there");
    std::os::unix::fs::symlink(&elsewhere, repo.hook()).expect("a link");
    repo.world.run(&["init", "--hooks"]).expect(1);
    assert_eq!(fs::read_to_string(&elsewhere).expect("it is there"), ours);
}

#[test]
fn git_says_where_its_hooks_are() {
    let Some(repo) = Repo::new() else { return };
    // A manifest below the top, a relative `core.hooksPath`, and a linked worktree.
    let sub = repo.world.dir().join("it's a dir");
    fs::create_dir(&sub).expect("a directory");
    fs::copy(repo.world.dir().join("devstack.yaml"), sub.join("devstack.yaml")).expect("copied");
    repo.git(&["add", "."]).expect(0);
    repo.commit().expect(0);
    repo.git(&["config", "core.hooksPath", ".hooks"]).expect(0);
    let hook = repo.world.dir().join(".hooks/pre-commit");
    let at = |dir: &Path, args: &[&str]| {
        let mut command = repo.world.command(args);
        command.current_dir(dir);
        finish(command)
    };
    at(&sub, &["init", "--hooks"]).expect(0);
    repo.world.run(&["init", "--hooks=sweep"]).expect(0);
    let text = fs::read_to_string(&hook).expect("it is there");
    assert!(text.contains("sweep 'devstack.yaml'\nwarn 'it'\\''s a dir/devstack.yaml'\n"), "{text}");
    let stray = repo.world.start("stand-in", &["wait", "vitest"], &sub);
    assert!(repo.commit().expect(0).err.contains(&stray.pid().to_string()));
    at(&sub, &["init", "--hooks", "--remove"]).expect(0);
    assert_eq!(repo.commit().expect(0).err, "");
    repo.world.run(&["init", "--hooks", "--remove"]).expect(0);
    assert!(!hook.exists());
    drop(stray);

    repo.git(&["config", "--unset", "core.hooksPath"]).expect(0);
    let tree = repo.world.beside("trees").join("b");
    repo.git(&["worktree", "add", "--quiet", tree.to_str().expect("text")]).expect(0);
    at(&tree, &["init", "--hooks"]).expect(0);
    assert!(repo.hook().exists(), "a linked worktree has the hooks of its repository");
    let stray = repo.world.start("stand-in", &["wait", "vitest"], &tree);
    let told = repo.git_in(&tree, &["commit", "--allow-empty", "-qm", "next"], true).expect(0);
    assert!(told.err.contains(&stray.pid().to_string()), "{}", told.err);
    assert_eq!(repo.commit().expect(0).err, "", "it is another checkout's");
}

#[test]
fn init_says_what_it_does_not_do() {
    let world = World::new(STACK);
    let plain = world.run(&["init"]).expect(2);
    assert!(plain.err.contains("--hooks"), "{}", plain.err);
    world.run(&["init", "--remove"]).expect(2);
    let mut outside = world.command(&["init", "--hooks"]);
    outside.env("GIT_CEILING_DIRECTORIES", "/");
    let outside = finish(outside).expect(1);
    assert!(outside.err.contains("DS071") && outside.err.contains("not a git repository"), "{}", outside.err);
    assert!(!outside.err.contains("DEVSTACK_STATE_DIR"), "no disk is to blame: {}", outside.err);
}
