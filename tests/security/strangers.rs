//! Strangers and lies around a stack: marks of another stack, a cgroup that is not one's own, planted cgroups and sockets,
//! a stranger who says that a service is ready, a checkout reached by a link. What is ours is ended, what is not lives on.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::slice::{Slice, cgroup_of};
use crate::within::namespace;
use crate::world::{NOBODY, World, finish, is_root, kill, list, runs, skip, until};

const ONE: &str = "services:\n  api: { command: stand-in wait }\n";

pub(crate) fn variable(pid: i32, name: &str) -> String {
    let environ = fs::read(format!("/proc/{pid}/environ")).expect("it lives");
    let text = String::from_utf8_lossy(&environ).into_owned();
    let found = text.split('\0').find_map(|entry| entry.strip_prefix(&format!("{name}=")));
    found.unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// A service that wears another stack's marks is neither ended as that one's by mistake of its own stack, nor passed over
/// in silence: what may not be signalled is told, and the stop is not called clean.
#[test]
fn the_marks_of_another_stack_hide_nobody() {
    let other = World::new(ONE);
    other.up();
    let victim = other.pid("api");
    let (stack, life) = (variable(victim, "DEVSTACK_STACK_ID"), variable(victim, "DEVSTACK_LIFE"));
    let world = World::new("services: {}\n");
    let program = world.program("wait");
    world.write(&format!(
        "services:\n  liar:\n    command: exec env DEVSTACK_STACK_ID={stack} DEVSTACK_LIFE={life} {} wait\n    \
         stop_grace_period: 1s\n",
        program.display()
    ));
    world.up();
    let liar = world.pid("liar");
    let report = world.down(&[], 6);
    assert_eq!(report["clean"], false, "{report:#}");
    let left = list(&report, "survivors");
    assert!(left.iter().any(|one| one["pid"] == liar), "{report:#}");
    assert!(runs(liar) && runs(victim), "nobody of another stack is signalled");
    kill(liar, rustix::process::Signal::KILL);
    until("it is dead", || !runs(liar));
    assert_eq!(world.down(&[], 0)["clean"], true);
    assert_eq!(other.pid("api"), victim);
    other.down(&[], 0);
}

/// A process of one stack moves into the cgroup of another: the kernel would kill it with all that is in there.
#[test]
fn who_joins_the_cgroup_of_another_stack_stays_its_own() {
    let Some(slice) = Slice::new("join") else { return };
    let mut worlds = [World::new(ONE), World::new(ONE)];
    for world in &mut worlds {
        world.enter(slice.path());
        world.up();
    }
    let [world, other] = &worlds;
    let guest = other.pid("api");
    fs::write(cgroup_of(world.pid("api")).join("cgroup.procs"), guest.to_string()).expect("root may");
    let report = world.run(&["down", "--json"]).json();
    assert!(runs(guest), "a member of another stack was ended: {report:#}");
    world.assert_none_but(&[]);
    // Its own stack ends it, wherever it has gone.
    assert_eq!(other.down(&[], 0)["clean"], true);
    assert!(!runs(guest));
    assert_eq!(world.down(&[], 0)["clean"], true);
}

/// Cgroups under the names that the next lives would take, with a stranger in one of them.
#[test]
fn planted_cgroups_are_nobodys() {
    let Some(slice) = Slice::new("planted") else { return };
    let mut world = World::new(ONE);
    world.enter(slice.path());
    world.up();
    let leaf = cgroup_of(world.pid("api"));
    let supervisor = world.supervisor();
    world.down(&[], 0);
    until("the supervisor has ended", || !runs(supervisor));
    let canary = world.start("wait", &["wait"], &world.beside("other"));
    for life in 2..6 {
        fs::create_dir_all(leaf.with_file_name(format!("unit-api.{life}"))).expect("root may");
    }
    fs::write(leaf.with_file_name("unit-api.2").join("cgroup.procs"), canary.pid().to_string())
        .expect("root may");
    world.up();
    world.await_living(2);
    for args in [&["restart"][..], &["down"], &["up"], &["down", "--force"]] {
        let ran = world.run(args);
        assert!(!ran.err.contains("bug"), "{args:?}: {}", ran.err);
        assert!(runs(canary.pid()), "{args:?} has ended a stranger");
    }
    world.assert_none_but(&[&canary]);
}

/// Nobody but the service's own user can say that it is ready: another one does not even reach the socket.
#[test]
fn a_stranger_says_ready_in_vain() {
    if !is_root() {
        return skip("only root can play a stranger");
    }
    let world = World::new(
        "services:\n  api: { command: stand-in wait, ready: { notify: true }, start_timeout: 5s }\n",
    );
    let mut up = world.command(&["up"]);
    let mut up = up.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("it runs", || world.living().len() == 1);
    let api = *world.living().keys().next().expect("one");
    let address = variable(api, "NOTIFY_SOCKET");
    let mut stranger = Command::new("setpriv");
    stranger.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "--"]);
    // It sends as the service would; one that was heard would run on, and is ended by `timeout` then.
    stranger.args(["timeout", "20"]).arg(world.program("stand-in")).args(["notify", "--after", "0"]);
    let said = stranger.env("NOTIFY_SOCKET", &address).output().expect("it starts");
    assert!(String::from_utf8_lossy(&said.stderr).contains("ermission denied"), "{said:?}");
    assert_eq!(up.wait().expect("ours").code(), Some(1), "a stranger has made it ready");
    assert_eq!(world.down(&[], 0)["clean"], true);
}

