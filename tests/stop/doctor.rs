//! `doctor` on this machine: what holds, what is in the way, what is stale; and that it signals nobody.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::slice::Slice;
use crate::world::{World, finish, free_port, is_root, kill, list, runs, skip, stat, until};

/// A stack whose doctor sees no cgroups but its own.
fn world(manifest: &str) -> (World, Option<Slice>) {
    let mut world = World::new(manifest);
    let slice = if is_root() { Slice::new("doctor") } else { None };
    if let Some(slice) = &slice {
        world.enter(slice.path());
    }
    (world, slice)
}

/// The findings of an area that need attention, and that the exit code says so.
fn attention(world: &World, area: &str, more: &[&str]) -> Vec<Value> {
    let mut args = vec!["doctor", "--json"];
    args.extend(more);
    let ran = world.run(&args);
    let answer = ran.json();
    assert_eq!(answer["schema"], "devstack/v1");
    assert_eq!(ran.status.code(), Some(if answer["well"] == true { 0 } else { 5 }), "{answer:#}");
    let open =
        list(&answer, "findings").iter().filter(|one| one["grade"] == "attention" && one["fix"] != "done");
    let open: Vec<Value> = open.cloned().collect();
    assert_eq!(answer["well"] == true, open.is_empty(), "{answer:#}");
    open.into_iter().filter(|one| one["area"] == area).collect()
}

