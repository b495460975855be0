//! The `devstack` program.
fn main() {
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "__keeper") {
        std::process::exit(devstack::keeper::run());
    }
}
