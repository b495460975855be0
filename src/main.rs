//! The `devstack` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A keeper must be small: it takes its own way before the command line is read.
    if std::env::args_os().nth(1).is_some_and(|word| word == "__keeper") {
        return ExitCode::from(u8::try_from(devstack::keeper::run()).unwrap_or(1));
    }
    devstack::cli::run()
}
