//! The tests that matter most once more, on podman: in a process of their own, which takes the other engine.

use std::process::{Command, Stdio};

use crate::world::{finish, is_root, skip};

/// They need no image but the idle one, and take seconds.
const MATTER: [&str; 5] = [
    "cases::a_container_of_a_crashed_run_is_taken_over_or_made_anew",
    "cases::a_port_that_another_container_publishes_is_told_with_its_name",
    "cases::one_that_is_dead_at_start_is_told_at_once_with_its_last_words",
    "trouble::a_container_that_nobody_stands_for_is_shown_all_the_same",
    "trouble::one_that_wants_too_much_memory_is_told_as_that_and_leaves_nothing_in_the_checkout",
];

#[test]
fn what_matters_most_holds_on_podman() {
    if std::env::var_os("DEVSTACK_TEST_ENGINE").is_some() {
        // Somebody runs them all, on the engine of his choice.
        return;
    }
    if !is_root() {
        skip("podman of its own needs root");
        return;
    }
    let mut tests = Command::new(std::env::current_exe().expect("this program"));
    tests.args(MATTER).args(["--exact", "--nocapture", "--test-threads=3"]);
    let ran = finish({
        tests.env("DEVSTACK_TEST_ENGINE", "podman").stdin(Stdio::null());
        tests
    });
    if let Some(line) = ran.err.lines().find(|line| line.contains("SKIPPED")) {
        skip(line);
    }
    let ran = ran.expect(0);
    assert!(ran.out.contains(&format!("{} passed", MATTER.len())), "{}", ran.out);
}