fn tries(finding: &Value) -> String {
    list(finding, "try").iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

/// As if it had been made long ago.
fn age(path: &Path) {
    let done =
        Command::new("touch").args(["-h", "-d", "10 minutes ago"]).arg(path).status().expect("touch runs");
    assert!(done.success());
}

#[test]
fn the_promise_is_told_with_its_reason() {
    let (world, slice) = world("services:\n  api: { command: stand-in wait }\n");
    let answer = world.run(&["doctor", "--json"]).json();
    if slice.is_some() {
        assert_eq!(answer["promise"], "cgroup", "{answer:#}");
    } else if !is_root() {
        assert!(["cgroup", "keeper"].iter().any(|one| answer["promise"] == *one), "{answer:#}");
    }
    let names: Vec<&str> = list(&answer, "findings").iter().filter_map(|one| one["name"].as_str()).collect();
    for name in ["cgroup v2", "handles", "subreaper", "marks", "system", "state", "sockets", "manifest"] {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
    let shown = world.run(&["doctor"]);
    assert!(shown.out.starts_with("promise  after `down` no "), "{}", shown.out);
    // Nothing is made by looking.
    assert!(!world.state().join("run").exists(), "a look made directories");
    if let Some(slice) = &slice {
        assert_eq!(
            fs::read_dir(slice.path()).expect("ours").flatten().filter(|it| it.path().is_dir()).count(),
            0
        );
    }
    // No manifest is no mistake, a wrong one is.
    fs::remove_file(world.dir().join("devstack.yaml")).expect("ours");
    assert!(attention(&world, "stack", &[]).is_empty());
    world.write("services: [\n");
    assert_eq!(attention(&world, "stack", &[]).len(), 1);
}

/// What doctor says in namespaces of its own, after a script that changes what is mounted there.
fn in_namespaces(slice: &Slice, script: &str) -> (String, String) {
    let world = World::new("services:\n  api: { command: stand-in wait }\n");
    let mut command = Command::new("sh");
    let enter = "echo $$ >\"$0\"; exec unshare --mount --cgroup sh -c \"$@\"";
    let script = format!(
        "at=$(awk '$3 == \"cgroup2\" {{ print $2 }}' /proc/self/mounts | head -n 1); {script} && exec \"$@\""
    );
    command.args(["-c", enter]).arg(slice.path().join("cgroup.procs")).args([&script, "sh"]);
    command.args([env!("CARGO_BIN_EXE_devstack"), "doctor", "--json"]);
    command.current_dir(world.dir()).env("DEVSTACK_STATE_DIR", world.state());
    let ran = finish(command);
    assert!(matches!(ran.status.code(), Some(0 | 5)), "{}", ran.err);
    let answer = ran.json();
    let text = |key: &str| answer[key].as_str().expect("a text").to_owned();
    (text("promise"), text("why"))
}

#[test]
fn wherever_the_tree_is_mounted_the_promise_is_the_true_one() {
    if !is_root() {
        return skip("only root can mount the tree elsewhere");
    }
    let Some(slice) = Slice::new("mounts") else { return };
    let possible = Command::new("unshare").args(["--mount", "--cgroup", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        return skip("namespaces cannot be made here");
    }
    let none = in_namespaces(&slice, "umount -a -t cgroup2");
    assert_eq!(none.0, "keeper");
    assert!(none.1.starts_with("no cgroup v2 is mounted"), "{}", none.1);
    // A container that was given the tree from outside: its own cgroup has no name there.
    let outside = in_namespaces(&slice, "true");
    assert_eq!(outside.0, "keeper");
    assert!(outside.1.contains("does not show the cgroup of this process"), "{}", outside.1);
    // One with a tree of its own, at another place; then read-only, as most are.
    let own = "umount -a -t cgroup2; mount -t cgroup2 none /mnt";
    let elsewhere = in_namespaces(&slice, own);
    assert_eq!(elsewhere.0, "cgroup");
    assert!(elsewhere.1.starts_with("/mnt is a cgroup v2"), "{}", elsewhere.1);
    let read_only = in_namespaces(&slice, &format!("{own}; mount -o remount,bind,ro /mnt"));
    assert_eq!(read_only.0, "keeper");
    assert!(read_only.1.contains("/mnt is mounted read-only"), "{}", read_only.1);
    // Of two mounts the one that serves is taken.
    let both =
        in_namespaces(&slice, &format!("{own}; mount --bind /mnt /media; mount -o remount,bind,ro /mnt"));
    assert_eq!(both.0, "cgroup", "{}", both.1);
    assert!(both.1.starts_with("/media is"), "{}", both.1);
}

#[test]
fn a_port_in_the_way_is_told_with_its_holder() {
    let port = free_port();
    let (world, _slice) = world(&format!(
        "services:\n  api: {{ command: stand-in listen --port {port}, ports: [{port}], ready: {{ port: {port} }} }}\n"
    ));
    let stranger = TcpListener::bind(("127.0.0.1", port)).expect("it was free");
    let found = attention(&world, "stack", &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["name"], format!("port {port}"));
    let own = std::process::id();
    assert!(
        found[0]["text"].as_str().is_some_and(|text| text.contains(&format!("pid {own},"))),
        "{found:#?}"
    );
    drop(stranger);
    assert!(attention(&world, "stack", &[]).is_empty());
    world.up();
    assert!(attention(&world, "stack", &[]).is_empty(), "its own port is in nobody's way");
}

#[test]
fn what_lives_without_a_supervisor_is_told_and_never_signalled() {
    let (world, _slice) = world("services:\n  api: { command: stand-in child --session --life 600 }\n");
    world.up();
    world.await_living(2);
    assert!(attention(&world, "stale", &[]).is_empty(), "it runs as it should");
    let (supervisor, keeper) = (world.supervisor(), world.keeper("api"));
    kill(supervisor, Signal::STOP);
    until("it is stopped", || stat(supervisor).is_some_and(|stat| stat.state == 'T'));
    kill(keeper, Signal::STOP);
    until("it is stopped", || stat(keeper).is_some_and(|stat| stat.state == 'T'));
    let found = attention(&world, "stale", &["--fix"]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(tries(&found[0]).contains(&format!("kill -CONT {keeper}")), "{found:#?}");
    assert!(tries(&found[1]).contains(&format!("kill -CONT {supervisor}")), "{found:#?}");
    kill(keeper, Signal::CONT);
    kill(supervisor, Signal::KILL);
    until("it is dead", || !runs(supervisor));
    let found = attention(&world, "stale", &["--fix"]);
    assert_eq!(found.len(), 1, "{found:#?}");
    let command = list(&found[0], "try")[0].as_str().expect("a command").to_owned();
    assert_eq!(world.living().len(), 2, "doctor ended something");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    world.run(&words).expect(0);
    world.assert_none_but(&[]);
    assert!(attention(&world, "stale", &[]).is_empty());
}

#[test]
fn what_is_stale_is_taken_away_and_nothing_else() {
    let wait = "{ command: stand-in wait }";
    let (world, slice) = world(&format!("services:\n  a: {wait}\n  b: {wait}\n  c: {wait}\n"));
    world.up();
    let supervisor = world.supervisor();
    world.down(&[], 0);
    until("the supervisor has ended", || !runs(supervisor));
    assert!(attention(&world, "stale", &[]).is_empty(), "an ordinary stop leaves nothing stale");
    // All of it is killed: records and sockets stay.
    world.up();
    let state = world.stack_state();
    let hash = state.to_str().and_then(|path| path.rsplit_once('-')).expect("a hash").1.to_owned();
    let sockets = world.state().join("run").join(hash);
    let services = ["a", "b", "c"];
    let leaders = services.map(|name| world.pid(name));
    let keepers = services.map(|name| world.keeper(name));
    for pid in [world.supervisor()].into_iter().chain(keepers).chain(leaders) {
        kill(pid, Signal::KILL);
        until("it is dead", || !runs(pid));
    }
    // What is young may be a start under way.
    assert!(attention(&world, "stale", &[]).is_empty());
    age(&state.join("lives/a.2.jsonl"));
    age(&state.join("lives/b.2.jsonl"));
    let names = |dir: &Path| {
        let mut names: Vec<String> = fs::read_dir(dir)
            .expect("it is there")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&sockets).len(), 1 + services.len(), "the stack's own, and one for each keeper");
    names(&sockets).iter().filter(|name| name.starts_with("k-")).for_each(|name| age(&sockets.join(name)));
    let mut wanted = 2;
    if let Some(slice) = &slice {
        for name in ["devstack-0123456789abcdef", "devstack-young", "ds-other"] {
            fs::create_dir_all(slice.path().join(name).join("unit-x.1")).expect("root may");
        }
        age(&slice.path().join("devstack-0123456789abcdef"));
        age(&slice.path().join("ds-other"));
        wanted += 1;
    }
    let found = attention(&world, "stale", &[]);
    assert_eq!(found.len(), wanted, "{found:#?}");
    assert!(
        found.iter().all(|one| one["fix"] == "possible" && tries(one).contains("doctor --fix")),
        "{found:#?}"
    );
    assert!(found[0]["text"].as_str().is_some_and(|text| text.starts_with("2 records")), "{found:#?}");
    assert!(found[1]["text"].as_str().is_some_and(|text| text.starts_with("3 sockets")), "{found:#?}");
    assert_eq!(names(&sockets).len(), 4, "a look took something away");
    assert!(attention(&world, "stale", &["--fix"]).is_empty());
    assert_eq!(names(&state.join("lives")), ["c.2.jsonl"]);
    assert_eq!(names(&sockets), ["api.sock"]);
    if let Some(slice) = &slice {
        let left = |name: &str| slice.path().join(name).exists();
        assert!(!left("devstack-0123456789abcdef") && left("devstack-young") && left("ds-other"));
    }
}

#[test]
fn the_state_of_a_deleted_checkout_is_named() {
    let (world, _slice) = world("services:\n  api: { command: stand-in wait }\n");
    world.up();
    world.down(&[], 0);
    let state = world.stack_state();
    fs::remove_dir_all(world.dir()).expect("ours");
    let elsewhere = world.beside("elsewhere");
    let mut command = world.command(&["doctor", "--json"]);
    command.current_dir(&elsewhere);
    let answer = finish(command).json();
    let gone =
        list(&answer, "findings").iter().find(|one| one["area"] == "stale").cloned().expect("it is told");
    assert_eq!(gone["grade"], "note");
    assert!(tries(&gone).contains(&format!("rm -r {}", state.display())), "{gone:#}");
    fs::create_dir(world.dir()).expect("ours");
}
