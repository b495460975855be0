//! Chance in tests: the same in each run, so that a red test is red again, and none goes red by chance.
//!
//! `SEED=5` draws other numbers, `SEED=random` others each time; which ones is then said, whatever becomes of the tests.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::SystemTime;

use proptest::test_runner::{Config, RngSeed};

/// What an ordinary run draws by: any number, as long as it stays.
const USUAL: u64 = 1_000_003;

/// Where this run's numbers begin.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let Some(wanted) = std::env::var("SEED").ok().filter(|text| !text.is_empty()) else { return USUAL };
        let drawn =
            || SystemTime::UNIX_EPOCH.elapsed().map_or(USUAL, |since| u64::from(since.subsec_nanos()));
        let seed = if wanted == "random" {
            drawn()
        } else {
            wanted.parse().unwrap_or_else(|_| panic!("SEED={wanted}: neither a number nor `random`"))
        };
        // Past the test runner, which keeps what a passing test says to itself.
        let _ = writeln!(std::io::stderr(), "SEED={seed}");
        seed
    })
}

/// Of a property test. Nothing is written beside the sources: what is worth keeping becomes a test of its own.
pub(crate) fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(seed()), failure_persistence: None, ..Config::default() }
}
