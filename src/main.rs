//! The `devstack` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    devstack::sys::first::hand_over();
    // Who stands for a service must be small: it takes its own way before the command line is read.
    let mut words = std::env::args_os().skip(1);
    match words.next().as_ref().and_then(|word| word.to_str()) {
        Some("__keeper") => ExitCode::from(u8::try_from(devstack::keeper::run()).unwrap_or(1)),
        Some("__container") => ExitCode::from(devstack::shim::run(words.next().as_deref())),
        _ => devstack::cli::run(),
    }
}
