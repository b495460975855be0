//! Links the program at a fixed address on Linux.
//!
//! Every keeper is a process of this program. A position-independent program is relocated at each start, which makes
//! about 300 KB of its tables private to each process; at a fixed address they are shared by all of them.
//! Measured with 100 idle keepers: 48 MB of memory (PSS) relocatable, 19 MB at a fixed address.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg-bin=devstack=-no-pie");
    }
}