/// Sockets of another program under the names that ours would have: deaf ones, and ones that answer rubbish.
#[test]
fn planted_sockets_hold_up_nobody() {
    for answer in [None, Some("\u{0}\u{1b}\n")] {
        let world = World::new(ONE);
        world.up();
        let run =
            fs::read_dir(world.state().join("run")).expect("ours").flatten().next().expect("one").path();
        let names: Vec<PathBuf> =
            fs::read_dir(&run).expect("ours").flatten().map(|entry| entry.path()).collect();
        assert!(names.len() >= 2, "{names:?}");
        let supervisor = world.supervisor();
        world.down(&[], 0);
        until("the supervisor has ended", || !runs(supervisor));
        fs::create_dir_all(&run).expect("ours");
        let next = names
            .iter()
            .map(|path| PathBuf::from(path.display().to_string().replace(".1", ".2").replace("-1", "-2")));
        for path in names.iter().cloned().chain(next) {
            plant(&path, answer);
        }
        for args in [&["ps"][..], &["status"], &["up"], &["ps"], &["down"]] {
            let inner = world.command(args);
            let mut command = Command::new("timeout");
            command
                .args(["--kill-after=1", "50"])
                .arg(inner.get_program())
                .args(args)
                .current_dir(world.dir());
            command.env("DEVSTACK_STATE_DIR", world.state());
            let ran = finish(command);
            assert!(
                ![Some(124), Some(137), Some(101), Some(70), None].contains(&ran.status.code()),
                "{answer:?} {args:?}: {:?} {}",
                ran.status,
                ran.err
            );
        }
        world.assert_none_but(&[]);
    }
}

/// Listens until the test ends.
fn plant(path: &Path, answer: Option<&'static str>) {
    let _ = fs::remove_file(path);
    let socket = UnixListener::bind(path).expect("bound");
    thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in socket.incoming().flatten() {
            if let Some(answer) = answer {
                let mut asked = [0; 512];
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(answer.as_bytes());
            } else {
                held.push(stream);
            }
        }
    });
}

/// One checkout is one stack, whatever way leads to it.
#[test]
fn a_checkout_behind_a_link_is_the_same_stack() {
    let world = World::new(ONE);
    let link = world.beside("links").join("shop");
    symlink(world.dir(), &link).expect("made");
    let by_link = |args: &[&str]| {
        let mut words = vec!["-C", link.to_str().expect("text")];
        words.extend(args);
        let mut command = world.command(&words);
        command.current_dir("/");
        finish(command)
    };
    by_link(&["up"]).expect(0);
    let api = world.pid("api");
    let up = world.run(&["up", "--json"]).expect(0).json();
    assert_eq!(list(&up, "services")[0]["outcome"], "unchanged", "{up:#}");
    let seen = by_link(&["ps", "--json"]).expect(0).json();
    assert_eq!(list(&seen, "services")[0]["pid"], api);
    // A shell that stands in the link calls it the same.
    let mut inside = world.command(&["ps", "--json"]);
    inside.current_dir(&link).env("PWD", &link);
    assert_eq!(list(&finish(inside).expect(0).json(), "services")[0]["pid"], api);
    fs::remove_file(&link).expect("ours");
    symlink(world.beside("elsewhere"), &link).expect("made");
    assert_ne!(by_link(&["down"]).status.code(), Some(6));
    assert!(runs(api), "the link leads elsewhere now");
    assert_eq!(world.down(&[], 0)["clean"], true);
}

/// The names of temporary files hold the number of the process that writes. In a namespace of its own numbers are small,
/// and there is a link for each that may come.
fn temporary_names(plain: bool) {
    const MOST: u32 = 400;
    let world = if plain { World::plain(ONE) } else { World::new(ONE) };
    world.up();
    world.down(&[], 0);
    let state = world.stack_state();
    let victim = world.beside("elsewhere").join("victim");
    fs::write(&victim, "precious\n").expect("written");
    let names = |stem: &'static str| (1..MOST).map(move |pid| format!("{stem}.{pid}.tmp"));
    for name in names("stack").chain(names("last")) {
        symlink(&victim, state.join(name)).expect("planted");
    }
    world.up();
    world.down(&["--force"], 0);
    let met = |stem| names(stem).filter(|name| fs::symlink_metadata(state.join(name)).is_err()).count();
    assert!(met("stack") > 0 && met("last") > 0, "no planted name was met: this proves nothing");
    assert!(std::process::id() < MOST);
    assert_eq!(fs::read_to_string(&victim).expect("it is there"), "precious\n");
    for name in ["stack.json", "last.json"] {
        assert!(fs::symlink_metadata(state.join(name)).expect("it is there").is_file(), "{name}");
    }
}

#[test]
fn temporary_names_are_never_followed() {
    namespace("strangers::temporary_names_are_never_followed", temporary_names);
}
