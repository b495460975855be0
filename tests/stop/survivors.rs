//! What cannot be ended, and ports that others hold: told, with exit code 6.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::world::{World, command_line, free_port, is_root, kill, list, number, runs, skip, until};

/// A mark that cannot be read is no proof: root's process with a copied environment is neither claimed nor touched.
#[test]
fn a_foreign_process_with_a_copied_mark_is_not_claimed() {
    if !is_root() {
        return skip("only root can start a process of another user");
    }
    let world = World::plain("services:\n  api: { command: stand-in wait }\n");
    world.up();
    let environ = std::fs::read(format!("/proc/{}/environ", world.pid("api"))).expect("root may");
    let mut command = Command::new("setsid");
    command.arg(world.program("stand-in")).args(["wait", "copied"]).env_clear();
    for pair in environ.split(|byte| *byte == 0) {
        if let Some((name, value)) = String::from_utf8_lossy(pair).split_once('=') {
            command.env(name, value);
        }
    }
    let mut root = command.current_dir("/").stdin(Stdio::null()).spawn().expect("it starts");
    let pid = i32::try_from(root.id()).expect("a number");
    until("it runs", || command_line(pid).contains("stand-in wait copied"));
    let report = world.down(&[], 0);
    assert!(list(&report, "survivors").is_empty(), "{report:#}");
    assert_eq!(world.living().into_keys().collect::<Vec<_>>(), [pid]);
    root.kill().expect("ours");
    root.wait().expect("ours");
}

fn real_user(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a line");
    line.split_whitespace().next().expect("a number").to_owned()
}

/// A setuid program, as `sudo` or `ping` are: a descendant of the service that belongs to root.
#[test]
fn a_setuid_descendant_survives_and_is_named() {
    let Some(world) = World::with_setuid_child() else { return };
    let living = world.living();
    let (pid, _) = living.iter().find(|(_, line)| line.contains("root-helper")).expect("it runs");
    if real_user(*pid) != "0" {
        return skip("this file system does not honour the setuid bit");
    }
    let leader = world.pid("api");
    let ran = world.run(&["down", "--json"]).expect(6);
    let report = ran.json();
    assert!(!runs(leader), "the others are ended all the same");
    assert_eq!(report["clean"], false);
    let survivor = &list(&report, "survivors")[0];
    assert_eq!(number(&survivor["pid"]), *pid);
    assert_eq!(survivor["user"], "root");
    assert_eq!(survivor["service"], "api");
    assert!(survivor["command"].as_str().expect("text").contains("root-helper"), "{survivor}");
    assert!(survivor["reason"].as_str().expect("text").contains("permitted"), "{survivor}");
    let text = world.run(&["down"]).expect(6);
    assert!(text.out.contains("root-helper") && text.out.contains("user root"), "{}", text.out);
    assert!(text.err.contains("DS048") && text.err.contains(&format!("{pid}")), "{}", text.err);
    kill(*pid, Signal::KILL);
    until("it is gone", || !runs(*pid));
    // Once it is gone, the same command proves it.
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_port_held_by_a_stranger_is_told_with_its_owner() {
    let port = free_port();
    let world = World::new(&format!("services:\n  api: {{ command: stand-in wait, ports: [{port}] }}\n"));
    world.up();
    let stranger = TcpListener::bind(("127.0.0.1", port)).expect("nobody listens there");
    let report = world.down(&[], 6);
    world.assert_none_but(&[]);
    assert_eq!(report["clean"], false);
    let held = &list(&report, "ports")[0];
    assert_eq!(held["free"], false);
    assert_eq!(number(&held["owner"]["pid"]), i32::try_from(std::process::id()).expect("a number"));
    let text = world.run(&["down"]).expect(6);
    assert!(text.err.contains(&format!("pid {}", std::process::id())), "{}", text.err);
    drop(stranger);
    world.down(&[], 0);
}

#[test]
fn a_port_held_by_another_users_process_is_told() {
    if !is_root() {
        return skip("only root can play two users");
    }
    let port = free_port();
    let world = World::plain(&format!("services:\n  api: {{ command: stand-in wait, ports: [{port}] }}\n"));
    world.up();
    let stranger = TcpListener::bind(("127.0.0.1", port)).expect("nobody listens there");
    let report = world.down(&[], 6);
    assert_eq!(list(&report, "ports")[0]["owner"]["user"], "root", "{report:#}");
    assert!(list(&report, "survivors").is_empty());
    drop(stranger);
    world.down(&[], 0);
    world.assert_none_but(&[]);
}
