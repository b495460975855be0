//! One program for every target: `FUZZ_TARGET` says which. `scripts/fuzz` builds and runs it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<String> = LazyLock::new(|| std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target"));

fuzz_target!(|data: &[u8]| devstack::fuzzing::run(&TARGET, data));
