//! The fuzz targets in the ordinary tests: each seed and each past crasher as it is, then mutations of them.
//!
//! `FUZZ_RUNS` says how many of each; `FUZZ_SECONDS` goes on for so long in all, `SEED=random` with others each time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, panic};

use super::{TARGETS, run};

/// Longest input that is made here.
const LONGEST: usize = 16 << 10;
/// So many mutations of each target's seeds.
const RUNS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// The inputs kept for a target: `fuzz/seeds/NAME/*`, those that once found a fault (`fault-*`) among them.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).expect("readable"))).collect()
}

#[test]
fn every_seed_keeps_the_promises() {
    for (name, _) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "no seeds for {name}");
        for (path, bytes) in seeds {
            guarded(name, &bytes, &path.display().to_string());
        }
    }
}

#[test]
fn mutations_of_the_seeds_keep_the_promises() {
    let seed = crate::chance::seed();
    let each =
        Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(0)) / u32::try_from(TARGETS.len()).unwrap_or(1);
    let most = number("FUZZ_RUNS").unwrap_or(RUNS);
    for (name, _) in TARGETS {
        let mut random = Random(seed | 1);
        let seeds: Vec<Vec<u8>> = seeds(name).into_iter().map(|(_, bytes)| bytes).collect();
        let begun = Instant::now();
        let mut runs = 0;
        while runs < most || begun.elapsed() < each {
            let input = mutated(&seeds, &mut random);
            guarded(name, &input, &format!("SEED={seed}, run {runs}"));
            runs += 1;
        }
    }
}

/// Keeps what broke a promise, and says where.
fn guarded(name: &str, input: &[u8], origin: &str) {
    if panic::catch_unwind(|| run(name, input)).is_err() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("fault-{name}"));
        let kept = fs::write(&path, input).is_ok();
        panic!("{name} broke a promise ({origin}); input kept: {kept}, {}", path.display());
    }
}

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % most.max(1)
    }
}

/// What parsers stumble over.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\xff",
    b") R 1 1 ",
    b"${",
    b"}",
    b"$$",
    b"\x1b[2J",
    b"\xe2\x80\xae",
    b"\"",
    b"\\",
    b"{",
    b"[",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"99999999999999999999",
    b"-1",
    b"\xef\xbb\xbf",
    b"1e308",
    b"../../",
];

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let to = (at + random.below(40)).min(input.len());
        match random.below(7) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 => drop(input.drain(at..to)),
            2 => input.truncate(at),
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                input.splice(at..to, other[from..].iter().copied());
            }
            4 => {
                let piece = input[at..to].to_vec();
                for _ in 0..random.below(200) {
                    input.splice(at..at, piece.iter().copied());
                }
            }
            _ => drop(input.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
        }
    }
    input.truncate(LONGEST);
    input
}
