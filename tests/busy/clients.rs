//! Clients that die or do not listen: what they asked for is done or taken back, and nobody waits for them.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::world::{World, kill, list, runs, until};

const PAIR: &str = concat!(
    "services:\n",
    "  api: { command: stand-in wait }\n",
    "  web: { command: stand-in talk --every 20, depends_on: [api], ready: { log: line 1 } }\n",
);

fn begin(world: &World, args: &[&str]) -> Child {
    let mut command = world.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// The socket of a stack's supervisor.
fn socket(world: &World) -> PathBuf {
    let pid = world.supervisor();
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("ours")
        .flatten()
        .filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.to_str()?.to_owned()))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string("/proc/net/unix").expect("a table");
    let listening = table.lines().filter(|line| line.contains(" 00010000 "));
    let path = listening.filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        inodes.iter().any(|inode| words.get(6) == Some(&inode.as_str())).then(|| words.get(7).copied())?
    });
    path.map(PathBuf::from).next().expect("it listens")
}

#[test]
fn a_client_that_is_killed_at_any_moment_leaves_order_behind() {
    for after in [0, 1, 3, 8, 20, 50] {
        let world = if after % 2 == 0 { World::new(PAIR) } else { World::plain(PAIR) };
        for verb in [&["up"][..], &["restart", "api"], &["logs", "-f"], &["wait", "--for=stopped"], &["down"]]
        {
            let mut client = begin(&world, verb);
            std::thread::sleep(Duration::from_millis(after));
            client.kill().expect("ours");
            client.wait().expect("ours");
        }
        // Whatever has come of it: the stack can be brought up, and each service runs once.
        let mut up = world.run(&["up"]);
        while up.status.code() == Some(7) {
            // The `down` of the dead client is still in work.
            up = world.run(&["up"]);
        }
        up.expect(0);
        world.await_living(2);
        world.down(&[], 0);
        world.assert_none_but(&[]);
    }
}

#[test]
fn a_reader_that_leaves_holds_nobody_up() {
    let world = World::new(PAIR);
    for verb in [&["up"][..], &["ps"], &["status"], &["logs", "-f"], &["events", "-f"], &["down"]] {
        let mut client = begin(&world, verb);
        // Both pipes are closed at once: nobody reads a word.
        drop((client.stdout.take(), client.stderr.take()));
        if verb.contains(&"-f") {
            // It learns of it when it has something to say: the service talks; events come of a restart.
            world.run(&["restart", "web"]).expect(0);
        }
        let pid = i32::try_from(client.id()).expect("a number");
        until("it has ended", || !runs(pid));
        let status = client.wait().expect("ours");
        assert!(status.code().is_some(), "{verb:?}: {status}");
    }
    world.assert_none_but(&[]);
}

#[test]
fn clients_that_do_not_read_their_answers_hold_nobody_up() {
    for plain in [false, true] {
        let world = if plain { World::plain(PAIR) } else { World::new(PAIR) };
        world.up();
        let (path, supervisor) = (socket(&world), world.supervisor());
        let mut deaf = Vec::new();
        for request in ["GET /v1/stack", "GET /v1/watch", "GET /v1/watch", "GET /v1/version"] {
            let mut stream = UnixStream::connect(&path).expect("it listens");
            write!(stream, "{request} HTTP/1.1\r\nHost: devstack\r\n\r\n").expect("written");
            deaf.push(stream);
        }
        // One that says half of its request, one that says nothing, one that says nonsense.
        let mut half = UnixStream::connect(&path).expect("it listens");
        write!(half, "POST /v1/down HTTP/1.1\r\nHost: devstack\r\nContent-Length: 5000\r\n\r\n{{")
            .expect("written");
        let silent = UnixStream::connect(&path).expect("it listens");
        let mut nonsense = UnixStream::connect(&path).expect("it listens");
        nonsense.write_all(&[0xff; 64]).expect("written");
        // Hundreds of changes that nobody reads.
        for _ in 0..10 {
            world.run(&["restart", "web"]).expect(0);
        }
        let view = world.ps();
        assert_eq!(list(&view, "services").len(), 2);
        let down = world.run(&["down"]).expect(0);
        assert!(down.took < Duration::from_secs(20), "{:?}", down.took);
        world.assert_none_but(&[]);
        until("the supervisor has ended", || !runs(supervisor));
        drop((deaf, half, silent));
        let _ = nonsense.read(&mut [0; 16]);
    }
}

#[test]
fn a_client_that_is_stopped_holds_nobody_up() {
    let world = World::new(PAIR);
    world.up();
    let mut watcher = begin(&world, &["logs", "-f"]);
    let mut waiter = begin(&world, &["wait", "--for=stopped"]);
    for client in [&watcher, &waiter] {
        kill(i32::try_from(client.id()).expect("a number"), Signal::STOP);
    }
    world.run(&["restart", "web"]).expect(0);
    world.down(&[], 0);
    world.assert_none_but(&[]);
    for client in [&mut watcher, &mut waiter] {
        client.kill().expect("ours");
        client.wait().expect("ours");
    }
}

#[test]
fn a_down_that_was_stopped_in_its_own_process_is_woken_by_the_next() {
    let world = World::new(concat!(
        "services:\n",
        "  deaf: { command: stand-in deaf, stop_grace_period: 60s, ready: { log: deaf } }\n",
    ));
    world.up();
    let supervisor = world.supervisor();
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    let first = begin(&world, &["down", "--json"]);
    let pid = i32::try_from(first.id()).expect("a number");
    until("it is being stopped", || world.service("deaf")["state"] == "stopping");
    kill(pid, Signal::STOP);
    let looked = world.run(&["ps"]).expect(0);
    assert!(
        looked.err.contains(&format!("a devstack command (pid {pid}) does not answer")),
        "{}",
        looked.err
    );
    let second = world.run(&["down", "--force", "--json"]).expect(0);
    assert!(second.err.contains("it is woken"), "{}", second.err);
    assert_eq!(second.json()["clean"], true);
    let first = first.wait_with_output().expect("ours");
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    world.assert_none_but(&[]);
}
