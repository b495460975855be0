//! Few numbers and many short lives: in a namespace where the numbers are given away again within a second, stacks come
//! and go, are crashed and ended. Each short life ends with 0, or somebody has signalled it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::within::namespace;
use crate::world::{NOBODY, World, kill, skip};

/// The fewest numbers that the kernel lets a namespace have are 301; it begins anew at 300.
const NUMBERS: &str = "500";

const STACK: &str = concat!(
    "services:\n",
    "  many:\n",
    "    command: stand-in child --count 3 --session --double-fork --life 600\n",
    "    ready: { log: 'child [0-9]+' }\n",
    "  daemon:\n",
    "    command: stand-in child --session --double-fork --env-clear --chdir --close --life 600\n",
    "    ready: { log: 'child [0-9]+' }\n",
    "    stop_grace_period: 1s\n",
);

/// A shell that starts one short life after the other, and writes down each that did not end as it should.
const SHELL: &str =
    "n=0; while [ -e go ]; do (:) || echo \"exit $?\" >>hits; n=$((n + 1)); done; echo $n >count.$1";

/// As the user whom the stack runs as: another one's the kernel itself would protect.
fn shell(dir: &Path, name: &str, plain: bool) -> Child {
    let mut command = Command::new("setsid");
    if plain {
        let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        command.args(["setpriv", &user, &group, "--clear-groups", "--"]);
    }
    command.args(["sh", "-c", SHELL, "sh", name]).current_dir(dir).stdin(Stdio::null());
    command.spawn().expect("it starts")
}

fn amid_short_lives(plain: bool) {
    if fs::write("/proc/sys/kernel/pid_max", NUMBERS).is_err() {
        return skip("a namespace has no limit of numbers of its own here (Linux 6.14)");
    }
    let world = if plain { World::plain(STACK) } else { World::new(STACK) };
    let dir = world.beside("short");
    fs::write(dir.join("go"), "").expect("written");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("ours");
    let mut shells = ["a", "b"].map(|name| shell(&dir, name, plain));
    for round in 0..4 {
        world.up();
        let machinery = [world.supervisor(), world.keeper("many"), world.keeper("daemon")];
        // Nobody, the keepers, the supervisor, or all of it: each leaves another way to be found.
        let killed: &[i32] = match round {
            0 => &[],
            1 => &machinery[1..],
            2 => &machinery[..1],
            _ => &machinery,
        };
        for pid in killed {
            kill(*pid, Signal::KILL);
        }
        let force: &[&str] = if round % 2 == 0 { &[] } else { &["--force"] };
        world.down(force, 0);
        let hits = fs::read_to_string(dir.join("hits")).unwrap_or_default();
        assert_eq!(hits, "", "a short life was signalled in round {round}");
        // What nobody had recorded yet when all was killed is another test's question.
        for pid in world.living().into_keys() {
            kill(pid, Signal::KILL);
        }
    }
    for shell in &mut shells {
        assert!(shell.try_wait().expect("ours").is_none(), "a shell beside the stack was ended");
    }
    fs::remove_file(dir.join("go")).expect("ours");
    for shell in &mut shells {
        assert!(shell.wait().expect("ours").success());
    }
    let count = |name: &str| fs::read_to_string(dir.join(name)).expect("a count").trim().parse::<u32>();
    let lives = count("count.a").expect("a number") + count("count.b").expect("a number");
    assert!(lives > 1000, "the numbers were hardly given away again: {lives}");
}

#[test]
fn short_lives_with_numbers_of_the_dead_are_never_signalled() {
    namespace("churn::short_lives_with_numbers_of_the_dead_are_never_signalled", amid_short_lives);
}
