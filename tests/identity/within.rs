//! A PID namespace for one test: its numbers are this test's alone, so that one can be given away again on purpose, and
//! whatever is left in it ends with it.

use std::process::{Command, Stdio};

use crate::world::{is_root, skip};

/// Set in the test within.
const INSIDE: &str = "IDENTITY_INSIDE";

/// Runs the test of this name once more, in a namespace of its own, where `body` is what it does. It is told whether
/// it may play a plain user as well: root can, a plain user who is root of his own namespace is one already.
pub(crate) fn namespace(name: &str, body: impl Fn(bool)) {
    if let Some(who) = std::env::var_os(INSIDE) {
        body(false);
        if who == "root" {
            body(true);
        }
        return;
    }
    let who = if is_root() { "root" } else { "plain" };
    let probe = unshare(&["true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return skip("no PID namespace can be made here");
    }
    let own = std::env::current_exe().expect("a program");
    // The first process of the namespace reaps whom its parents have left: a shell does.
    let mut command = unshare(&["sh", "-c", "\"$@\"; exit $?", "sh"]);
    command.arg(own).args([name, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, who);
    let output = command.stdin(Stdio::null()).output().expect("unshare runs");
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "the test did not run within: {told}");
}

fn unshare(args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]).args(args);
    command
}
